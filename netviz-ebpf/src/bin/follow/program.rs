//! The programs.

use core::{mem, ptr};

use aya_ebpf::{
    bindings::bpf_tunnel_key,
    helpers::{bpf_ktime_get_ns, bpf_skb_get_tunnel_key},
    macros::{classifier, map},
    maps::{Array, PerCpuArray, RingBuf},
    programs::TcContext,
};
use netviz_ebpf::{
    TCX_NEXT,
    crossing::{HAS_TUNNEL, IS_EGRESS},
    follow::{
        IS_REPLY, IS_STREAM, MOST_LEVEL, PASSED_ROOM, Pace, PairFilter, PairPacket, Tally, Traffic,
        holds_mark, is_chosen,
    },
};

use super::parse::{Found, find};

#[map]
static NETVIZ_PACKETS: RingBuf = RingBuf::with_byte_size(PASSED_ROOM, 0);

#[map]
static NETVIZ_OVERFLOW: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[map]
static NETVIZ_PACE: Array<Pace> = Array::with_max_entries(1, 0);

#[map]
static NETVIZ_TRAFFIC: PerCpuArray<Traffic> = PerCpuArray::with_max_entries(1, 0);

#[unsafe(no_mangle)]
static NETVIZ_FILTER: PairFilter = PairFilter {
    from: [0; 4],
    to: [0; 4],
    family: 0,
    protocol: 0,
    port: 0,
    reserved: 0,
    step: 0,
    burst: 0,
};

/// With the local address (Linux 5.19), and without it for Linux 5.10, which refuses a larger key.
const TUNNEL_KEY_SIZE: u32 = size_of::<bpf_tunnel_key>() as u32;
const TUNNEL_KEY_BEFORE: u32 = mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;

#[classifier]
fn netviz_fol_in(ctx: TcContext) -> i32 {
    process(&ctx, 0);
    TCX_NEXT
}

#[classifier]
fn netviz_fol_out(ctx: TcContext) -> i32 {
    process(&ctx, IS_EGRESS);
    TCX_NEXT
}

#[inline(always)]
fn process(ctx: &TcContext, hook: u32) {
    // SAFETY: a constant of the object, written by the loader. The read is volatile because the
    // compiler would otherwise use the initial value in the source.
    let sought = unsafe { ptr::read_volatile(&raw const NETVIZ_FILTER) };
    let Some(found) = find(ctx, &sought) else {
        return;
    };
    let Some(pace) = NETVIZ_PACE.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the map's own entry. CPUs that write at the same time can overwrite each other's
    // changes; then slightly more or fewer packets are reported.
    let pace = unsafe { &mut *pace };
    // SAFETY: a helper without pointers.
    let now = unsafe { bpf_ktime_get_ns() };
    if now < pace.from || now >= pace.end {
        return;
    }
    // SAFETY: the verifier allows access to gso_segs of a context pointer (Linux 5.1).
    let segments = unsafe { (*ctx.skb.skb).gso_segs };
    let is_bundle = segments > 1 && found.flags & IS_STREAM == 0;
    if now >= pace.counted && now < pace.until {
        count(ctx, hook, found.flags, segments, is_bundle);
    }
    let level = pace.level;
    if is_bundle || level > MOST_LEVEL {
        return;
    }
    let chosen = if found.flags & IS_STREAM == 0 {
        is_chosen(found.identity, level)
    } else {
        holds_mark(found.start, found.length, level)
    };
    if chosen {
        spend(pace, now, &sought);
        report(ctx, now, hook, &found);
    }
}

/// Halves the sampling rate if the budget is used up. The packet that exceeds the budget is still
/// reported, so that no level has gaps.
#[inline(always)]
fn spend(pace: &mut Pace, now: u64, sought: &PairFilter) {
    let due = if pace.due < now { now } else { pace.due };
    if due - now <= sought.burst {
        pace.due = due + sought.step;
    } else if pace.level < MOST_LEVEL {
        pace.level += 1;
        pace.due = now + sought.burst / 2;
    }
}

#[inline(always)]
fn count(ctx: &TcContext, hook: u32, flags: u32, segments: u32, is_bundle: bool) {
    let Some(traffic) = NETVIZ_TRAFFIC.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the map's own entry on this CPU. A hook runs with softirqs off, so nothing else
    // writes to it at the same time; user space only reads.
    let traffic: &mut Traffic = unsafe { &mut *traffic };
    let [there, back] = if hook == 0 {
        &mut traffic.ingress
    } else {
        &mut traffic.egress
    };
    let tally: &mut Tally = if flags & IS_REPLY == 0 { there } else { back };
    let packets = u64::from(segments.max(1));
    tally.packets += packets;
    tally.bytes += u64::from(ctx.len());
    tally.bundled += if is_bundle { packets } else { 0 };
}

#[inline(always)]
fn report(ctx: &TcContext, now: u64, hook: u32, found: &Found) {
    let Some(mut entry) = NETVIZ_PACKETS.reserve::<PairPacket>(0) else {
        if let Some(overflow) = NETVIZ_OVERFLOW.get_ptr_mut(0) {
            // SAFETY: the map's own entry on this CPU, with softirqs off.
            unsafe { *overflow += 1 };
        }
        return;
    };
    let mut passed = PairPacket {
        time: now,
        identity: found.identity,
        flags: found.flags | hook,
        key: 0,
        remote: 0,
        local: 0,
        start: found.start,
        length: found.length,
        ttl: found.ttl,
        reserved: 0,
    };
    tunnel(ctx, &mut passed);
    entry.write(passed);
    entry.submit(0);
}

#[inline(always)]
fn tunnel(ctx: &TcContext, passed: &mut PairPacket) {
    // SAFETY: integers, for which zero is a value.
    let mut key: bpf_tunnel_key = unsafe { mem::zeroed() };
    // SAFETY: the key is not smaller than the given size.
    let mut ask = |size| unsafe { bpf_skb_get_tunnel_key(ctx.skb.skb, &raw mut key, size, 0) };
    if ask(TUNNEL_KEY_SIZE) != 0 && ask(TUNNEL_KEY_BEFORE) != 0 {
        return;
    }
    passed.flags |= HAS_TUNNEL;
    passed.key = key.tunnel_id;
    // SAFETY: the union's members are integers.
    unsafe {
        passed.remote = key.__bindgen_anon_1.remote_ipv4;
        passed.local = key.__bindgen_anon_3.local_ipv4;
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
