//! Builds probes, and parses replies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{BufMut as _, Bytes, BytesMut};
use etherparse::{IpNumber, Ipv4HeaderSlice, TcpHeader, TcpHeaderSlice};
use netviz_ebpf::crossing::{MAGIC, MARKER_SIZE, Marker};

use super::{Aim, Manner};
use crate::{sys::icmp, verify::protocol::Protocol};

/// Headers of ICMP echo and of UDP have the same length.
const TRANSPORT: u32 = 8;
/// Of a TCP header with as many options as there can be.
const SYN: u32 = 60;
/// Options of a SYN: a maximum segment size of 1 460 bytes, and nothing that adds a second option to
/// the reply.
const SYN_OPTIONS: [u8; 6] = [1, 1, 2, 4, 0x05, 0xb4];
/// An option for experiments (RFC 4727), which receivers ignore.
const EXPERIMENT: u8 = 253;

const fn ip_header(to: IpAddr) -> u32 {
    match to {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

impl Protocol {
    /// The possible length of an IP packet that is closest to `wanted`.
    #[must_use]
    pub fn size(self, to: IpAddr, wanted: u32) -> u32 {
        let header = ip_header(to);
        match self {
            Self::Tcp => header + SYN,
            Self::Icmp | Self::Udp => wanted.max(header + TRANSPORT + MARKER_SIZE as u32),
        }
    }
}

fn marker(manner: &Manner, aim: &Aim, sequence: u32) -> Marker {
    Marker {
        magic: MAGIC,
        cookie: manner.cookie,
        flow: aim.flow.to_be_bytes(),
        sequence: sequence.to_be_bytes(),
    }
}

/// The payload of an echo request or a datagram: padding, then the marker.
fn payload(manner: &Manner, aim: &Aim, sequence: u32) -> Bytes {
    let size = manner.protocol.size(aim.to, manner.size) - ip_header(aim.to) - TRANSPORT;
    let mut payload = BytesMut::with_capacity(size as usize);
    payload.put_bytes(0, size as usize - MARKER_SIZE);
    payload.put_slice(&marker(manner, aim, sequence).bytes());
    payload.freeze()
}

/// The bytes to write to the socket.
pub(super) fn build(
    manner: &Manner,
    aim: &Aim,
    own: (IpAddr, u16),
    sequence: u32,
) -> Option<Bytes> {
    match manner.protocol {
        Protocol::Udp => Some(payload(manner, aim, sequence)),
        Protocol::Icmp => {
            let payload = payload(manner, aim, sequence);
            Some(icmp::request(aim.to, own.1, sequence as u16, &payload))
        }
        Protocol::Tcp => syn(manner, aim, own, sequence),
    }
}

/// Sequence number of a marked SYN, which its reply acknowledges plus one.
fn initial(manner: &Manner, aim: &Aim, sequence: u32) -> u32 {
    let index = aim.flow.wrapping_mul(manner.count).wrapping_add(sequence);
    u32::from(manner.prefix) << 16 | index & 0xffff
}

/// The pair and the packet of this run whose SYN has this number.
pub(in crate::verify) fn of_initial(manner: &Manner, number: u32) -> Option<(u32, u32)> {
    let index = number & 0xffff;
    let ours = number >> 16 == u32::from(manner.prefix) && manner.count > 0;
    ours.then(|| (index / manner.count, index % manner.count))
}

fn syn(manner: &Manner, aim: &Aim, own: (IpAddr, u16), sequence: u32) -> Option<Bytes> {
    let mut header = TcpHeader::new(own.1, aim.port, initial(manner, aim, sequence), u16::MAX);
    header.syn = true;
    let mut options = BytesMut::from(&SYN_OPTIONS[..]);
    options.put_u8(EXPERIMENT);
    options.put_u8(2 + MARKER_SIZE as u8);
    options.put_slice(&marker(manner, aim, sequence).bytes());
    header.set_options_raw(&options).ok()?;
    header.checksum = match (own.0, aim.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => checksum_v4(&header, from, to)?,
        (IpAddr::V6(from), IpAddr::V6(to)) => checksum_v6(&header, from, to)?,
        _ => return None,
    };
    Some(Bytes::copy_from_slice(&header.to_bytes()))
}

fn checksum_v4(header: &TcpHeader, from: Ipv4Addr, to: Ipv4Addr) -> Option<u16> {
    header
        .calc_checksum_ipv4_raw(from.octets(), to.octets(), &[])
        .ok()
}

fn checksum_v6(header: &TcpHeader, from: Ipv6Addr, to: Ipv6Addr) -> Option<u16> {
    header
        .calc_checksum_ipv6_raw(from.octets(), to.octets(), &[])
        .ok()
}

/// A reply to one packet.
pub(super) struct Received {
    pub(super) sequence: u32,
    /// Whether it is a reset.
    pub(super) refused: bool,
}

/// Parses a datagram from the socket of `aim`; `None` if it is not a reply to one of its packets.
pub(super) fn read(manner: &Manner, aim: &Aim, own_port: u16, datagram: &[u8]) -> Option<Received> {
    match manner.protocol {
        Protocol::Tcp => read_tcp(manner, aim, own_port, datagram),
        Protocol::Icmp if icmp::reply(datagram, aim.to.is_ipv4()).is_none() => None,
        Protocol::Icmp | Protocol::Udp => {
            let sequence = marked(manner, aim, datagram)?;
            Some(Received {
                sequence,
                refused: false,
            })
        }
    }
}

/// The number of the packet of `aim` that ends like this.
pub(super) fn marked(manner: &Manner, aim: &Aim, packet: &[u8]) -> Option<u32> {
    let marker = Marker::at_end(packet)?;
    let ours = marker.cookie == manner.cookie && marker.flow == aim.flow.to_be_bytes();
    ours.then(|| u32::from_be_bytes(marker.sequence))
}

/// A raw socket returns the IPv4 header, but not the IPv6 one.
fn transport(to: IpAddr, datagram: &[u8], protocol: IpNumber) -> Option<&[u8]> {
    match to {
        IpAddr::V6(_) => Some(datagram),
        IpAddr::V4(_) => {
            let header = Ipv4HeaderSlice::from_slice(datagram).ok()?;
            (header.protocol() == protocol)
                .then(|| datagram.get(header.slice().len()..))
                .flatten()
        }
    }
}

fn read_tcp(manner: &Manner, aim: &Aim, own_port: u16, datagram: &[u8]) -> Option<Received> {
    let segment = TcpHeaderSlice::from_slice(transport(aim.to, datagram, IpNumber::TCP)?).ok()?;
    let for_us = segment.destination_port() == own_port && segment.ack();
    let (flow, sequence) = of_initial(manner, segment.acknowledgment_number().wrapping_sub(1))?;
    let answers = (segment.syn() || segment.rst()) && for_us && flow == aim.flow;
    answers.then(|| Received {
        sequence,
        refused: segment.rst(),
    })
}
