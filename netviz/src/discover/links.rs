//! Reads the interfaces of one namespace.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netlink_packet_route::{
    address::{AddressAttribute, AddressMessage},
    link::{
        InfoData, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
        MacVlanMode, State,
    },
};

use crate::{
    model::{LinkKind, LinkState, MacvlanMode, has_network, mac_text},
    sys::{
        netlink::{Netlink, only},
        netns::{NetNs, NetNsId},
    },
};

/// Addresses for documentation, which only a default route reaches.
const OUTSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

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
    /// Its kind; none for a physical device.
    pub kind: Option<LinkKind>,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Its MTU.
    pub mtu: Option<u32>,
    /// Its operational state.
    pub state: Option<LinkState>,
    /// Whether it is up (`IFF_UP`).
    pub up: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// Whether it carries Ethernet frames.
    pub ethernet: bool,
    /// The device below it, in its own namespace or in a node's: namespace and index.
    pub lower: Option<(NetNsId, u32)>,
    /// The mode of a macvlan.
    pub macvlan: Option<MacvlanMode>,
    /// Whether a default route of the node uses it.
    pub default_route: bool,
    /// Whether the route to another node uses it.
    pub to_nodes: bool,
    /// Its IP addresses, with prefix lengths.
    pub addresses: Vec<IpNet>,
    /// `SO_NETNS_COOKIE` of the namespace.
    pub cookie: Option<u64>,
}

impl Link {
    /// The index of the device below it, in the namespace of `link_nsid`.
    fn lower_index(&self) -> Option<u32> {
        let pair = self.kind.as_ref().is_some_and(LinkKind::is_pair);
        self.link.filter(|index| !pair && *index > 0)
    }

    fn describe(&mut self, info: Vec<LinkInfo>) {
        for info in info {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind.to_string().into()),
                LinkInfo::Data(InfoData::MacVlan(data)) => {
                    self.macvlan = data.iter().find_map(macvlan_mode);
                }
                _ => {}
            }
        }
    }

    /// Whether it names `other` as its peer.
    pub(super) fn names(&self, other: &Self) -> bool {
        self.link == Some(other.index) && self.kind == other.kind
    }

    /// Whether it is hardware, which has no kind: a network card, or a virtual function of one.
    pub(super) fn is_hardware(&self) -> bool {
        self.ethernet && !self.loopback && self.kind.is_none()
    }
}

/// All interfaces of the namespace `own`, in which `netlink` was opened. `nodes` are those to whose
/// devices they may lead.
pub(super) fn read(netlink: &mut Netlink, own: NetNsId, nodes: &[&NetNs]) -> io::Result<Vec<Link>> {
    let addresses = netlink.addresses()?;
    let cookie = netlink.namespace_cookie();
    let mut links = join(netlink.links()?, addresses);
    let is_abroad = |link: &Link| link.lower_index().is_some() && link.link_nsid.is_some();
    let ids = match links.iter().any(is_abroad) {
        true => ids(netlink, nodes),
        false => HashMap::new(),
    };
    for link in &mut links {
        link.cookie = cookie;
        let netns = match link.link_nsid {
            None => Some(own),
            Some(id) => ids.get(&id).copied(),
        };
        link.lower = netns.zip(link.lower_index());
    }
    Ok(links)
}

/// Marks the links of a node that its default routes use.
pub(super) fn mark_default_routes(netlink: &mut Netlink, links: &mut [Link]) {
    let outside = OUTSIDE.map(|address| netlink.route_to(address));
    for link in links {
        link.default_route = outside.contains(&Some(link.index));
    }
}

/// The nodes for which the socket's namespace has an id.
fn ids(netlink: &mut Netlink, nodes: &[&NetNs]) -> HashMap<i32, NetNsId> {
    let id = |node: &&NetNs| Some((netlink.nsid_of(node).ok()??, node.id()));
    nodes.iter().filter_map(id).collect()
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
                LinkAttribute::OperState(state) => link.state = link_state(state),
                LinkAttribute::LinkInfo(info) => link.describe(info),
                _ => {}
            }
        }
        link
    }
}

/// `02:00:00:00:00:01`
pub(crate) fn mac(bytes: &[u8]) -> Option<String> {
    (bytes.len() == 6).then(|| mac_text(bytes))
}

fn macvlan_mode(info: &InfoMacVlan) -> Option<MacvlanMode> {
    let InfoMacVlan::Mode(mode) = info else {
        return None;
    };
    Some(match mode {
        MacVlanMode::Private => MacvlanMode::Private,
        MacVlanMode::Vepa => MacvlanMode::Vepa,
        MacVlanMode::Bridge => MacvlanMode::Bridge,
        MacVlanMode::Passthrough => MacvlanMode::Passthru,
        MacVlanMode::Source => MacvlanMode::Source,
        _ => return None,
    })
}

fn link_state(state: State) -> Option<LinkState> {
    Some(match state {
        State::Unknown => LinkState::Unknown,
        State::NotPresent => LinkState::NotPresent,
        State::Down => LinkState::Down,
        State::LowerLayerDown => LinkState::LowerLayerDown,
        State::Testing => LinkState::Testing,
        State::Dormant => LinkState::Dormant,
        State::Up => LinkState::Up,
        _ => return None,
    })
}

/// Addresses by interface index, without link-local ones of IPv6, which every interface has.
fn addresses(messages: Vec<AddressMessage>) -> HashMap<u32, Vec<IpNet>> {
    let mut by_index: HashMap<u32, Vec<IpNet>> = HashMap::new();
    for message in messages {
        let attributes = message.attributes.iter();
        // IFA_LOCAL is the interface's own; IFA_ADDRESS is the peer's on a point-to-point link.
        let local = attributes.clone().find_map(only!(AddressAttribute::Local));
        let peer = || {
            attributes
                .clone()
                .find_map(only!(AddressAttribute::Address))
        };
        let address = local.or_else(peer).filter(|it| has_network(**it));
        let network = address.map(|it| IpNet::new(*it, message.header.prefix_len));
        if let Some(Ok(network)) = network {
            by_index
                .entry(message.header.index)
                .or_default()
                .push(network);
        }
    }
    by_index
}
