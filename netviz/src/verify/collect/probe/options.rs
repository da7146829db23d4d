//! How and where probes are sent.

use std::{net::IpAddr, time::Duration};

use netviz_ebpf::crossing::{MARKER_SIZE, TcpReplies};

use crate::verify::{Protocol, collect::crossings::Marks, expect::Shape};

/// Headers of ICMP echo and of UDP have the same length.
pub(super) const TRANSPORT: u32 = 8;
/// A TCP header with as many options as there can be.
const SYN: u32 = 60;
/// The longest headers before a packet at any door: Ethernet with two VLAN tags, outer IPv6, UDP,
/// VXLAN, Ethernet, or those of an ICMPv6 error that quotes it.
const HEADERS: u32 = 160;
/// The shortest reply to a SYN: a reset, without an Ethernet header.
const RESET: u32 = 40;
/// Only the last fragment of a longer packet carries the marker, and it may be short: no network with
/// IPv6 has a smaller MTU, which includes a tunnel's headers.
const FRAGMENTS: u32 = 1_280 - 70;

/// The most marked SYNs of a run whose replies can be distinguished.
pub const MOST_SYNS: u32 = 1 << 16;

/// How a run sends its probes.
#[derive(Clone, Copy, Debug)]
pub struct ProbeOptions {
    /// The protocol.
    pub protocol: Protocol,
    /// How many to each destination.
    pub count: u32,
    /// Time between two packets of one pair.
    pub interval: Duration,
    /// Length of the IP packet in bytes, if the protocol leaves a choice.
    pub size: u32,
    /// Whether packets must not be fragmented (DF in IPv4).
    pub whole: bool,
    /// How long to wait for a reply.
    pub patience: Duration,
    /// The marker of this run.
    pub cookie: [u8; 16],
    /// Upper half of the sequence numbers of marked SYNs.
    pub prefix: u16,
}

/// One pair.
#[derive(Clone, Copy, Debug)]
pub struct ProbeTarget {
    /// Its number in this run.
    pub flow: u32,
    /// Destination.
    pub to: IpAddr,
    /// Destination port, for UDP and TCP.
    pub port: u16,
    /// Whether it may be a service, whose address programs at the sender's cgroup translate.
    pub may_be_service: bool,
}

impl ProbeOptions {
    /// What decides whether probes are fragmented.
    pub fn shape(&self) -> Shape {
        Shape {
            size: self.size,
            whole: self.whole,
        }
    }

    /// How to recognise the packets at the hooks, in a run of this many pairs.
    pub fn marks(&self, pairs: usize) -> Marks {
        let tcp = self.protocol == Protocol::Tcp;
        let short = tcp || self.size > FRAGMENTS;
        Marks {
            cookie: self.cookie,
            lengths: [if short { RESET } else { self.size }, self.size + HEADERS],
            tcp: TcpReplies {
                wanted: u32::from(tcp),
                prefix: u32::from(self.prefix),
            },
            pairs,
        }
    }

    /// The sequence number of a marked SYN; its reply acknowledges the next one.
    pub(super) fn syn_number(&self, target: &ProbeTarget, sequence: u32) -> u32 {
        let index = target.flow.wrapping_mul(self.count).wrapping_add(sequence);
        u32::from(self.prefix) << 16 | index & 0xffff
    }

    /// The pair and the packet of this run whose SYN has this number.
    pub(in crate::verify) fn of_syn(&self, number: u32) -> Option<(u32, u32)> {
        let index = number & 0xffff;
        let ours = number >> 16 == u32::from(self.prefix) && self.count > 0;
        ours.then(|| (index / self.count, index % self.count))
    }
}

pub(super) const fn ip_header(to: IpAddr) -> u32 {
    match to {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

impl Protocol {
    /// The possible length of an IP packet that is closest to `wanted`.
    pub fn size(self, to: IpAddr, wanted: u32) -> u32 {
        let header = ip_header(to);
        match self {
            Self::Tcp => header + SYN,
            Self::Icmp | Self::Udp => wanted.max(header + TRANSPORT + MARKER_SIZE as u32),
        }
    }
}
