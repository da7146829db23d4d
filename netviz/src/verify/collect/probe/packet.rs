//! Builds probes, and parses replies.

use std::net::IpAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use etherparse::{IpNumber, Ipv4HeaderSlice, TcpHeader, TcpHeaderSlice};
use netviz_ebpf::crossing::{MAGIC, MARKER_SIZE, Marker};

use super::options::{ProbeOptions, ProbeTarget, TRANSPORT, ip_header};
use crate::{sys::icmp, verify::Protocol};

/// Options of a SYN: a maximum segment size of 1 460 bytes, and nothing that adds a second option to
/// the reply.
const SYN_OPTIONS: [u8; 6] = [1, 1, 2, 4, 0x05, 0xb4];
/// An option for experiments (RFC 4727), which receivers ignore.
const EXPERIMENT: u8 = 253;

fn marker(probe_options: &ProbeOptions, target: &ProbeTarget, sequence: u32) -> [u8; MARKER_SIZE] {
    let marker = Marker {
        magic: MAGIC,
        cookie: probe_options.cookie,
        flow: target.flow.to_be_bytes(),
        sequence: sequence.to_be_bytes(),
    };
    marker.bytes()
}

/// The payload of an echo request or a datagram: padding, then the marker.
fn payload(probe_options: &ProbeOptions, target: &ProbeTarget, sequence: u32) -> Bytes {
    let size = probe_options.protocol.size(target.to, probe_options.size)
        - ip_header(target.to)
        - TRANSPORT;
    let mut payload = BytesMut::with_capacity(size as usize);
    payload.put_bytes(0, size as usize - MARKER_SIZE);
    payload.put_slice(&marker(probe_options, target, sequence));
    payload.freeze()
}

/// The bytes to write to the socket of `own` address and port.
pub(super) fn build(
    probe_options: &ProbeOptions,
    target: &ProbeTarget,
    own: (IpAddr, u16),
    sequence: u32,
) -> Option<Bytes> {
    match probe_options.protocol {
        Protocol::Udp => Some(payload(probe_options, target, sequence)),
        Protocol::Icmp => {
            let payload = payload(probe_options, target, sequence);
            Some(icmp::request(target.to, own.1, sequence as u16, &payload))
        }
        Protocol::Tcp => syn(probe_options, target, own, sequence),
    }
}

fn syn(
    probe_options: &ProbeOptions,
    target: &ProbeTarget,
    own: (IpAddr, u16),
    sequence: u32,
) -> Option<Bytes> {
    let number = probe_options.syn_number(target, sequence);
    let mut header = TcpHeader::new(own.1, target.port, number, u16::MAX);
    header.syn = true;
    let mut options = BytesMut::from(&SYN_OPTIONS[..]);
    options.put_slice(&[EXPERIMENT, 2 + MARKER_SIZE as u8]);
    options.put_slice(&marker(probe_options, target, sequence));
    header.set_options_raw(&options).ok()?;
    let checksum = match (own.0, target.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &[])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &[])
        }
        _ => return None,
    };
    header.checksum = checksum.ok()?;
    Some(Bytes::copy_from_slice(&header.to_bytes()))
}

/// Parses a datagram from the socket of `target`: the number of the packet that it replies to, and whether
/// it is a reset. `None` if it is not a reply to one of its packets.
pub fn read(
    probe_options: &ProbeOptions,
    target: &ProbeTarget,
    own_port: u16,
    datagram: &[u8],
) -> Option<(u32, bool)> {
    match probe_options.protocol {
        Protocol::Tcp => read_tcp(probe_options, target, own_port, datagram),
        Protocol::Icmp if icmp::reply(datagram, target.to.is_ipv4()).is_none() => None,
        Protocol::Icmp | Protocol::Udp => Some((marked(probe_options, target, datagram)?, false)),
    }
}

/// The number of the packet of `target` that ends like this.
pub fn marked(probe_options: &ProbeOptions, target: &ProbeTarget, packet: &[u8]) -> Option<u32> {
    let marker = Marker::at_end(packet)?;
    let ours = marker.cookie == probe_options.cookie && marker.flow == target.flow.to_be_bytes();
    ours.then(|| u32::from_be_bytes(marker.sequence))
}

/// The number of the packet of `target` that an ICMP error quotes. Some routers quote no more than 8
/// bytes of the transport header, which do not identify a datagram.
pub(super) fn quoted(
    probe_options: &ProbeOptions,
    target: &ProbeTarget,
    own_port: u16,
    quoted: &[u8],
) -> Option<u32> {
    let header = || {
        let [a, b, c, d] = *quoted.get(4..8)?.first_chunk()?;
        match probe_options.protocol {
            Protocol::Icmp => {
                let ours = u16::from_be_bytes([a, b]) == own_port;
                ours.then(|| u16::from_be_bytes([c, d]).into())
            }
            Protocol::Tcp => {
                let number = u32::from_be_bytes([a, b, c, d]);
                let (flow, sequence) = probe_options.of_syn(number)?;
                (flow == target.flow).then_some(sequence)
            }
            Protocol::Udp => None,
        }
    };
    marked(probe_options, target, quoted).or_else(header)
}

fn read_tcp(
    probe_options: &ProbeOptions,
    target: &ProbeTarget,
    own_port: u16,
    datagram: &[u8],
) -> Option<(u32, bool)> {
    // A raw socket returns the IPv4 header, but not the IPv6 one.
    let header = match target.to {
        IpAddr::V6(_) => 0,
        IpAddr::V4(_) => {
            let header = Ipv4HeaderSlice::from_slice(datagram).ok()?;
            let length = header.slice().len();
            (header.protocol() == IpNumber::TCP).then_some(length)?
        }
    };
    let segment = TcpHeaderSlice::from_slice(datagram.get(header..)?).ok()?;
    let for_us = segment.destination_port() == own_port && segment.ack();
    let (flow, sequence) = probe_options.of_syn(segment.acknowledgment_number().wrapping_sub(1))?;
    let answers = (segment.syn() || segment.rst()) && for_us && flow == target.flow;
    answers.then(|| (sequence, segment.rst()))
}
