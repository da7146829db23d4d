//! Reads the headers of a packet, plain or inside of a tunnel's packet.

use core::{mem, ptr};

use aya_ebpf::{helpers::bpf_skb_load_bytes, programs::TcContext};
use netviz_ebpf::follow::{GENEVE, TUNNEL_PORTS};

const ETHERNET: u32 = 14;
const TAG: u32 = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAGS: [u16; 2] = [0x8100, 0x88a8];
const UDP_HEADER: u32 = 8;
const TUNNEL_HEADER: u32 = 8;
/// IP protocol of UDP.
pub(crate) const UDP: u32 = 17;

/// Upper bound for the offset of a header: at most two IP headers with options and one Geneve
/// header precede it. The verifier requires a bound.
pub(crate) const OFFSET_MASK: u32 = 0x3ff;

/// Returns the offset of the IP header: 0 on devices without Ethernet headers (WireGuard).
#[inline(always)]
pub(crate) fn beginning(ctx: &TcContext) -> Option<u32> {
    // SAFETY: the verifier allows access to this field of a context pointer.
    let protocol = u16::from_be(unsafe { (*ctx.skb.skb).protocol } as u16);
    let kind = kind(ctx, ETHERNET)?;
    let is_known = is_tag(kind) || kind == IPV4 || kind == IPV6;
    let has_header = kind == protocol || is_known && protocol != IPV4 && protocol != IPV6;
    if !has_header {
        return Some(0);
    }
    if !is_tag(kind) {
        return Some(ETHERNET);
    }
    match is_tag(self::kind(ctx, ETHERNET + TAG)?) {
        true => Some(ETHERNET + 2 * TAG),
        false => Some(ETHERNET + TAG),
    }
}

/// Returns the type of what begins at an offset: the last two bytes of the header before it.
#[inline(always)]
fn kind(ctx: &TcContext, at: u32) -> Option<u16> {
    let [word]: [u32; 1] = near(ctx, at - 2)?;
    let [high, low, ..] = word.to_ne_bytes();
    Some(u16::from_be_bytes([high, low]))
}

#[inline(always)]
fn is_tag(kind: u16) -> bool {
    kind == TAGS[0] || kind == TAGS[1]
}

/// Returns the offset of the IP header inside a tunnel packet.
#[inline(always)]
pub(crate) fn inside(ctx: &TcContext, transport: u32) -> Option<u32> {
    let [ports, _, tunnel]: [u32; 3] = near(ctx, transport)?;
    let [_, _, high, low] = ports.to_ne_bytes();
    let port = u16::from_be_bytes([high, low]);
    if port != TUNNEL_PORTS[0] && port != TUNNEL_PORTS[1] && port != TUNNEL_PORTS[2] {
        return None;
    }
    // Geneve: the lower six bits are the length of the options in words.
    let options = if port == GENEVE {
        u32::from(tunnel.to_ne_bytes()[0] & 0x3f) * 4
    } else {
        0
    };
    Some(transport + UDP_HEADER + TUNNEL_HEADER + options + ETHERNET)
}

/// Reads `N` words at an offset of the packet, in packet order, without a helper call if they are
/// in the linear part. Use it only for what is read from every packet: the verifier checks the code
/// after each call twice.
#[inline(always)]
pub(crate) fn near<const N: usize>(ctx: &TcContext, at: u32) -> Option<[u32; N]> {
    let start = ctx.data() + (at & OFFSET_MASK) as usize;
    if start + N * mem::size_of::<u32>() > ctx.data_end() {
        return read(ctx, at);
    }
    let mut words = [0_u32; N];
    for (place, word) in words.iter_mut().enumerate() {
        // SAFETY: within the packet, by the comparison above, which the verifier also uses.
        *word = unsafe { ptr::read_unaligned((start + place * 4) as *const u32) };
    }
    Some(words)
}

/// Reads `N` words at an offset of the packet, in packet order.
#[inline(always)]
pub(crate) fn read<const N: usize>(ctx: &TcContext, at: u32) -> Option<[u32; N]> {
    let mut words = [0_u32; N];
    // SAFETY: the destination has room for the requested bytes.
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
