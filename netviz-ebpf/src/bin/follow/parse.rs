//! Finds packets between two addresses and computes their identity.

use core::ptr;

use aya_ebpf::{helpers::bpf_skb_load_bytes, macros::map, maps::PerCpuArray, programs::TcContext};
use netviz_ebpf::follow::{ASKS, IS_OUTER, IS_REPLY, IS_STREAM, PairFilter};

use crate::packet::{OFFSET_MASK, UDP, beginning, inside, near, read};

const ICMP: u32 = 1;
const TCP: u32 = 6;
const FRAGMENT: u32 = 44;
const ICMPV6: u32 = 58;
/// ICMP types of echo requests.
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;
const TCP_FIN_SYN: u8 = 3;

/// Bytes from the transport header on that identify a packet: TCP with its timestamps, or a
/// datagram's header and the beginning of its payload. A power of two.
const IDENTITY_BYTES: usize = 64;

/// A packet of the pair.
pub(crate) struct Found {
    pub(crate) identity: u64,
    pub(crate) flags: u32,
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) ttl: u32,
}

/// Fields of an IP header.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    /// IP ID and fragment offset.
    piece: u64,
    /// [`IS_REPLY`] or 0; [`ANOTHER`] for a packet of another pair.
    way: u32,
    protocol: u32,
    ttl: u32,
    /// Offset of the transport header.
    transport: u32,
    /// Bytes from there on, according to the header; 0 if the header has no length.
    length: u32,
    /// Not 0 in a fragment other than the first, which has no transport header.
    is_rest: u32,
}

/// [`Header::way`] of a packet of another pair.
const ANOTHER: u32 = u32::MAX;

/// Holds a header between the write and the read in [`unknown`].
///
/// The verifier tracks each known value on each path and checks the following code once per value.
/// A value read from a map is unknown to it, so it checks that code only once. This makes loading
/// several times faster.
#[map]
static NETVIZ_BETWEEN: PerCpuArray<Header> = PerCpuArray::with_max_entries(1, 0);

/// Returns the same header, with values unknown to the verifier.
#[inline(always)]
fn unknown(header: Header) -> Option<Header> {
    let between = NETVIZ_BETWEEN.get_ptr_mut(0)?;
    // SAFETY: the map's own entry on this CPU. A hook runs with softirqs off, so nothing else
    // writes to it at the same time. The access is volatile because the compiler would otherwise
    // remove the detour through memory.
    unsafe {
        ptr::write_volatile(between, header);
        Some(ptr::read_volatile(between))
    }
}

/// Returns the packet of the pair that this packet is or encapsulates.
#[inline(always)]
pub(crate) fn find(ctx: &TcContext, sought: &PairFilter) -> Option<Found> {
    let at = beginning(ctx)?;
    let outside = unknown(header(ctx, at, &near(ctx, at)?, sought)?)?;
    let (found, outer) = if outside.way != ANOTHER {
        (outside, 0)
    } else if outside.protocol == UDP && outside.is_rest == 0 {
        let at = inside(ctx, outside.transport)?;
        (header(ctx, at, &read(ctx, at)?, sought)?, IS_OUTER)
    } else {
        return None;
    };
    if found.way == ANOTHER {
        return None;
    }
    let way = found.way | outer;
    identify(ctx, &unknown(Header { way, ..found })?, sought)
}

#[inline(always)]
fn header(ctx: &TcContext, at: u32, words: &[u32; 5], sought: &PairFilter) -> Option<Header> {
    let [version, ..] = words[0].to_ne_bytes();
    match version >> 4 {
        4 => Some(ipv4(at, words, sought)),
        6 => ipv6(ctx, at, words, sought),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(at: u32, words: &[u32; 5], sought: &PairFilter) -> Header {
    let [version, _, high, low] = words[0].to_ne_bytes();
    let size = u32::from(version & 0xf) * 4;
    let total = u32::from(u16::from_be_bytes([high, low]));
    let [ttl, protocol, _, _] = words[2].to_ne_bytes();
    let [_, _, high, low] = words[1].to_ne_bytes();
    let place = u16::from_be_bytes([high, low]) & 0x1fff;
    let (from, to) = (words[3], words[4]);
    let (a, b) = (sought.from[0], sought.to[0]);
    let way = if sought.family != 4 {
        ANOTHER
    } else if from == a && to == b {
        0
    } else if from == b && to == a {
        IS_REPLY
    } else {
        ANOTHER
    };
    Header {
        way,
        protocol: u32::from(protocol),
        ttl: u32::from(ttl),
        transport: at + size,
        length: total.saturating_sub(size),
        // Without "don't fragment", which a router may clear.
        piece: u64::from(words[1] & u32::from_ne_bytes([0xff, 0xff, 0x1f, 0xff])),
        is_rest: place.into(),
    }
}

#[inline(always)]
fn ipv6(ctx: &TcContext, at: u32, words: &[u32; 5], sought: &PairFilter) -> Option<Header> {
    let rest: [u32; 5] = read(ctx, at + 20)?;
    let [high, low, next, ttl] = words[1].to_ne_bytes();
    let from = [words[2], words[3], words[4], rest[0]];
    let to = [rest[1], rest[2], rest[3], rest[4]];
    let way = if sought.family != 6 {
        ANOTHER
    } else if same(&from, &sought.from) && same(&to, &sought.to) {
        0
    } else if same(&from, &sought.to) && same(&to, &sought.from) {
        IS_REPLY
    } else {
        ANOTHER
    };
    let mut header = Header {
        way,
        protocol: u32::from(next),
        ttl: u32::from(ttl),
        transport: at + 40,
        length: u32::from(u16::from_be_bytes([high, low])),
        piece: 0,
        is_rest: 0,
    };
    if header.protocol == FRAGMENT && header.way != ANOTHER {
        let [first, id]: [u32; 2] = read(ctx, header.transport)?;
        let [next, _, high, low] = first.to_ne_bytes();
        let place = u16::from_be_bytes([high, low]) & 0xfff8;
        header.protocol = u32::from(next);
        header.transport += 8;
        header.length = header.length.saturating_sub(8);
        header.piece = u64::from(id) << 32 | u64::from(first);
        header.is_rest = place.into();
    }
    Some(header)
}

#[inline(always)]
fn same(one: &[u32; 4], other: &[u32; 4]) -> bool {
    one[0] == other[0] && one[1] == other[1] && one[2] == other[2] && one[3] == other[3]
}

/// Returns the number that identifies the packet.
#[inline(always)]
fn identify(ctx: &TcContext, header: &Header, sought: &PairFilter) -> Option<Found> {
    if sought.protocol != 0 && header.protocol != sought.protocol {
        return None;
    }
    let length = payload(ctx, header);
    let mut words = identity_bytes(ctx, header.transport, length);
    let way = header.way;
    let has_ports = header.is_rest == 0 && (header.protocol == TCP || header.protocol == UDP);
    if sought.port != 0 {
        let [a, b, c, d] = words[0].to_ne_bytes();
        let to_b = u32::from(u16::from_be_bytes([c, d]));
        let of_b = u32::from(u16::from_be_bytes([a, b]));
        let port = if way & IS_REPLY == 0 { to_b } else { of_b };
        if !has_ports || port != sought.port {
            return None;
        }
    }
    let mut found = Found {
        identity: 0,
        flags: way,
        start: 0,
        length: 0,
        ttl: header.ttl,
    };
    if header.is_rest == 0 {
        transport(header.protocol, &mut words, length, &mut found);
    }
    let mut hash = mixed(
        0,
        u64::from(header.protocol) << 32 | u64::from(way & IS_REPLY),
    );
    if found.flags & IS_STREAM != 0 {
        // The segments of a stream are split and merged; they share only the ports.
        hash = mixed(hash, u64::from(words[0]));
    } else {
        hash = mixed(hash, header.piece);
        hash = mixed(hash, u64::from(length));
        for pair in words.chunks_exact(2) {
            hash = mixed(hash, u64::from(pair[0]) << 32 | u64::from(pair[1]));
        }
    }
    found.identity = finished(hash);
    Some(found)
}

/// Clears checksums, which can be filled in on the way, and reads the fields of this protocol.
#[inline(always)]
fn transport(protocol: u32, words: &mut [u32; IDENTITY_BYTES / 4], length: u32, found: &mut Found) {
    const FIRST_HALF: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
    const SECOND_HALF: u32 = u32::from_ne_bytes([0xff, 0xff, 0, 0]);
    let [kind, ..] = words[0].to_ne_bytes();
    match protocol {
        ICMP | ICMPV6 => {
            words[0] &= SECOND_HALF;
            let echo = if protocol == ICMP { ECHO } else { ECHO_V6 };
            found.flags |= if kind == echo { ASKS } else { 0 };
        }
        UDP => words[1] &= SECOND_HALF,
        TCP => {
            let [offset, flags, ..] = words[3].to_ne_bytes();
            words[4] &= FIRST_HALF;
            let bytes = length.saturating_sub(u32::from(offset >> 4) * 4);
            if bytes > 0 {
                found.flags |= IS_STREAM;
                found.start = u32::from_be(words[1]);
                found.length = bytes;
            }
            if bytes > 0 || flags & TCP_FIN_SYN != 0 {
                found.flags |= ASKS;
            }
        }
        _ => {}
    }
}

/// Returns the bytes from the transport header to the end of the packet. A frame may be longer,
/// because Ethernet pads it to the minimum; the header of a large GSO packet has no length.
#[inline(always)]
fn payload(ctx: &TcContext, header: &Header) -> u32 {
    let there = ctx.len().saturating_sub(header.transport);
    if header.length > 0 && header.length < there {
        header.length
    } else {
        there
    }
}

/// Reads the bytes that identify a packet, as many as it has.
#[inline(always)]
fn identity_bytes(ctx: &TcContext, at: u32, length: u32) -> [u32; IDENTITY_BYTES / 4] {
    let mut words = [0_u32; IDENTITY_BYTES / 4];
    if length == 0 {
        return words;
    }
    let last = if length < IDENTITY_BYTES as u32 {
        length - 1
    } else {
        IDENTITY_BYTES as u32 - 1
    };
    // Volatile, because the compiler would otherwise remove the mask. The verifier needs the mask
    // to see that the length is at least one and at most the size of the buffer. SAFETY: a local
    // variable.
    let last = unsafe { ptr::read_volatile(&raw const last) } & (IDENTITY_BYTES as u32 - 1);
    // SAFETY: the destination has room for the requested bytes. If the read fails, all bytes stay
    // 0, at each door alike.
    unsafe {
        bpf_skb_load_bytes(
            ctx.skb.skb.cast(),
            at & OFFSET_MASK,
            words.as_mut_ptr().cast(),
            last + 1,
        )
    };
    words
}

#[inline(always)]
const fn mixed(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// Mixes the bits so that each depends on all others, because the lower ones select packets (the
/// finaliser of MurmurHash3).
#[inline(always)]
const fn finished(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}
