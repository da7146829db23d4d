//! The programs themselves.

use core::{
    array,
    mem::{self, MaybeUninit},
    ptr,
};

use aya_ebpf::{
    bindings::bpf_tunnel_key,
    helpers::{bpf_ktime_get_ns, bpf_skb_get_tunnel_key, bpf_skb_load_bytes},
    macros::{classifier, map},
    maps::{PerCpuArray, RingBuf},
    programs::TcContext,
};
use netviz_ebpf::{
    TCX_NEXT,
    crossing::{
        CROSSINGS_ROOM, HAS_TUNNEL, HEAD_SIZE, IS_EGRESS, IS_TCP_REPLY, MAGIC, MARKER_SIZE, Seen,
        TcpReplies,
    },
};

#[map]
static NETVIZ_SEEN: RingBuf = RingBuf::with_byte_size(CROSSINGS_ROOM, 0);

#[map]
static NETVIZ_MISSED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[unsafe(no_mangle)]
static NETVIZ_COOKIE: [u64; 2] = [0; 2];

#[unsafe(no_mangle)]
static NETVIZ_LENGTHS: [u32; 2] = [u32::MAX, 0];

#[unsafe(no_mangle)]
static NETVIZ_TCP: TcpReplies = TcpReplies {
    wanted: 0,
    prefix: 0,
};

/// With the local end, where the node that an outgoing packet is for stands: Linux 5.19.
const TUNNEL_KEY_SIZE: u32 = size_of::<bpf_tunnel_key>() as u32;
/// What Linux 5.10 knows of it, which refuses a larger one.
const TUNNEL_KEY_BEFORE: u32 = mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;
/// Longer packets than this are never ours; the verifier wants a bound.
const OFFSET_MASK: u32 = 0xffff;

/// Data offset and flags of the two answers to a SYN that offered a maximum segment size and
/// nothing else that Linux knows: a SYN-ACK with that one option, and a reset.
const SYN_ACK: [u8; 2] = [0x60, 0x12];
const RESET: [u8; 2] = [0x50, 0x14];

/// What was found at the end of a packet.
struct Found {
    flow: u32,
    sequence: u32,
    flags: u32,
}

#[classifier]
fn netviz_see_in(ctx: TcContext) -> i32 {
    look(&ctx, 0);
    TCX_NEXT
}

#[classifier]
fn netviz_see_out(ctx: TcContext) -> i32 {
    look(&ctx, IS_EGRESS);
    TCX_NEXT
}

#[inline(always)]
fn look(ctx: &TcContext, direction: u32) {
    // SAFETY: a constant of the object, written by the loader; volatile, or the compiler would
    // take the value that stands in the source.
    let [shortest, longest] = unsafe { ptr::read_volatile(&raw const NETVIZ_LENGTHS) };
    let length = ctx.len();
    if length < shortest || length > longest {
        return;
    }
    if let Some(found) = marked(ctx, length).or_else(|| tcp_reply(ctx, length)) {
        tell(ctx, length, direction, &found);
    }
}

/// The marker of this run, if the packet ends with it.
#[inline(always)]
fn marked(ctx: &TcContext, length: u32) -> Option<Found> {
    let end: [u32; MARKER_SIZE / 4] = last(ctx, length, [(0, [MAGIC[0], MAGIC[1]])])?;
    let [magic_a, magic_b, a, b, c, d, flow, sequence] = end;
    // SAFETY: as above.
    let cookie = unsafe { ptr::read_volatile(&raw const NETVIZ_COOKIE) };
    let ours = long(magic_a, magic_b) == u64::from_ne_bytes(MAGIC)
        && long(a, b) == cookie[0]
        && long(c, d) == cookie[1];
    ours.then_some(Found {
        flow: u32::from_be(flow),
        sequence: u32::from_be(sequence),
        flags: 0,
    })
}

#[inline(always)]
fn long(first: u32, second: u32) -> u64 {
    // Two halves of a number as it stands in memory, on a little-endian machine.
    u64::from(first) | u64::from(second) << 32
}

/// An answer to a marked SYN: recognised by the number that it acknowledges.
#[inline(always)]
fn tcp_reply(ctx: &TcContext, length: u32) -> Option<Found> {
    // SAFETY: as above.
    let tcp = unsafe { ptr::read_volatile(&raw const NETVIZ_TCP) };
    if tcp.wanted == 0 {
        return None;
    }
    // A TCP header of 20 bytes, or one of 24: with the maximum segment size.
    let end: [u32; 6] = last(ctx, length, [(12, SYN_ACK), (16, RESET)])?;
    let acknowledged = answers(end[2], end[3], SYN_ACK)
        .or_else(|| answers(end[3], end[4], RESET))?
        .wrapping_sub(1);
    (acknowledged >> 16 == tcp.prefix).then_some(Found {
        flow: 0,
        sequence: acknowledged,
        flags: IS_TCP_REPLY,
    })
}

/// The number that is acknowledged, where data offset and flags are `kind`.
#[inline(always)]
fn answers(acknowledged: u32, offset_and_flags: u32, kind: [u8; 2]) -> Option<u32> {
    let [offset, flags, ..] = offset_and_flags.to_ne_bytes();
    ([offset, flags] == kind).then_some(u32::from_be(acknowledged))
}

/// The last `N` words of the packet, as they stand in it, if there are two bytes of `likely` at
/// their place in them.
///
/// Words are read byte by byte, as nothing is aligned at a packet's end. A packet that is nobody's
/// probe is to cost two bytes, not all of them.
#[inline(always)]
fn last<const N: usize, const M: usize>(
    ctx: &TcContext,
    length: u32,
    likely: [(usize, [u8; 2]); M],
) -> Option<[u32; N]> {
    let size = N * 4;
    let offset = length.checked_sub(size as u32)? & OFFSET_MASK;
    let start = ctx.data() + offset as usize;
    if start + size <= ctx.data_end() {
        // SAFETY: within the packet, by the comparison above, which the verifier sees too.
        let byte = |place: usize| unsafe { ptr::read((start + place) as *const u8) };
        likely
            .iter()
            .any(|&(place, [first, second])| byte(place) == first && byte(place + 1) == second)
            .then_some(())?;
        // SAFETY: as above.
        let word = |place: usize| unsafe { ptr::read_unaligned((start + place * 4) as *const u32) };
        return Some(array::from_fn(word));
    }
    // The end of the packet is not in its linear part. Not zeroed before: that is a loop over bytes.
    let mut words = MaybeUninit::<[u32; N]>::uninit();
    // SAFETY: the destination has as many bytes as are asked for.
    let failed = unsafe {
        bpf_skb_load_bytes(
            ctx.skb.skb.cast(),
            offset,
            words.as_mut_ptr().cast(),
            size as u32,
        )
    };
    // SAFETY: the helper has written all of it.
    (failed == 0).then(|| unsafe { words.assume_init() })
}

#[inline(always)]
fn tell(ctx: &TcContext, length: u32, direction: u32, found: &Found) {
    let Some(mut entry) = NETVIZ_SEEN.reserve::<Seen>(0) else {
        if let Some(missed) = NETVIZ_MISSED.get_ptr_mut(0) {
            // SAFETY: the map's own entry on this CPU, with softirqs off.
            unsafe { *missed += 1 };
        }
        return;
    };
    let seen = entry.as_mut_ptr();
    // SAFETY: the entry has room for one `Seen`, whose every byte is written here.
    unsafe {
        ptr::write_bytes(seen, 0, 1);
        // SAFETY: a helper without pointers.
        (*seen).time = bpf_ktime_get_ns();
        (*seen).flow = found.flow;
        (*seen).sequence = found.sequence;
        (*seen).flags = found.flags | direction;
        (*seen).length = length;
    }
    tunnel(ctx, seen);
    head(ctx, length, seen);
    entry.submit(0);
}

#[inline(always)]
fn tunnel(ctx: &TcContext, seen: *mut Seen) {
    // SAFETY: integers, for which zero is a value.
    let mut key: bpf_tunnel_key = unsafe { mem::zeroed() };
    // SAFETY: the key is not smaller than the size that is named.
    let mut ask = |size| unsafe { bpf_skb_get_tunnel_key(ctx.skb.skb, &raw mut key, size, 0) };
    if ask(TUNNEL_KEY_SIZE) != 0 && ask(TUNNEL_KEY_BEFORE) != 0 {
        return;
    }
    // SAFETY: an entry of the ring buffer, initialised by the caller; the union's members are
    // integers.
    unsafe {
        (*seen).flags |= HAS_TUNNEL;
        (*seen).identity = key.tunnel_id;
        (*seen).remote = key.__bindgen_anon_1.remote_ipv4;
        (*seen).local = key.__bindgen_anon_3.local_ipv4;
    }
}

#[inline(always)]
fn head(ctx: &TcContext, length: u32, seen: *mut Seen) {
    let size = if length < HEAD_SIZE as u32 {
        length
    } else {
        HEAD_SIZE as u32
    };
    if size == 0 {
        return;
    }
    // SAFETY: `head` has room for `HEAD_SIZE` bytes.
    let failed =
        unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), 0, (&raw mut (*seen).head).cast(), size) };
    if failed == 0 {
        // SAFETY: as in `tunnel`.
        unsafe { (*seen).head_length = size };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
