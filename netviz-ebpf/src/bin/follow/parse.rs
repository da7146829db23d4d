//! Finds the packet that is sought, and what tells it from others.

use core::{mem, ptr};

use aya_ebpf::{helpers::bpf_skb_load_bytes, macros::map, maps::PerCpuArray, programs::TcContext};
use netviz_ebpf::follow::{ASKS, GENEVE, IS_OUTER, IS_REPLY, IS_STREAM, Sought, TUNNEL_PORTS};

const ETHERNET: u32 = 14;
const TAG: u32 = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const UDP_HEADER: u32 = 8;
const TUNNEL_HEADER: u32 = 8;

const ICMP: u32 = 1;
const TCP: u32 = 6;
const UDP: u32 = 17;
const FRAGMENT: u32 = 44;
const ICMPV6: u32 = 58;
/// Types of echo requests.
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;
const TCP_FIN_SYN: u8 = 3;

/// No header that is read begins behind this, for there are two of IP with options and one of
/// Geneve at the most; the verifier wants a bound.
const OFFSET_MASK: u32 = 0x3ff;
/// Bytes from the transport header on that tell packets apart: TCP with its timestamps, or a
/// datagram's header and the beginning of its payload. A power of two.
const TELLING: usize = 64;

/// What was found.
pub(crate) struct Found {
    pub(crate) identity: u64,
    pub(crate) flags: u32,
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) ttl: u32,
}

/// An IP header.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    /// IP id and place of the fragment.
    piece: u64,
    /// [`IS_REPLY`] or nothing; [`ANOTHER`] where it is another pair's.
    way: u32,
    protocol: u32,
    ttl: u32,
    /// Where the transport header begins.
    transport: u32,
    /// Bytes from there on, as the header says; 0 where it does not.
    length: u32,
    /// Not 0 in a fragment that is not the first: no transport header.
    is_rest: u32,
}

/// No way of the two's.
const ANOTHER: u32 = u32::MAX;

/// What was found, in between.
///
/// A verifier knows of each value on each path what led to it, and follows what comes after once for
/// each; of what it reads from a map it knows nothing, and follows it once. That makes loading several
/// times as quick.
#[map]
static NETVIZ_BETWEEN: PerCpuArray<Header> = PerCpuArray::with_max_entries(1, 0);

/// The same header, of which a verifier knows nothing.
#[inline(always)]
fn unknown(header: Header) -> Option<Header> {
    let between = NETVIZ_BETWEEN.get_ptr_mut(0)?;
    // SAFETY: the map's own entry on this CPU; a hook runs with softirqs off, so that nothing else
    // writes to it meanwhile. Volatile, or the compiler would leave the way through memory out.
    unsafe {
        ptr::write_volatile(between, header);
        Some(ptr::read_volatile(between))
    }
}

/// The packet that is sought, if this one is or holds it.
#[inline(always)]
pub(crate) fn find(ctx: &TcContext, sought: &Sought) -> Option<Found> {
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
    told_apart(ctx, &unknown(Header { way, ..found })?, sought)
}

/// Where the IP header begins: devices without Ethernet headers (WireGuard) begin with it.
#[inline(always)]
fn beginning(ctx: &TcContext) -> Option<u32> {
    // SAFETY: the verifier admits this field of a context pointer.
    let protocol = u16::from_be(unsafe { (*ctx.skb.skb).protocol } as u16);
    let [word]: [u32; 1] = read(ctx, ETHERNET - 2)?;
    let [high, low, ..] = word.to_ne_bytes();
    let kind = u16::from_be_bytes([high, low]);
    let is_tag = kind == TAGS[0] || kind == TAGS[1];
    let is_known = is_tag || kind == IPV4 || kind == IPV6;
    let has_header = kind == protocol || is_known && protocol != IPV4 && protocol != IPV6;
    Some(match (has_header, is_tag) {
        (true, true) => ETHERNET + TAG,
        (true, false) => ETHERNET,
        (false, _) => 0,
    })
}

/// Where the IP header inside of a tunnel's packet begins.
#[inline(always)]
fn inside(ctx: &TcContext, transport: u32) -> Option<u32> {
    let [ports, _, tunnel]: [u32; 3] = read(ctx, transport)?;
    let [_, _, high, low] = ports.to_ne_bytes();
    let port = u16::from_be_bytes([high, low]);
    if port != TUNNEL_PORTS[0] && port != TUNNEL_PORTS[1] && port != TUNNEL_PORTS[2] {
        return None;
    }
    // Geneve: the lower six bits are the options' length in words.
    let options = if port == GENEVE {
        u32::from(tunnel.to_ne_bytes()[0] & 0x3f) * 4
    } else {
        0
    };
    Some(transport + UDP_HEADER + TUNNEL_HEADER + options + ETHERNET)
}

#[inline(always)]
fn header(ctx: &TcContext, at: u32, words: &[u32; 5], sought: &Sought) -> Option<Header> {
    let [version, ..] = words[0].to_ne_bytes();
    match version >> 4 {
        4 => Some(ipv4(at, words, sought)),
        6 => ipv6(ctx, at, words, sought),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(at: u32, words: &[u32; 5], sought: &Sought) -> Header {
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
        // Without "don't fragment", which a router may take away.
        piece: u64::from(words[1] & u32::from_ne_bytes([0xff, 0xff, 0x1f, 0xff])),
        is_rest: place.into(),
    }
}

#[inline(always)]
fn ipv6(ctx: &TcContext, at: u32, words: &[u32; 5], sought: &Sought) -> Option<Header> {
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

/// The number that tells the packet from others.
#[inline(always)]
fn told_apart(ctx: &TcContext, header: &Header, sought: &Sought) -> Option<Found> {
    if sought.protocol != 0 && header.protocol != sought.protocol {
        return None;
    }
    let length = payload(ctx, header);
    let mut words = telling(ctx, header.transport, length);
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
        // The segments of a stream are cut and merged: they have the ports in common.
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

/// Takes checksums out, which are filled in on the way, and reads what only this protocol has.
#[inline(always)]
fn transport(protocol: u32, words: &mut [u32; TELLING / 4], length: u32, found: &mut Found) {
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

/// Bytes from the transport header to the packet's end: a frame may be longer, filled up to what
/// Ethernet takes at the least, and the header of a large GSO packet does not say it.
#[inline(always)]
fn payload(ctx: &TcContext, header: &Header) -> u32 {
    let there = ctx.len().saturating_sub(header.transport);
    if header.length > 0 && header.length < there {
        header.length
    } else {
        there
    }
}

/// The bytes that tell packets apart, as far as there are so many.
#[inline(always)]
fn telling(ctx: &TcContext, at: u32, length: u32) -> [u32; TELLING / 4] {
    let mut words = [0_u32; TELLING / 4];
    if length == 0 {
        return words;
    }
    let last = if length < TELLING as u32 {
        length - 1
    } else {
        TELLING as u32 - 1
    };
    // Volatile, or the compiler would take the mask away, without which verifiers do not see that
    // at least one byte and at most as many as there is room for are asked for.
    // SAFETY: a variable of this function.
    let last = unsafe { ptr::read_volatile(&raw const last) } & (TELLING as u32 - 1);
    // SAFETY: the destination has room for as many bytes as are asked for. Where that fails, all
    // stay 0: at each door alike.
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

/// So that each bit depends on all: the lower ones choose (the finaliser of MurmurHash3).
#[inline(always)]
const fn finished(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

/// `N` words at a place in the packet, as they stand in it, without a call where they are in the first
/// piece of its memory. For what is read of every packet alone: to a verifier each is a fork, and all
/// that comes after it is followed twice.
#[inline(always)]
fn near<const N: usize>(ctx: &TcContext, at: u32) -> Option<[u32; N]> {
    let start = ctx.data() + (at & OFFSET_MASK) as usize;
    if start + N * mem::size_of::<u32>() > ctx.data_end() {
        return read(ctx, at);
    }
    let mut words = [0_u32; N];
    for (place, word) in words.iter_mut().enumerate() {
        // SAFETY: within the packet, by the comparison above, which the verifier sees too.
        *word = unsafe { ptr::read_unaligned((start + place * 4) as *const u32) };
    }
    Some(words)
}

/// `N` words at a place in the packet, as they stand in it.
#[inline(always)]
fn read<const N: usize>(ctx: &TcContext, at: u32) -> Option<[u32; N]> {
    let mut words = [0_u32; N];
    // SAFETY: the destination has as many bytes as are asked for.
    let failed = unsafe {
        bpf_skb_load_bytes(
            ctx.skb.skb.cast(),
            at & OFFSET_MASK,
            words.as_mut_ptr().cast(),
            (N * mem::size_of::<u32>()) as u32,
        )
    };
    (failed == 0).then_some(words)
}
