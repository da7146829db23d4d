//! The programs.

use core::mem;

use aya_ebpf::{
    bindings::{BPF_F_TUNINFO_IPV6, bpf_tunnel_key},
    helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_skb_get_tunnel_key},
    macros::classifier,
};
use netviz_ebpf::{
    TCX_NEXT,
    flow::{HAS_TUNNEL, IS_EGRESS, IS_OUTER_V6, Outside, OutsideHook},
};

use super::{
    door::door,
    parse::parse,
    scratch::{Packet, scratch},
    table,
};

include!("../../counting.rs");

#[map]
static NETVIZ_OUTSIDE: PerCpuArray<Outside> = PerCpuArray::with_max_entries(1, 0);

/// With the local address (Linux 5.19), and without it for Linux 5.10, which refuses a larger key.
const TUNNEL_KEY_SIZE: u32 = size_of::<bpf_tunnel_key>() as u32;
const TUNNEL_KEY_BEFORE: u32 = mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;

#[classifier]
fn netviz_flow_in(ctx: TcContext) -> i32 {
    count_flow_in(&ctx);
    TCX_NEXT
}

#[inline(always)]
pub(crate) fn count_flow_in(ctx: &TcContext) {
    count(ctx, |door| &mut door.ingress);
    account(ctx, 0, |outside| &mut outside.ingress);
}

#[classifier]
fn netviz_flow_out(ctx: TcContext) -> i32 {
    count(&ctx, |door| &mut door.egress);
    account(&ctx, IS_EGRESS, |outside| &mut outside.egress);
    TCX_NEXT
}

#[inline(always)]
fn account(ctx: &TcContext, hook: u8, direction: impl FnOnce(&mut Outside) -> &mut OutsideHook) {
    // It always exists.
    let Some(scratch) = scratch() else {
        return;
    };
    scratch.now = now();
    scratch
        .packet
        .clear(door!(door) as u16, hook, table::epoch());
    let is_parsed = parse(ctx, scratch);
    if is_parsed && door!(is_tunnel) != 0 {
        tunnel(ctx, hook, &mut scratch.packet);
    }
    // SAFETY: the verifier allows access to gso_segs of a context pointer (Linux 5.1).
    let segments = unsafe { (*ctx.skb.skb).gso_segs }.max(1);
    let length = ctx.len();
    if is_parsed && table::add(&scratch.packet, scratch.now, length, segments) {
        return;
    }
    let Some(outside) = NETVIZ_OUTSIDE.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the map's own entry on this CPU, with softirqs off; user space only reads.
    let outside = direction(unsafe { &mut *outside });
    let counters = match is_parsed {
        true => &mut outside.evicted,
        false => &mut outside.unparsed,
    };
    counters.packets += 1;
    counters.segments += u64::from(segments);
    counters.bytes += u64::from(length);
}

/// The monotonic clock; the coarse one advances with each tick and costs almost nothing.
#[inline(always)]
fn now() -> u64 {
    // The verifier skips the helper that is not used.
    match door!(has_coarse_clock) {
        // SAFETY: a helper without pointers.
        0 => unsafe { bpf_ktime_get_ns() },
        // SAFETY: as above.
        _ => unsafe { bpf_ktime_get_coarse_ns() },
    }
}

/// Adds the tunnel key of a packet at a tunnel's device: its remote end is the source at ingress and the
/// destination at egress, where the key has it in the place of the local one.
#[inline(never)]
fn tunnel(ctx: &TcContext, hook: u8, packet: &mut Packet) {
    // SAFETY: integers, for which zero is a value.
    let mut key: bpf_tunnel_key = unsafe { mem::zeroed() };
    // SAFETY: the key is not smaller than the given size.
    let mut ask = |size, flags| unsafe {
        bpf_skb_get_tunnel_key(ctx.skb.skb, &raw mut key, size, flags) == 0
    };
    let is_v4 = ask(TUNNEL_KEY_SIZE, 0) || ask(TUNNEL_KEY_BEFORE, 0);
    let v6 = u64::from(BPF_F_TUNINFO_IPV6);
    if !is_v4 && !ask(TUNNEL_KEY_SIZE, v6) && !ask(TUNNEL_KEY_BEFORE, v6) {
        return;
    }
    packet.key.tunnel = key.tunnel_id;
    packet.key.flags |= HAS_TUNNEL;
    // SAFETY: the unions' members are integers.
    let [remote, local] = unsafe {
        [
            key.__bindgen_anon_1.remote_ipv6,
            key.__bindgen_anon_3.local_ipv6,
        ]
    };
    let [remote, local] = match is_v4 {
        // In host order, unlike IPv6.
        true => [remote, local].map(|it| [it[0].to_be(), 0, 0, 0]),
        false => {
            packet.key.flags |= IS_OUTER_V6;
            [remote, local]
        }
    };
    packet.tcp.has_outer = 1;
    packet.outer_source = [0; 4];
    packet.outer_destination = [0; 4];
    if hook == IS_EGRESS {
        packet.outer_destination = if remote == [0; 4] { local } else { remote };
    } else {
        packet.outer_source = remote;
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
