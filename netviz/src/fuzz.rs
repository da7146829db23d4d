//! Ways for the tests to what reads foreign bytes.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use crate::verify::collect::probe::{self, Manner, Protocol};

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
