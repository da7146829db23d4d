//! The programs.

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
        CROSSINGS_ROOM, HAS_TUNNEL, HEAD_SIZE, IS_EGRESS, IS_TCP_REPLY, MAGIC, MARKER_SIZE,
        MarkedPacket, TcpReplies,
    },
};

use crate::end;

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

/// With the local address, which holds the destination node of an outgoing packet: Linux 5.19.
const TUNNEL_KEY_SIZE: u32 = size_of::<bpf_tunnel_key>() as u32;
/// The size that Linux 5.10 supports; it refuses a larger one.
const TUNNEL_KEY_BEFORE: u32 = mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;
/// Probes are never longer than this; the verifier requires a bound.
const OFFSET_MASK: u32 = 0xffff;
/// The same for an end that a header gives: the verifier accepts offsets below 64 KiB, and does not
/// know that it is below the frame's length.
const END_MASK: u32 = 0x7fff;

/// Data offset and flags of the two replies to a SYN whose only known option is the maximum segment
/// size: a SYN-ACK with that one option, and a reset.
const SYN_ACK: [u8; 2] = [0x60, 0x12];
const RESET: [u8; 2] = [0x50, 0x14];

/// The marker at the end of a packet.
struct Found {
    flow: u32,
    sequence: u32,
    flags: u32,
}

#[classifier]
fn netviz_see_in(ctx: TcContext) -> i32 {
    process(&ctx, 0);
    TCX_NEXT
}

#[classifier]
fn netviz_see_out(ctx: TcContext) -> i32 {
    process(&ctx, IS_EGRESS);
    TCX_NEXT
}

#[inline(always)]
fn process(ctx: &TcContext, direction: u32) {
    // SAFETY: a constant of the object, written by the loader. The read is volatile because the
    // compiler would otherwise use the initial value in the source.
    let [shortest, longest] = unsafe { ptr::read_volatile(&raw const NETVIZ_LENGTHS) };
    let length = ctx.len();
    if length < shortest || length > longest {
        return;
    }
    if let Some(found) = find(ctx, length) {
        report(ctx, length, direction, &found);
    }
}

/// Finds a marker at the end of the frame, or at the end of the packet in a longer frame.
#[inline(always)]
fn find(ctx: &TcContext, length: u32) -> Option<Found> {
    at_end(ctx, length).or_else(|| {
        let end = end::of_packet(ctx)?;
        if end < length {
            at_end(ctx, end & END_MASK)
        } else {
            None
        }
    })
}

#[inline(always)]
fn at_end(ctx: &TcContext, end: u32) -> Option<Found> {
    marked(ctx, end).or_else(|| tcp_reply(ctx, end))
}

/// Returns this run's marker if it ends there.
#[inline(always)]
fn marked(ctx: &TcContext, end: u32) -> Option<Found> {
    let words: [u32; MARKER_SIZE / 4] = last(ctx, end, [(0, [MAGIC[0], MAGIC[1]])])?;
    let [magic_a, magic_b, a, b, c, d, flow, sequence] = words;
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
    // Two halves of a number in packet order, on a little-endian machine.
    u64::from(first) | u64::from(second) << 32
}

/// Returns the marker of a reply to a marked SYN, recognised by its acknowledgement number.
#[inline(always)]
fn tcp_reply(ctx: &TcContext, end: u32) -> Option<Found> {
    // SAFETY: as above.
    let tcp = unsafe { ptr::read_volatile(&raw const NETVIZ_TCP) };
    if tcp.wanted == 0 {
        return None;
    }
    // A TCP header of 20 bytes, or of 24 bytes with the maximum segment size.
    let words: [u32; 6] = last(ctx, end, [(12, SYN_ACK), (16, RESET)])?;
    let acknowledged = answers(words[2], words[3], SYN_ACK)
        .or_else(|| answers(words[3], words[4], RESET))?
        .wrapping_sub(1);
    (acknowledged >> 16 == tcp.prefix).then_some(Found {
        flow: 0,
        sequence: acknowledged,
        flags: IS_TCP_REPLY,
    })
}

/// Returns the acknowledgement number if data offset and flags are `kind`.
#[inline(always)]
fn answers(acknowledged: u32, offset_and_flags: u32, kind: [u8; 2]) -> Option<u32> {
    let [offset, flags, ..] = offset_and_flags.to_ne_bytes();
    ([offset, flags] == kind).then_some(u32::from_be(acknowledged))
}

/// Returns the `N` words before `end`, in packet order, if one of `likely` matches at its offset in
/// them.
///
/// Words are read byte by byte, because the end of a packet is not aligned. A packet that is no
/// probe must cost two bytes, not all of them.
#[inline(always)]
fn last<const N: usize, const M: usize>(
    ctx: &TcContext,
    end: u32,
    likely: [(usize, [u8; 2]); M],
) -> Option<[u32; N]> {
    let size = N * 4;
    let offset = end.checked_sub(size as u32)? & OFFSET_MASK;
    let start = ctx.data() + offset as usize;
    if start + size <= ctx.data_end() {
        // SAFETY: within the packet, by the comparison above, which the verifier also uses.
        let byte = |place: usize| unsafe { ptr::read((start + place) as *const u8) };
        likely
            .iter()
            .any(|&(place, [first, second])| byte(place) == first && byte(place + 1) == second)
            .then_some(())?;
        // SAFETY: as above.
        let word = |place: usize| unsafe { ptr::read_unaligned((start + place * 4) as *const u32) };
        return Some(array::from_fn(word));
    }
    // These bytes are not in the packet's linear part. The buffer is not zeroed, because that is a
    // loop over bytes.
    let mut words = MaybeUninit::<[u32; N]>::uninit();
    // SAFETY: the destination has room for the requested bytes.
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
fn report(ctx: &TcContext, length: u32, direction: u32, found: &Found) {
    let Some(mut entry) = NETVIZ_SEEN.reserve::<MarkedPacket>(0) else {
        if let Some(missed) = NETVIZ_MISSED.get_ptr_mut(0) {
            // SAFETY: the map's own entry on this CPU, with softirqs off.
            unsafe { *missed += 1 };
        }
        return;
    };
    let seen = entry.as_mut_ptr();
    // SAFETY: the entry has room for one `MarkedPacket`, and every byte of it is written here.
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
fn tunnel(ctx: &TcContext, seen: *mut MarkedPacket) {
    // SAFETY: integers, for which zero is a value.
    let mut key: bpf_tunnel_key = unsafe { mem::zeroed() };
    // SAFETY: the key is not smaller than the given size.
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
fn head(ctx: &TcContext, length: u32, seen: *mut MarkedPacket) {
    // Every packet that is found is longer. Linux 6.1 needs the comparison: it does not conclude from
    // `size != 0` that the size is at least 1.
    if length < MARKER_SIZE as u32 {
        return;
    }
    let size = if length < HEAD_SIZE as u32 {
        length
    } else {
        HEAD_SIZE as u32
    };
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
