//! Parses the packets that the kernel reports into crossings: which pair, request or reply, in a tunnel.

use std::{collections::HashMap, net::IpAddr};

use etherparse::{Icmpv4Type, Icmpv6Type, LaxNetSlice, LaxSlicedPacket, TransportSlice, UdpSlice};
use netviz_ebpf::crossing::{HEAD_SIZE, IS_TCP_REPLY};

use super::{
    crossings::Sighting,
    probe::{Manner, of_initial},
};
use crate::verify::{
    observation::{Crossing, Way},
    protocol::Protocol,
};

/// UDP ports of tunnels: VXLAN in Linux and Cilium, VXLAN as registered, Geneve.
const TUNNELS: [u16; 3] = [8472, 4789, 6081];
/// The header of VXLAN, and that of Geneve without options.
const TUNNEL_HEADER: usize = 8;

/// The sender's end of one pair.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its address.
    pub address: IpAddr,
    /// Addresses of its node: those of the tunnel's packets.
    pub node: Vec<IpAddr>,
    /// Its port, or its ICMP identifier.
    pub port: u16,
    /// The destination port.
    pub to_port: u16,
}

/// Parses the sightings of one run.
#[derive(Debug)]
pub struct Reader {
    manner: Manner,
    owns: HashMap<u32, Own>,
}

impl Reader {
    /// For a run that sends in this manner.
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            owns: HashMap::new(),
        }
    }

    /// Sets the sender's end of a pair.
    pub fn opened(&mut self, flow: u32, own: Own) {
        self.owns.insert(flow, own);
    }

    /// Returns the pair and the crossing; `None` if the packet is not of this run.
    #[must_use]
    pub fn read(&self, sighting: &Sighting) -> Option<(u32, Crossing)> {
        let seen = &sighting.seen;
        let (flow, sequence) = if seen.flags & IS_TCP_REPLY == 0 {
            (seen.flow, seen.sequence)
        } else {
            of_initial(&self.manner, seen.sequence)?
        };
        let own = self.owns.get(&flow)?;
        let length = (seen.head_length as usize).min(HEAD_SIZE);
        let frame = Frame::of(&seen.head[..length]);
        // The kernel's program compares only half of the number that a SYN-ACK acknowledges.
        if seen.flags & IS_TCP_REPLY != 0 && !frame.is_to(own) {
            return None;
        }
        let crossing = Crossing {
            at: sighting.at(),
            door: sighting.door,
            direction: sighting.direction(),
            way: frame.way(self.manner.protocol, own),
            sequence,
            outer: frame.outer,
            fragment: frame.fragment,
            tunnel: sighting.tunnel(),
        };
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
    icmp: Option<Icmp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Icmp {
    Request,
    Reply,
    Error,
}

impl Frame {
    /// Of the innermost packet.
    fn of(head: &[u8]) -> Self {
        let mut outer = false;
        let mut bytes = head;
        loop {
            let packet = parse(bytes);
            match packet.as_ref().and_then(inner) {
                Some(inside) if !outer => {
                    outer = true;
                    bytes = inside;
                }
                _ => {
                    return Self {
                        outer,
                        ..packet.map(|packet| Self::from(&packet)).unwrap_or_default()
                    };
                }
            }
        }
    }

    fn is_to(&self, own: &Own) -> bool {
        self.ports.is_some_and(|(_, to)| to == own.port)
    }

    fn way(&self, protocol: Protocol, own: &Own) -> Way {
        match self.icmp {
            Some(Icmp::Request) => return Way::Request,
            Some(Icmp::Reply | Icmp::Error) => return Way::Reply,
            None => {}
        }
        // Addresses and ports may be translated on the way, but rarely all of them.
        let ports = self.ports.filter(|_| protocol != Protocol::Icmp);
        match ports {
            Some((from, _)) if from == own.port => return Way::Request,
            Some((_, to)) if to == own.port => return Way::Reply,
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
    TUNNELS
        .contains(&udp.destination_port())
        .then(|| payload.get(tunnel_header(udp.destination_port(), payload)..))
        .flatten()
}

fn tunnel_header(port: u16, payload: &[u8]) -> usize {
    let options = match payload.first() {
        // Geneve: the lower six bits are the options' length in words.
        Some(first) if port == 6081 => usize::from(first & 0x3f) * 4,
        _ => 0,
    };
    TUNNEL_HEADER + options
}

impl From<&LaxSlicedPacket<'_>> for Frame {
    fn from(packet: &LaxSlicedPacket<'_>) -> Self {
        let addresses = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                Some((
                    header.source_addr().into(),
                    header.destination_addr().into(),
                ))
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                Some((
                    header.source_addr().into(),
                    header.destination_addr().into(),
                ))
            }
            _ => None,
        };
        let fragment = match &packet.net {
            Some(LaxNetSlice::Ipv4(ip)) => ip.payload().fragmented,
            Some(LaxNetSlice::Ipv6(ip)) => ip.payload().fragmented,
            _ => false,
        };
        let ports = match &packet.transport {
            Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
            Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
            _ => None,
        };
        Self {
            outer: false,
            fragment,
            addresses,
            ports,
            icmp: packet.transport.as_ref().and_then(icmp),
        }
    }
}

fn icmp(transport: &TransportSlice<'_>) -> Option<Icmp> {
    match transport {
        TransportSlice::Icmpv4(icmp) => Some(match icmp.icmp_type() {
            Icmpv4Type::EchoRequest(_) => Icmp::Request,
            Icmpv4Type::EchoReply(_) => Icmp::Reply,
            _ => Icmp::Error,
        }),
        TransportSlice::Icmpv6(icmp) => Some(match icmp.icmp_type() {
            Icmpv6Type::EchoRequest(_) => Icmp::Request,
            Icmpv6Type::EchoReply(_) => Icmp::Reply,
            _ => Icmp::Error,
        }),
        _ => None,
    }
}
