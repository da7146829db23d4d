//! Packets between two addresses, in every encapsulation that netviz follows.

use bytes::{BufMut as _, BytesMut};
use netviz_ebpf::follow::{self, ASKS, IS_OUTER, IS_REPLY, IS_STREAM};

use super::{IPV4, IPV6, QINQ, VLAN, ethernet};

/// 10.9.0.1 and 10.9.0.2, in packet order.
pub const A: [u32; 4] = [u32::from_ne_bytes([10, 9, 0, 1]), 0, 0, 0];
/// See [`A`].
pub const B: [u32; 4] = [u32::from_ne_bytes([10, 9, 0, 2]), 0, 0, 0];
const NODES: [[u8; 4]; 2] = [[172, 18, 0, 2], [172, 18, 0, 4]];

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// TCP sequence number.
const NUMBER: u32 = 0xffff_fff0;

/// A frame, its filter, and the expected event.
#[derive(Clone, Debug)]
pub struct PacketCase {
    /// Description for messages.
    pub name: String,
    /// The frame.
    pub bytes: BytesMut,
    /// Filter that matches it.
    pub pair: follow::PairFilter,
    /// Flags, without the hook.
    pub flags: u32,
    /// First byte of the stream.
    pub start: u32,
    /// Bytes of the stream.
    pub length: u32,
}

/// Returns a datagram with a number from A to B.
#[must_use]
pub fn datagram(number: u16) -> BytesMut {
    frame(
        &udp((4_444, 80), &[&number.to_be_bytes()[..], &[7; 60]].concat()),
        UDP,
        number,
    )
}

/// Returns the same packet inside VXLAN.
#[must_use]
pub fn vxlan(inner: &[u8]) -> BytesMut {
    wrapped(8472, &[8, 0, 0, 0, 0, 0, 1, 0], inner)
}

/// Returns one frame of each kind, in each direction and encapsulation.
#[must_use]
pub fn between() -> Vec<PacketCase> {
    let mut all = Vec::new();
    for (name, protocol, bytes, flags, length) in transports() {
        let plain = frame(&bytes, protocol, 9);
        let back = reversed(&plain);
        for (plain, way) in [(plain, 0), (back, IS_REPLY)] {
            // `ASKS` is set in both directions.
            let flags = flags | way;
            for (wrapping, bytes, outer) in wrappings(&plain) {
                all.push(PacketCase {
                    name: format!("{name} {way} {wrapping}"),
                    bytes,
                    pair: pair(4),
                    flags: flags | outer,
                    start: if length > 0 { NUMBER } else { 0 },
                    length,
                });
            }
        }
    }
    all.extend(ipv6_packets());
    all
}

/// Returns packets of each family and protocol whose payload ends with `end`.
#[must_use]
pub fn ending_with(end: &[u8]) -> Vec<(String, BytesMut)> {
    let datagram = udp((4_444, 80), end);
    let request = |kind| [&echo(kind)[..], end].concat();
    // A SYN with `end` in its options.
    let mut syn = tcp(2, end);
    syn[12] = (5 + end.len() as u8 / 4) << 4;
    vec![
        ("IPv4 UDP".into(), frame(&datagram, UDP, 9)),
        ("IPv4 ICMP".into(), frame(&request(8), ICMP, 9)),
        ("IPv4 TCP".into(), frame(&syn, TCP, 9)),
        ("IPv6 UDP".into(), six(UDP, &datagram)),
        ("IPv6 ICMP".into(), six(ICMPV6, &request(128))),
        ("IPv6 TCP".into(), six(TCP, &syn)),
    ]
}

/// Returns the replies to a SYN: a SYN-ACK with a maximum segment size, and a reset.
#[must_use]
pub fn replies_to_syn(acknowledged: u32) -> Vec<(String, BytesMut)> {
    let segment = |flags, options: &[u8]| {
        let mut segment = tcp(flags, options);
        segment[8..12].copy_from_slice(&acknowledged.to_be_bytes());
        segment[12] = (5 + options.len() as u8 / 4) << 4;
        segment
    };
    let (ack, reset) = (segment(0x12, &[2, 4, 5, 0xb4]), segment(0x14, &[]));
    vec![
        ("IPv4 SYN-ACK".into(), frame(&ack, TCP, 9)),
        ("IPv4 reset".into(), frame(&reset, TCP, 9)),
        ("IPv6 SYN-ACK".into(), six(TCP, &ack)),
        ("IPv6 reset".into(), six(TCP, &reset)),
    ]
}

/// Returns a packet in every encapsulation, with `trailer` behind the packet, and behind the tunnel's
/// packet.
#[must_use]
pub fn with_trailer(packet: &[u8], trailer: &[u8]) -> Vec<(&'static str, BytesMut)> {
    let longer = [packet, trailer].concat();
    let within = wrappings(&longer).into_iter();
    let behind = wrappings(packet).into_iter().map(|(name, bytes, outer)| {
        let bytes = [&bytes[..], trailer].concat();
        (name, BytesMut::from(&bytes[..]), outer)
    });
    let all = within.chain(behind);
    all.map(|(name, bytes, _)| (name, bytes)).collect()
}

fn pair(family: u32) -> follow::PairFilter {
    let six = |last: u8| {
        let mut bytes = [0xfd; 16];
        bytes[15] = last;
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        [word(0), word(4), word(8), word(12)]
    };
    let (from, to) = if family == 4 {
        (A, B)
    } else {
        (six(1), six(2))
    };
    follow::PairFilter {
        from,
        to,
        family,
        ..follow::PairFilter::default()
    }
}

/// Returns name, protocol, bytes, flags, and bytes of the stream.
fn transports() -> Vec<(&'static str, u8, Vec<u8>, u32, u32)> {
    vec![
        ("echo request", ICMP, echo(8), ASKS, 0),
        ("echo reply", ICMP, echo(0), 0, 0),
        ("datagram", UDP, udp((4_444, 80), &[1; 30]), 0, 0),
        ("empty datagram", UDP, udp((4_444, 80), &[]), 0, 0),
        ("syn", TCP, tcp(2, &[]), ASKS, 0),
        ("acknowledgement", TCP, tcp(0x10, &[]), 0, 0),
        ("segment", TCP, tcp(0x18, &[5; 900]), ASKS | IS_STREAM, 900),
        ("another protocol", 132, vec![3; 24], 0, 0),
    ]
}

fn wrappings(plain: &[u8]) -> Vec<(&'static str, BytesMut, u32)> {
    let mut tagged = BytesMut::from(&plain[..12]);
    tagged.put_u16(VLAN);
    tagged.put_u16(7);
    tagged.put_slice(&plain[12..]);
    let mut twice = BytesMut::from(&plain[..12]);
    twice.put_u16(QINQ);
    twice.put_u16(100);
    twice.put_slice(&tagged[12..]);
    // Padded, like short frames at an uplink.
    let mut filled = BytesMut::from(plain);
    filled.resize(plain.len().max(70), 0);
    vec![
        ("as it is", BytesMut::from(plain), 0),
        ("with a tag", tagged, 0),
        ("with two tags", twice, 0),
        ("filled up", filled, 0),
        ("in VXLAN", vxlan(plain), IS_OUTER),
        (
            "in VXLAN as registered",
            wrapped(4789, &[8, 0, 0, 0, 0, 0, 1, 0], plain),
            IS_OUTER,
        ),
        (
            "in Geneve",
            wrapped(6081, &[0, 0, 0x65, 0x58, 0, 0, 1, 0], plain),
            IS_OUTER,
        ),
        (
            "in Geneve with options",
            wrapped(
                6081,
                &[2, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8],
                plain,
            ),
            IS_OUTER,
        ),
    ]
}

/// Returns IPv6 packets and a fragment.
fn ipv6_packets() -> Vec<PacketCase> {
    let mut echo = echo(128);
    let whole = six(ICMPV6, &echo);
    let mut fragment = vec![ICMPV6, 0, 0, 1, 0, 0, 0, 9];
    fragment.append(&mut echo);
    let first = six(44, &fragment);
    [("IPv6", whole), ("IPv6 fragment", first)]
        .into_iter()
        .flat_map(|(name, bytes)| {
            let outer = vxlan(&bytes);
            [(bytes, 0), (outer, IS_OUTER)].map(|(bytes, outer)| PacketCase {
                name: format!("{name} {outer}"),
                bytes,
                pair: pair(6),
                flags: ASKS | outer,
                start: 0,
                length: 0,
            })
        })
        .collect()
}

fn six(next: u8, payload: &[u8]) -> BytesMut {
    let mut frame = ethernet(IPV6);
    frame.put_slice(&[0x60, 0, 0, 0]);
    frame.put_u16(payload.len() as u16);
    frame.put_slice(&[next, 64]);
    for last in [1, 2] {
        let mut address = [0xfd; 16];
        address[15] = last;
        frame.put_slice(&address);
    }
    frame.put_slice(payload);
    frame
}

fn frame(transport: &[u8], protocol: u8, id: u16) -> BytesMut {
    let mut frame = ethernet(IPV4);
    ip(
        &mut frame,
        transport,
        protocol,
        id,
        [[10, 9, 0, 1], [10, 9, 0, 2]],
    );
    frame
}

fn ip(frame: &mut BytesMut, transport: &[u8], protocol: u8, id: u16, ends: [[u8; 4]; 2]) {
    frame.put_slice(&[0x45, 0]);
    frame.put_u16(20 + transport.len() as u16);
    frame.put_u16(id);
    frame.put_slice(&[0x40, 0, 64, protocol, 0, 0]);
    frame.put_slice(&ends[0]);
    frame.put_slice(&ends[1]);
    frame.put_slice(transport);
}

/// Returns the same packet from B to A.
fn reversed(frame: &[u8]) -> BytesMut {
    let mut turned = BytesMut::from(frame);
    turned[26..30].copy_from_slice(&[10, 9, 0, 2]);
    turned[30..34].copy_from_slice(&[10, 9, 0, 1]);
    turned
}

fn echo(kind: u8) -> Vec<u8> {
    [&[kind, 0, 0x12, 0x34, 0, 1, 0, 2][..], &[9; 48]].concat()
}

fn udp((from, to): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    let header = [
        &from.to_be_bytes()[..],
        &to.to_be_bytes(),
        &length,
        &[0xab, 0xcd],
    ]
    .concat();
    [&header[..], payload].concat()
}

fn tcp(flags: u8, payload: &[u8]) -> Vec<u8> {
    let numbers = [NUMBER.to_be_bytes(), [0, 0, 0, 9]].concat();
    let rest = [0x50, flags, 1, 0, 0xab, 0xcd, 0, 0];
    [&[0x11, 0x5c, 0, 80][..], &numbers, &rest, payload].concat()
}

fn wrapped(port: u16, header: &[u8], inner: &[u8]) -> BytesMut {
    let payload = [header, inner].concat();
    let mut frame = ethernet(IPV4);
    ip(&mut frame, &udp((51_234, port), &payload), UDP, 77, NODES);
    frame
}
