//! The flow of a packet, from its headers.

use aya_ebpf::programs::TcContext;
use netviz_ebpf::{
    flow::{FlowKey, HAS_TUNNEL, IS_ENCAPSULATED, IS_FRAGMENT, IS_OUTER_V6, IS_V6},
    follow::{GENEVE, TUNNEL_PORTS},
};

use super::{
    bytes::{Bytes, Copy, Linear},
    door::door,
    scratch::{FIRST, Header, Packet, REST, Scratch, Segment, WHOLE, unknown},
    table,
};

const ETHERNET: u32 = 14;
const TAG: u32 = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const TUNNEL_HEADERS: u32 = 16;
/// Extension headers that are skipped at most.
const EXTENSIONS: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const ICMPV6: u8 = 58;
const DESTINATION: u8 = 60;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

const FIN_SYN: u32 = 3;

/// Reads the flow of a packet; false if it has no valid IP header.
#[inline(always)]
pub(crate) fn parse(ctx: &TcContext, scratch: &mut Scratch) -> bool {
    linear(ctx, scratch) || Linear::of(ctx).is_partial(ctx) && copied(ctx, scratch)
}

#[inline(never)]
fn linear(ctx: &TcContext, scratch: &mut Scratch) -> bool {
    let linear = Linear::of(ctx);
    let (packet, header) = (&mut scratch.packet, &mut scratch.header);
    let parsed = outermost(ctx, &linear, packet, header, scratch.now);
    if parsed.is_some() && may_be_tunnel(packet, header) {
        let inner = &mut scratch.inner;
        if encapsulated(
            &linear,
            header.transport,
            packet,
            inner,
            &mut scratch.inner_header,
        )
        .is_some()
        {
            *packet = *inner;
        }
    }
    parsed.is_some()
}

/// As a function of its own, as are the others that few packets need: the instructions of the others are
/// then close to each other.
#[inline(never)]
fn copied(ctx: &TcContext, scratch: &mut Scratch) -> bool {
    let Some(copy) = Copy::of(ctx, &mut scratch.copy) else {
        return false;
    };
    let (packet, header) = (&mut scratch.packet, &mut scratch.header);
    let parsed = outermost(ctx, &copy, packet, header, scratch.now);
    if parsed.is_some() && may_be_tunnel(packet, header) {
        let inner = &mut scratch.inner;
        if encapsulated(
            &copy,
            header.transport,
            packet,
            inner,
            &mut scratch.inner_header,
        )
        .is_some()
        {
            *packet = *inner;
        }
    }
    parsed.is_some()
}

#[inline(always)]
fn outermost(
    ctx: &TcContext,
    bytes: &impl Bytes,
    packet: &mut Packet,
    header: &mut Header,
    now: u64,
) -> Option<()> {
    header.at = beginning(ctx, bytes)?;
    ip(bytes, header, &mut packet.key)?;
    transport(bytes, header, packet, ctx.len())?;
    if header.part == FIRST {
        table::remember(&packet.key, header.id, now);
    } else if header.part == REST {
        table::recall(&mut packet.key, header.id, now);
    }
    Some(())
}

/// Returns the offset of the IP header: 0 on devices without Ethernet headers (WireGuard).
#[inline(always)]
fn beginning(ctx: &TcContext, bytes: &impl Bytes) -> Option<u32> {
    // SAFETY: the verifier allows access to this field of a context pointer.
    let protocol = u16::from_be(unsafe { (*ctx.skb.skb).protocol } as u16);
    let kind = kind(bytes, ETHERNET)?;
    if !is_tag(kind) {
        let is_known = kind == IPV4 || kind == IPV6;
        let has_header = kind == protocol || is_known && protocol != IPV4 && protocol != IPV6;
        return Some(if has_header { ETHERNET } else { 0 });
    }
    if kind != protocol && (protocol == IPV4 || protocol == IPV6) {
        return Some(0);
    }
    match is_tag(self::kind(bytes, ETHERNET + TAG)?) {
        true => Some(ETHERNET + 2 * TAG),
        false => Some(ETHERNET + TAG),
    }
}

/// Returns the type of what begins at an offset: the last two bytes of the header before it.
#[inline(always)]
fn kind(bytes: &impl Bytes, at: u32) -> Option<u16> {
    let [word] = bytes.words(at - 4)?;
    let [_, _, high, low] = word.to_ne_bytes();
    Some(u16::from_be_bytes([high, low]))
}

#[inline(always)]
fn is_tag(kind: u16) -> bool {
    kind == TAGS[0] || kind == TAGS[1]
}

/// Reads addresses and protocol.
#[inline(always)]
fn ip(bytes: &impl Bytes, header: &mut Header, key: &mut FlowKey) -> Option<()> {
    let at = unknown(&header.at);
    let words: [u32; 5] = bytes.words(at)?;
    let [version, ..] = words[0].to_ne_bytes();
    match version >> 4 {
        4 => ipv4(at, &words, header, key),
        6 => ipv6(bytes, at, &words, header, key),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(at: u32, words: &[u32; 5], header: &mut Header, key: &mut FlowKey) -> Option<()> {
    let size = (words[0].to_ne_bytes()[0] as u32 & 0xf) * 4;
    // Not a large GSO packet, whose length does not fit.
    let total = u32::from_be(words[0]) & 0xffff;
    if size < 20 || total != 0 && total < size {
        return None;
    }
    let id_and_part = u32::from_be(words[1]);
    key.source[0] = words[3];
    key.destination[0] = words[4];
    key.protocol = words[2].to_ne_bytes()[1];
    header.transport = at + size;
    header.length = if total == 0 { 0 } else { total - size };
    header.id = id_and_part >> 16;
    header.part = match id_and_part & 0x3fff {
        0 => WHOLE,
        _ => part(id_and_part & 0x1fff, id_and_part & 0x2000),
    };
    Some(())
}

/// The part of the datagram at an offset, with `more` to follow.
#[inline(always)]
fn part(offset: u32, more: u32) -> u32 {
    match (offset, more) {
        (0, 0) => WHOLE,
        (0, _) => FIRST,
        _ => REST,
    }
}

#[inline(always)]
fn ipv6(
    bytes: &impl Bytes,
    at: u32,
    words: &[u32; 5],
    header: &mut Header,
    key: &mut FlowKey,
) -> Option<()> {
    let rest: [u32; 5] = bytes.words(at + 20)?;
    key.source = [words[2], words[3], words[4], rest[0]];
    key.destination = [rest[1], rest[2], rest[3], rest[4]];
    key.flags |= IS_V6;
    key.protocol = words[1].to_ne_bytes()[2];
    header.transport = at + 40;
    header.length = u32::from_be(words[1]) >> 16;
    header.id = 0;
    header.part = WHOLE;
    if is_extension(key.protocol) {
        return extensions(bytes, header, key);
    }
    Some(())
}

#[inline(always)]
fn is_extension(next: u8) -> bool {
    matches!(
        next,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
    )
}

/// Skips extension headers.
#[inline(never)]
fn extensions(bytes: &impl Bytes, header: &mut Header, key: &mut FlowKey) -> Option<()> {
    for _ in 0..EXTENSIONS {
        // Behind the header of a fragment that is not the first one, there is no header.
        if !is_extension(key.protocol) || header.part == REST {
            break;
        }
        let [word, id]: [u32; 2] = bytes.words(unknown(&header.transport))?;
        let [after, units, ..] = word.to_ne_bytes();
        let size = match key.protocol {
            FRAGMENT => {
                let word = u32::from_be(word);
                header.id = id;
                header.part = part(word & 0xfff8, word & 1);
                8
            }
            AUTHENTICATION => (u32::from(units) + 2) * 4,
            _ => (u32::from(units) + 1) * 8,
        };
        header.transport += size;
        header.length = header.length.saturating_sub(size);
        key.protocol = after;
    }
    Some(())
}

/// Reads what the transport header has.
#[inline(always)]
fn transport(
    bytes: &impl Bytes,
    header: &Header,
    packet: &mut Packet,
    frame_length: u32,
) -> Option<()> {
    if header.part == REST {
        packet.key.flags |= IS_FRAGMENT;
        return Some(());
    }
    let at = unknown(&header.transport);
    match packet.key.protocol {
        TCP => {
            let words: [u32; 4] = bytes.words(at)?;
            packet.key.ports = words[0];
            segment(&words, header, &mut packet.tcp, frame_length);
        }
        UDP | SCTP | DCCP | UDP_LITE => [packet.key.ports] = bytes.words(at)?,
        protocol @ (ICMP | ICMPV6) => {
            let [kind, id] = bytes.words(at)?;
            let [kind, code, ..] = kind.to_ne_bytes();
            let is_echo = match protocol {
                ICMP => kind == 8 || kind == 0,
                _ => kind == 128 || kind == 129,
            };
            let [high, low, ..] = id.to_ne_bytes();
            let [high, low] = if is_echo { [high, low] } else { [0, 0] };
            packet.key.ports = u32::from_ne_bytes([kind, code, high, low]);
        }
        _ => {}
    }
    Some(())
}

#[inline(always)]
fn segment(words: &[u32; 4], header: &Header, tcp: &mut Segment, frame_length: u32) {
    let [offset, flags, ..] = words[3].to_ne_bytes();
    let flags = u32::from(flags);
    let there = match header.length {
        0 => frame_length.wrapping_sub(header.transport),
        length => length,
    };
    let size = u32::from(offset >> 4) * 4;
    let payload = if there > size { there - size } else { 0 };
    // SYN and FIN use a sequence number each.
    let control = (flags & FIN_SYN) - (flags & FIN_SYN) / 2;
    tcp.flags = flags;
    tcp.length = payload + control;
    tcp.next = u32::from_be(words[1]).wrapping_add(payload + control);
}

#[inline(always)]
fn may_be_tunnel(packet: &Packet, header: &Header) -> bool {
    let is_datagram = header.part == WHOLE && packet.key.protocol == UDP;
    door!(sees_tunnels) != 0 && is_datagram && is_tunnel(port(packet))
}

/// The destination port.
#[inline(always)]
fn port(packet: &Packet) -> u16 {
    let [_, _, high, low] = packet.key.ports.to_ne_bytes();
    u16::from_be_bytes([high, low])
}

#[inline(always)]
fn is_tunnel(port: u16) -> bool {
    port == TUNNEL_PORTS[0] || port == TUNNEL_PORTS[1] || port == TUNNEL_PORTS[2]
}

/// Reads the flow inside of a VXLAN or Geneve packet; an ordinary datagram has none.
#[inline(never)]
fn encapsulated(
    bytes: &impl Bytes,
    at: u32,
    outside: &Packet,
    inner: &mut Packet,
    header: &mut Header,
) -> Option<()> {
    let [_, _, first, number]: [u32; 4] = bytes.words(at)?;
    // Geneve: the lower six bits are the length of the options in words.
    let options = match port(outside) {
        GENEVE => u32::from(first.to_ne_bytes()[0] & 0x3f) * 4,
        _ => 0,
    };
    header.at = at + TUNNEL_HEADERS + options + ETHERNET;
    let kind = kind(bytes, unknown(&header.at))?;
    if kind != IPV4 && kind != IPV6 {
        return None;
    }
    let mut flags = outside.key.flags & !IS_V6 | HAS_TUNNEL | IS_ENCAPSULATED;
    if outside.key.flags & IS_V6 != 0 {
        flags |= IS_OUTER_V6;
    }
    inner.clear(outside.key.door, flags, outside.key.epoch);
    inner.key.tunnel = u32::from_be(number) >> 8;
    inner.tcp.has_outer = 1;
    inner.outer_source = outside.key.source;
    inner.outer_destination = outside.key.destination;
    ip(bytes, header, &mut inner.key)?;
    transport(bytes, header, inner, 0)
}
