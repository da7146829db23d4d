//! What else can be wrong with a network: routes that are missing, links that are down or too narrow.

use std::{io, net::IpAddr};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteScope},
};
use netviz::sys::netlink::Netlink;

/// Takes a route out of the main table.
pub fn delete_route(netlink: &mut Netlink, network: IpAddr, prefix: u8) -> io::Result<()> {
    let mut message = RouteMessage::default();
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    let (family, address) = match network {
        IpAddr::V4(address) => (AddressFamily::Inet, RouteAddress::Inet(address)),
        IpAddr::V6(address) => (AddressFamily::Inet6, RouteAddress::Inet6(address)),
    };
    message.header.address_family = family;
    message.header.scope = RouteScope::NoWhere;
    if prefix > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(address));
    }
    netlink.change(RouteNetlinkMessage::DelRoute(message))
}

/// Switches a link off.
pub fn set_down(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    netlink.change(RouteNetlinkMessage::SetLink(message))
}

/// Sets the largest packet of a link.
pub fn set_mtu(netlink: &mut Netlink, index: u32, mtu: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Mtu(mtu));
    netlink.change(RouteNetlinkMessage::SetLink(message))
}
