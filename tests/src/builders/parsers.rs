//! netviz's parsers of foreign bytes, each as a function that fuzz tests call.

use netlink_packet_route::RouteNetlinkMessage;
use netviz::{
    attach::clsact,
    discover,
    sys::netlink::{
        self,
        notifications::{self, Origin},
    },
};

/// The sequence number of the request that [`netlink_answer`] expects answers to.
pub const SEQUENCE: u32 = 7;

/// Parses one datagram of an answer. Returns the number of messages.
pub fn netlink_answer(datagram: &[u8]) -> usize {
    netlink::parse(datagram, SEQUENCE).len()
}

/// Parses an answer about links and addresses. Returns the number of interfaces.
pub fn interfaces(datagram: &[u8]) -> usize {
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    for answer in netlink::parse(datagram, SEQUENCE) {
        match answer {
            RouteNetlinkMessage::NewLink(link) => links.push(link),
            RouteNetlinkMessage::NewAddress(address) => addresses.push(address),
            _ => {}
        }
    }
    discover::links(links, addresses).len()
}

/// Parses an answer about filters. Returns the number of filters, and of those that netviz takes for its
/// own.
pub fn filters(datagram: &[u8]) -> (usize, usize) {
    let filters = clsact::listed(netlink::parse(datagram, SEQUENCE));
    let own = filters.iter().filter(|it| it.maker().is_some());
    (filters.len(), own.count())
}

/// Parses an answer about namespace ids. Returns the id.
pub fn namespace_id(datagram: &[u8]) -> Option<i32> {
    netlink::nsid(&netlink::parse(datagram, SEQUENCE))
}

/// Parses a datagram of notifications. Returns their number.
pub fn netlink_notifications(datagram: &[u8]) -> usize {
    notifications::parse(datagram, Origin::Own).len()
}
