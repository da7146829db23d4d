//! Faults of a network: missing routes, links that are down or have a small MTU, lost notifications.

use std::{fs, io, net::IpAddr, os::fd::BorrowedFd};

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteScope},
};
use netviz::sys::netlink::Netlink;
use nix::sys::socket::{NetlinkAddr, getsockname, setsockopt, sockopt::RcvBuf};

/// Deletes a route from the main table.
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

/// Sets a link down.
pub fn set_down(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    netlink.change(RouteNetlinkMessage::SetLink(message))
}

/// Sets the MTU of a link.
pub fn set_mtu(netlink: &mut Netlink, index: u32, mtu: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes.push(LinkAttribute::Mtu(mtu));
    netlink.change(RouteNetlinkMessage::SetLink(message))
}

/// Shrinks the receive buffer of every socket of this process that listens to netlink notifications, so
/// that the kernel drops most of them. Returns the number of sockets.
///
/// # Panics
/// If a socket refuses the size.
pub fn shrink_listeners(bytes: usize) -> usize {
    let open = fs::read_dir("/proc/self/fd").expect("own descriptors");
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // Other sockets have no netlink address, and those for requests are in no group.
    let listens = |fd: &i32| getsockname::<NetlinkAddr>(*fd).is_ok_and(|it| it.groups() != 0);
    let listeners: Vec<i32> = numbers.filter(listens).collect();
    for &fd in &listeners {
        // SAFETY: the socket belongs to netviz's watch, which outlives this call.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        setsockopt(&socket, RcvBuf, &bytes).expect("the size of a receive buffer");
    }
    listeners.len()
}
