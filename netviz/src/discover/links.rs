//! Reads the interfaces of one namespace.

use std::{collections::HashMap, io};

use netlink_packet_route::{
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage},
};

use crate::sys::netlink::Netlink;

/// One interface as rtnetlink describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `IFLA_LINK`: for a veth, the other end's index in the namespace of `link_nsid`.
    pub link: Option<u32>,
    /// `IFLA_LINK_NETNSID`: absent when the other end is in the same namespace.
    pub link_nsid: Option<i32>,
    /// Its kind, such as `veth`; none for a physical device.
    pub kind: Option<String>,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Its MTU.
    pub mtu: Option<u32>,
    /// Its operational state.
    pub state: Option<String>,
    /// Whether it is up (`IFF_UP`).
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// Whether it carries Ethernet frames.
    pub ethernet: bool,
    /// Its IP addresses, with prefix lengths.
    pub addresses: Vec<String>,
    /// `SO_NETNS_COOKIE` of the namespace.
    pub cookie: Option<u64>,
}

/// All interfaces of the namespace in which `netlink` was opened.
pub(crate) fn read(netlink: &mut Netlink) -> io::Result<Vec<Link>> {
    let addresses = netlink.addresses()?;
    let cookie = netlink.namespace_cookie();
    let mut links = join(netlink.links()?, addresses);
    links.iter_mut().for_each(|link| link.cookie = cookie);
    Ok(links)
}

/// Each interface with its addresses.
pub fn join(links: Vec<LinkMessage>, messages: Vec<AddressMessage>) -> Vec<Link> {
    let mut addresses = addresses(messages);
    let links = links.into_iter().map(|message| {
        let mut link = Link::from(message);
        link.addresses = addresses.remove(&link.index).unwrap_or_default();
        link
    });
    links.collect()
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let header = &message.header;
        let mut link = Self {
            index: header.index,
            up: header.flags.contains(LinkFlags::Up),
            loopback: header.flags.contains(LinkFlags::Loopback),
            ethernet: header.link_layer_type == LinkLayerType::Ether,
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Link(index) => link.link = Some(index),
                LinkAttribute::LinkNetNsId(id) => link.link_nsid = Some(id),
                LinkAttribute::Address(bytes) => link.mac = mac(&bytes),
                LinkAttribute::Mtu(mtu) => link.mtu = Some(mtu),
                LinkAttribute::OperState(state) => {
                    link.state = Some(state.to_string().to_lowercase())
                }
                LinkAttribute::LinkInfo(info) => {
                    link.kind = info.into_iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        link
    }
}

fn mac(bytes: &[u8]) -> Option<String> {
    let text: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (bytes.len() == 6).then(|| text.join(":"))
}

/// Addresses by interface index; link-local ones say nothing about who is there.
fn addresses(messages: Vec<AddressMessage>) -> HashMap<u32, Vec<String>> {
    let mut by_index: HashMap<u32, Vec<String>> = HashMap::new();
    for message in messages {
        // IFA_LOCAL is the interface's own; IFA_ADDRESS is the peer's on a point-to-point link.
        let local = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
        let address = local.or_else(|| {
            message
                .attributes
                .iter()
                .find_map(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(*address),
                    _ => None,
                })
        });
        let Some(address) = address.filter(|address| !is_link_local(*address)) else {
            continue;
        };
        let text = format!("{address}/{}", message.header.prefix_len);
        by_index.entry(message.header.index).or_default().push(text);
    }
    by_index
}

fn is_link_local(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(_) => false,
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
