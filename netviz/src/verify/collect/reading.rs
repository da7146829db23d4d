//! Parses the packets that the kernel reports into crossings: which pair, request or reply, in a tunnel.

use std::{collections::HashMap, net::IpAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice, UdpSlice};
use netviz_ebpf::{
    crossing::{HEAD_SIZE, IS_TCP_REPLY},
    follow::{GENEVE, TUNNEL_PORTS},
};

use super::{crossings::HookRecord, probe::ProbeOptions};
use crate::{
    sys::icmp::Message,
    verify::{Crossing, Protocol, ReplyKind, Way},
};

/// The header of VXLAN, and that of Geneve without options.
const TUNNEL_HEADER: usize = 8;

/// The sender's end of one pair.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its address.
    pub address: IpAddr,
    /// Addresses of its node: those of the tunnel's packets.
    pub node: Vec<IpAddr>,
    /// Its ports, or its ICMP identifier.
    pub ports: Vec<u16>,
    /// The destination port.
    pub to_port: u16,
}

/// Parses the records of one run.
#[derive(Debug)]
pub struct Reader {
    probe_options: ProbeOptions,
    pub(crate) owns: HashMap<u32, Own>,
}

impl Reader {
    /// For a run with these options.
    pub fn new(probe_options: ProbeOptions) -> Self {
        Self {
            probe_options,
            owns: HashMap::new(),
        }
    }

    /// Sets the sender's end of a pair.
    pub fn opened(&mut self, flow: u32, own: Own) {
        self.owns.insert(flow, own);
    }

    /// Returns the pair and the crossing; `None` if the packet is not of this run.
    pub fn read(&self, record: &HookRecord) -> Option<(u32, Crossing)> {
        let seen = &record.seen;
        let (flow, sequence) = if seen.flags & IS_TCP_REPLY == 0 {
            (seen.flow, seen.sequence)
        } else {
            self.probe_options.of_syn(seen.sequence)?
        };
        let own = self.owns.get(&flow)?;
        let length = (seen.head_length as usize).min(HEAD_SIZE);
        let frame = Frame::new(&seen.head[..length]);
        // The kernel's program compares only half of the number that a SYN-ACK acknowledges.
        if seen.flags & IS_TCP_REPLY != 0 && !frame.is_to(own) {
            return None;
        }
        let way = frame.way(self.probe_options.protocol, own);
        let mut crossing = record.crossing(way, sequence, frame.outer);
        crossing.kind = frame.kind;
        crossing.fragment = frame.fragment;
        Some((flow, crossing))
    }
}

/// The headers of a packet.
#[derive(Debug, Default)]
struct Frame {
    outer: bool,
    fragment: bool,
    addresses: Option<(IpAddr, IpAddr)>,
    ports: Option<(u16, u16)>,
    /// Whether it is an echo request, or a reply or an error.
    icmp: Option<Way>,
    kind: ReplyKind,
}

impl Frame {
    /// The headers of the innermost packet.
    fn new(head: &[u8]) -> Self {
        let packet = parse(head);
        let inside = packet.as_ref().and_then(inner);
        let innermost = match inside {
            Some(inside) => parse(inside),
            None => packet,
        };
        let frame = innermost.map(|packet| Self::from(&packet));
        Self {
            outer: inside.is_some(),
            ..frame.unwrap_or_default()
        }
    }

    fn set_icmp(&mut self, message: Message) {
        let (way, kind) = match message {
            Message::EchoRequest => (Way::Request, ReplyKind::default()),
            Message::EchoReply => (Way::Reply, ReplyKind::Reply),
            Message::PortUnreachable | Message::ProtocolUnreachable => {
                (Way::Reply, ReplyKind::Refusal)
            }
            Message::Redirect => (Way::Reply, ReplyKind::Redirect),
            Message::Error => (Way::Reply, ReplyKind::Error),
        };
        (self.icmp, self.kind) = (Some(way), kind);
    }

    fn is_to(&self, own: &Own) -> bool {
        self.ports.is_some_and(|(_, to)| own.ports.contains(&to))
    }

    fn way(&self, protocol: Protocol, own: &Own) -> Way {
        if let Some(way) = self.icmp {
            return way;
        }
        // Addresses and ports may be translated on the way, but rarely all of them.
        let ports = self.ports.filter(|_| protocol != Protocol::Icmp);
        match ports {
            Some((from, _)) if own.ports.contains(&from) => return Way::Request,
            Some((_, to)) if own.ports.contains(&to) => return Way::Reply,
            Some((_, to)) if to == own.to_port => return Way::Request,
            Some((from, _)) if from == own.to_port => return Way::Reply,
            _ => {}
        }
        // A fragment has no ports; a fragment of a tunnel's packet does not have the pods' addresses either.
        match self.addresses {
            Some((from, _)) if from == own.address => Way::Request,
            Some((_, to)) if to == own.address => Way::Reply,
            Some((_, to)) if self.fragment && own.node.contains(&to) => Way::Reply,
            _ => Way::Request,
        }
    }
}

/// With an Ethernet header, as on most devices, or without.
fn parse(bytes: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    let ethernet = LaxSlicedPacket::from_ethernet(bytes).ok();
    match ethernet {
        Some(packet) if packet.net.is_some() => Some(packet),
        _ => LaxSlicedPacket::from_ip(bytes).ok(),
    }
}

/// The frame inside of a tunnel's packet.
fn inner<'a>(packet: &LaxSlicedPacket<'a>) -> Option<&'a [u8]> {
    let Some(TransportSlice::Udp(udp)) = &packet.transport else {
        return None;
    };
    let payload = UdpSlice::payload(udp);
    let port = udp.destination_port();
    let options = match payload.first() {
        // Geneve: the lower six bits are the options' length in words.
        Some(first) if port == GENEVE => usize::from(first & 0x3f) * 4,
        _ => 0,
    };
    let inner = payload.get(TUNNEL_HEADER + options..);
    inner.filter(|_| TUNNEL_PORTS.contains(&port))
}

impl From<&LaxSlicedPacket<'_>> for Frame {
    fn from(packet: &LaxSlicedPacket<'_>) -> Self {
        let mut frame = Self::default();
        match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let (from, to) = (header.source_addr(), header.destination_addr());
                frame.addresses = Some((from.into(), to.into()));
                frame.fragment = ip.payload().fragmented;
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let (from, to) = (header.source_addr(), header.destination_addr());
                frame.addresses = Some((from.into(), to.into()));
                frame.fragment = ip.payload().fragmented;
            }
            _ => {}
        }
        match &packet.transport {
            Some(TransportSlice::Udp(udp)) => {
                frame.ports = Some((udp.source_port(), udp.destination_port()));
            }
            Some(TransportSlice::Tcp(tcp)) => {
                frame.ports = Some((tcp.source_port(), tcp.destination_port()));
                if tcp.rst() {
                    frame.kind = ReplyKind::Refusal;
                }
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                frame.set_icmp(Message::new(true, icmp.type_u8(), icmp.code_u8()));
            }
            Some(TransportSlice::Icmpv6(icmp)) => {
                frame.set_icmp(Message::new(false, icmp.type_u8(), icmp.code_u8()));
            }
            _ => {}
        }
        frame
    }
}
