//! Packets of flows, with the keys that they must have.

use bytes::{BufMut as _, BytesMut};
use netviz_ebpf::flow::{FlowKey, HAS_TUNNEL, IS_ENCAPSULATED, IS_FRAGMENT, IS_V6};

use super::{Frame, Random, ethernet, packets};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
/// Ports 4444 and 80.
const PORTS: [u8; 4] = [0x11, 0x5c, 0, 80];

/// Frames, and the flows that they are in.
#[derive(Clone, Debug)]
pub struct FlowCase {
    /// Description for messages.
    pub name: &'static str,
    /// Frames, in their order.
    pub frames: Vec<BytesMut>,
    /// Whether the door looks inside of tunnel packets.
    pub sees_tunnels: bool,
    /// Expected keys, without the hook.
    pub keys: Vec<FlowKey>,
    /// Frames in no flow.
    pub unparsed: u64,
}

/// Returns one case for each kind of packet.
#[must_use]
pub fn cases() -> Vec<FlowCase> {
    let mut all = vec![
        case("IPv4 UDP", vec![ipv4(UDP, 0, &datagram())], vec![v4(UDP)]),
        case("IPv4 TCP", vec![ipv4(TCP, 0, &segment())], vec![v4(TCP)]),
        case(
            "IPv4 SCTP",
            vec![ipv4(SCTP, 0, &datagram())],
            vec![v4(SCTP)],
        ),
        case("IPv6 UDP", vec![ipv6(&[], UDP, &datagram())], vec![v6(UDP)]),
        case("IPv6 TCP", vec![ipv6(&[], TCP, &segment())], vec![v6(TCP)]),
        case(
            "IPv6 extension headers",
            vec![ipv6(&[0, 43, 60, 51], TCP, &segment())],
            vec![v6(TCP)],
        ),
        case(
            "VLAN and QinQ",
            vec![
                tagged(&[0x8100], &ipv4(UDP, 0, &datagram())),
                tagged(&[0x88a8, 0x8100], &ipv4(UDP, 0, &datagram())),
            ],
            vec![v4(UDP)],
        ),
        case(
            "a GRE packet",
            vec![ipv4(47, 0, &[0; 8])],
            vec![FlowKey { ports: 0, ..v4(47) }],
        ),
        case(
            "echo requests with one identifier, and an error",
            vec![
                ipv4(1, 0, &[8, 0, 1, 1, 0x12, 0x34, 0, 1]),
                ipv4(1, 0, &[8, 0, 2, 2, 0x12, 0x34, 0, 2]),
                ipv4(1, 0, &[3, 1, 0, 0, 9, 9, 9, 9]),
            ],
            vec![
                FlowKey {
                    ports: u32::from_ne_bytes([8, 0, 0x12, 0x34]),
                    ..v4(1)
                },
                FlowKey {
                    ports: u32::from_ne_bytes([3, 1, 0, 0]),
                    ..v4(1)
                },
            ],
        ),
        case(
            "an ICMPv6 echo",
            vec![ipv6(&[], 58, &[128, 0, 1, 1, 0x12, 0x34, 0, 1])],
            vec![FlowKey {
                ports: u32::from_ne_bytes([128, 0, 0x12, 0x34]),
                ..v6(58)
            }],
        ),
    ];
    all.extend(fragments());
    all.extend(tunnels());
    all.push(FlowCase {
        unparsed: 3,
        ..case(
            "ARP, a broken header and half a TCP header",
            vec![
                garbage(0x0806),
                garbage(IPV4),
                ipv4(TCP, 0, &segment()[..7]),
            ],
            vec![],
        )
    });
    all
}

fn fragments() -> Vec<FlowCase> {
    let rest = |id| with_id(ipv4(UDP, 0x0010, &[7; 40]), id);
    let first = |id| with_id(ipv4(UDP, 0x2000, &datagram()), id);
    let unknown = FlowKey {
        ports: 0,
        flags: IS_FRAGMENT,
        ..v4(UDP)
    };
    let v6_first = ipv6_fragment(0, &datagram());
    let v6_rest = ipv6_fragment(0x40, &[7; 16]);
    vec![
        case(
            "fragments with their first",
            vec![first(1), rest(1), rest(1)],
            vec![v4(UDP)],
        ),
        case(
            "fragments without their first",
            vec![first(1), rest(2)],
            vec![v4(UDP), unknown],
        ),
        case(
            "IPv6 fragments",
            vec![v6_first, v6_rest.clone()],
            vec![v6(UDP)],
        ),
        case(
            "an IPv6 fragment without its first",
            vec![v6_rest],
            vec![FlowKey {
                ports: 0,
                flags: IS_V6 | IS_FRAGMENT,
                ..v6(UDP)
            }],
        ),
    ]
}

fn tunnels() -> Vec<FlowCase> {
    let inner = ipv4(TCP, 0, &segment());
    let outer = packets::vxlan(&inner);
    let encapsulated = FlowKey {
        tunnel: 1,
        flags: HAS_TUNNEL | IS_ENCAPSULATED,
        ..v4(TCP)
    };
    let plain = FlowKey {
        source: [u32::from_ne_bytes([172, 18, 0, 2]), 0, 0, 0],
        destination: [u32::from_ne_bytes([172, 18, 0, 4]), 0, 0, 0],
        ports: u32::from_ne_bytes([0xc8, 0x22, 0x21, 0x18]),
        ..v4(UDP)
    };
    let empty = packets::vxlan(&garbage(0x0806));
    vec![
        FlowCase {
            sees_tunnels: true,
            ..case(
                "VXLAN at an uplink",
                vec![outer.clone()],
                vec![encapsulated],
            )
        },
        case("VXLAN at a pod", vec![outer], vec![plain]),
        FlowCase {
            sees_tunnels: true,
            ..case("VXLAN without an IP packet", vec![empty], vec![plain])
        },
    ]
}

/// Returns packets of all kinds with some bytes changed, or cut off.
#[must_use]
pub fn mangled(seed: u64, count: usize) -> Vec<Frame> {
    let mut random = Random(seed);
    let frames: Vec<_> = cases().into_iter().flat_map(|case| case.frames).collect();
    let frame = |number| {
        let mut bytes = frames[random.below(frames.len())].clone();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        if random.below(3) == 0 {
            bytes.truncate(super::SHORTEST + random.below(bytes.len() - super::SHORTEST));
        }
        Frame {
            name: format!("mangled frame {number} of seed {seed:#x}"),
            bytes,
            cut: true,
        }
    };
    (0..count).map(frame).collect()
}

/// Returns a datagram of a flow with this number.
#[must_use]
pub fn numbered(number: u32) -> BytesMut {
    let mut frame = ipv4(UDP, 0, &datagram());
    frame[26..30].copy_from_slice(&number.to_be_bytes());
    frame
}

/// Returns a TCP segment with these flags, sequence number and length.
#[must_use]
pub fn tcp(flags: u8, sequence: u32, length: u16) -> BytesMut {
    let mut segment = segment();
    segment.truncate(20);
    segment[4..8].copy_from_slice(&sequence.to_be_bytes());
    segment[13] = flags;
    segment.resize(20 + usize::from(length), 5);
    ipv4(TCP, 0, &segment)
}

fn case(name: &'static str, frames: Vec<BytesMut>, keys: Vec<FlowKey>) -> FlowCase {
    FlowCase {
        name,
        frames,
        sees_tunnels: false,
        keys,
        unparsed: 0,
    }
}

fn v4(protocol: u8) -> FlowKey {
    FlowKey {
        source: [u32::from_ne_bytes([10, 9, 0, 1]), 0, 0, 0],
        destination: [u32::from_ne_bytes([10, 9, 0, 2]), 0, 0, 0],
        ports: u32::from_ne_bytes(PORTS),
        protocol,
        ..FlowKey::default()
    }
}

fn v6(protocol: u8) -> FlowKey {
    let address = |last| {
        let word = u32::from_ne_bytes([0xfd; 4]);
        [
            word,
            word,
            word,
            u32::from_ne_bytes([0xfd, 0xfd, 0xfd, last]),
        ]
    };
    FlowKey {
        source: address(1),
        destination: address(2),
        flags: IS_V6,
        ..v4(protocol)
    }
}

fn datagram() -> Vec<u8> {
    [&PORTS[..], &[0, 16, 0xab, 0xcd], &[1; 8]].concat()
}

fn segment() -> Vec<u8> {
    [
        &PORTS[..],
        &[0, 0, 1, 0, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0xab, 0xcd, 0, 0],
        &[5; 10],
    ]
    .concat()
}

/// A packet with the fragment field `part`.
fn ipv4(protocol: u8, part: u16, payload: &[u8]) -> BytesMut {
    let mut frame = ethernet(IPV4);
    frame.put_slice(&[0x45, 0]);
    frame.put_u16(20 + payload.len() as u16);
    frame.put_u16(9);
    frame.put_u16(part);
    frame.put_slice(&[64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]);
    frame.put_slice(payload);
    frame
}

fn with_id(mut frame: BytesMut, id: u16) -> BytesMut {
    frame[18..20].copy_from_slice(&id.to_be_bytes());
    frame
}

/// A packet with extension headers of eight bytes.
fn ipv6(extensions: &[u8], protocol: u8, payload: &[u8]) -> BytesMut {
    let mut frame = ethernet(IPV6);
    frame.put_slice(&[0x60, 0, 0, 0]);
    frame.put_u16((payload.len() + 8 * extensions.len()) as u16);
    frame.put_slice(&[*extensions.first().unwrap_or(&protocol), 64]);
    for last in [1, 2] {
        frame.put_slice(&[0xfd; 15]);
        frame.put_u8(last);
    }
    for at in 0..extensions.len() {
        let next = *extensions.get(at + 1).unwrap_or(&protocol);
        frame.put_slice(&[next, 0, 0, 0, 0, 0, 0, 0]);
    }
    frame.put_slice(payload);
    frame
}

/// A fragment; the lowest bit of `part` announces more of them.
fn ipv6_fragment(part: u16, payload: &[u8]) -> BytesMut {
    let part = part | u16::from(part == 0);
    let mut fragment = vec![UDP, 0];
    fragment.extend(part.to_be_bytes());
    fragment.extend([0, 0, 0, 9]);
    fragment.extend(payload);
    let mut frame = ipv6(&[], 44, &fragment);
    frame[20] = 44;
    frame
}

fn tagged(tags: &[u16], frame: &[u8]) -> BytesMut {
    let mut tagged = BytesMut::from(&frame[..12]);
    for tag in tags {
        tagged.put_u16(*tag);
        tagged.put_u16(7);
    }
    tagged.put_slice(&frame[12..]);
    tagged
}

/// A frame whose payload has no valid IP version.
fn garbage(ethertype: u16) -> BytesMut {
    let mut frame = ethernet(ethertype);
    frame.put_slice(&[0; 46]);
    frame
}
