//! Ways for the tests to what reads foreign bytes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    time::Duration,
};

use netlink_packet_route::RouteNetlinkMessage;

use crate::{
    attach::clsact,
    discover,
    names::{kubernetes::fuzz_entry, maps::drop_counters},
    sys::netlink,
    verify::collect::probe::{self, Manner, Protocol},
};

/// Of the question that [`netlink_answer`] waits for the answer to.
pub const SEQUENCE: u32 = 7;

/// One datagram of an answer: how many messages were read of it.
pub fn netlink_answer(datagram: &[u8]) -> usize {
    netlink::read_answer(datagram, SEQUENCE).len()
}

/// The same, of links and addresses: how many interfaces are made of it.
pub fn interfaces(datagram: &[u8]) -> usize {
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    for answer in netlink::read_answer(datagram, SEQUENCE) {
        match answer {
            RouteNetlinkMessage::NewLink(link) => links.push(link),
            RouteNetlinkMessage::NewAddress(address) => addresses.push(address),
            _ => {}
        }
    }
    discover::links(links, addresses).len()
}

/// The same, of filters: how many are on the hook, and how many of them netviz would take for its own.
pub fn filters(datagram: &[u8]) -> (usize, usize) {
    let filters = clsact::listed(netlink::read_answer(datagram, SEQUENCE));
    let own = filters.iter().filter(|it| it.maker().is_some());
    (filters.len(), own.count())
}

/// The same, of ids of namespaces: the one that is taken.
pub fn namespace_id(datagram: &[u8]) -> Option<i32> {
    netlink::nsid(&netlink::read_answer(datagram, SEQUENCE))
}

/// An answer of the Kubernetes API, or a line of a watch: how many objects are kept of it.
pub fn kubernetes_objects(bytes: &[u8]) -> usize {
    fuzz_entry::objects(bytes)
}

/// A kubeconfig, and everything that it holds: whether the API can be asked by it.
#[must_use]
pub fn kubeconfig(path: &Path) -> bool {
    fuzz_entry::kubeconfig(path)
}

/// A file with a certificate, or what is in its armour: whether it is one.
#[must_use]
pub fn certificate(bytes: &[u8]) -> bool {
    fuzz_entry::certificate(bytes)
}

/// Entries of `cilium_metrics`, one half of them read before the other: what is said of them.
#[must_use]
pub fn cilium_drops(entries: &[u8]) -> Vec<String> {
    drop_counters::said(entries)
}

/// One datagram of notifications: how many interfaces it says were deleted.
pub fn netlink_notification(datagram: &[u8]) -> usize {
    discover::deletions(datagram).len()
}

/// What a socket gave to the sender of probes: how many of its readers took it for an answer.
#[must_use]
pub fn probe_answer(datagram: &[u8]) -> usize {
    let to = [
        IpAddr::V4(Ipv4Addr::new(10, 10, 1, 164)),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let ways = PROTOCOLS
        .iter()
        .flat_map(|protocol| to.map(|to| (*protocol, to)));
    ways.filter(|(protocol, to)| probe::is_answer(&manner(*protocol), *to, datagram))
        .count()
}

/// All that probes are sent by.
pub const PROTOCOLS: [Protocol; 3] = [Protocol::Icmp, Protocol::Udp, Protocol::Tcp];

/// Of the run for which everything is read.
#[must_use]
pub fn manner(protocol: Protocol) -> Manner {
    Manner {
        whole: true,
        protocol,
        count: 4,
        interval: Duration::from_millis(5),
        size: 84,
        patience: Duration::from_millis(300),
        cookie: COOKIE,
        prefix: 0,
    }
}

/// By which the answers of that run are known.
pub const COOKIE: [u8; 16] = *b"netviz, mangled!";
