//! Creates links, addresses, routes and neighbours. Only the lab uses it.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    link::{
        InfoData, InfoKind, InfoVeth, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    },
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::{
        RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol,
        RouteScope, RouteType,
    },
};

use super::{NetNs, Netlink, family};

/// A hardware address.
pub type Mac = [u8; 6];

/// A link to create.
#[derive(Clone, Copy, Debug)]
pub struct NewLink<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its index.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// False: `NOARP`, no neighbour is resolved.
    pub arp: bool,
}

/// A route to create.
#[derive(Clone, Copy, Debug)]
pub struct NewRoute {
    /// Its destination network.
    pub destination: IpNet,
    /// Index of its device.
    pub index: u32,
    /// Next hop; without one the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Source address of the node's own packets.
    pub source: Option<IpAddr>,
    /// MTU, if it differs from the device's.
    pub mtu: Option<u32>,
}

impl NewLink<'_> {
    fn message(&self) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = self.index;
        if !self.arp {
            message.header.flags |= LinkFlags::Noarp;
            message.header.change_mask |= LinkFlags::Noarp;
        }
        message.attributes = vec![
            LinkAttribute::IfName(self.name.into()),
            LinkAttribute::Address(self.mac.to_vec()),
        ];
        message
    }
}

impl Netlink {
    /// Creates a veth pair with both ends down (one end cannot be up by itself); `peer` is in `namespace` if one is given.
    pub fn create_veth(
        &mut self,
        link: &NewLink<'_>,
        peer: &NewLink<'_>,
        namespace: Option<&NetNs>,
    ) -> io::Result<()> {
        let mut peer = peer.message();
        if let Some(namespace) = namespace {
            let fd = namespace.as_fd().as_raw_fd();
            peer.attributes.push(LinkAttribute::NetNsFd(fd));
        }
        let mut message = link.message();
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    /// Creates a VXLAN device; senders supply the tunnel keys.
    pub fn create_vxlan(&mut self, link: &NewLink<'_>, port: u16) -> io::Result<()> {
        let mut message = link.message();
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vxlan),
            LinkInfo::Data(InfoData::Vxlan(vec![
                InfoVxlan::CollectMetadata(true),
                InfoVxlan::Learning(false),
                InfoVxlan::Port(port),
            ])),
        ]));
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    /// Sets a link up.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(message))
    }

    /// Deletes a link, with its peer if it has one.
    pub fn delete_link(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.change(RouteNetlinkMessage::DelLink(message))
    }

    /// Adds an address that is usable immediately: no duplicate address detection.
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = prefix;
        message.header.flags = AddressHeaderFlags::Nodad;
        message.header.index = index;
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
            AddressAttribute::Flags(AddressFlags::Nodad),
        ];
        self.create(RouteNetlinkMessage::NewAddress(message))
    }

    /// Adds a route to the main table.
    pub fn add_route(&mut self, route: &NewRoute) -> io::Result<()> {
        let (network, prefix) = (route.destination.addr(), route.destination.prefix_len());
        let mut message = RouteMessage::default();
        message.header.address_family = family(network);
        message.header.destination_prefix_length = prefix;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Kernel;
        message.header.kind = RouteType::Unicast;
        message.header.scope = match (route.gateway, network) {
            (None, IpAddr::V4(_)) => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Oif(route.index));
        if prefix > 0 {
            attributes.push(RouteAttribute::Destination(wire(network)));
        }
        attributes.extend(route.gateway.map(wire).map(RouteAttribute::Gateway));
        attributes.extend(route.source.map(wire).map(RouteAttribute::PrefSource));
        if let Some(mtu) = route.mtu {
            attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
        }
        self.create(RouteNetlinkMessage::NewRoute(message))
    }

    /// Adds a permanent neighbour: the kernel never resolves it.
    pub fn add_neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) -> io::Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            NeighbourAttribute::Destination(match address {
                IpAddr::V4(address) => NeighbourAddress::Inet(address),
                IpAddr::V6(address) => NeighbourAddress::Inet6(address),
            }),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        self.create(RouteNetlinkMessage::NewNeighbour(message))
    }
}

impl NewRoute {
    /// The default route.
    #[must_use]
    pub fn default_of(gateway: IpAddr, index: u32, mtu: Option<u32>) -> Self {
        let destination = match gateway {
            IpAddr::V4(_) => Ipv4Net::default().into(),
            IpAddr::V6(_) => Ipv6Net::default().into(),
        };
        Self {
            destination,
            gateway: Some(gateway),
            mtu,
            ..Self::host(gateway, index)
        }
    }

    /// The route to a single address on the link.
    #[must_use]
    pub fn host(address: IpAddr, index: u32) -> Self {
        Self {
            destination: address.into(),
            index,
            gateway: None,
            source: None,
            mtu: None,
        }
    }
}

fn wire(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}
