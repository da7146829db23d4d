//! The programs.

#[path = "end.rs"]
mod end;

use core::ptr;

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, bpf_probe_read_kernel},
    macros::{map, raw_tracepoint},
    maps::{Array, RingBuf},
    programs::RawTracePointContext,
};
use netviz_ebpf::{
    crossing::{MAGIC, MARKER_SIZE, Marker},
    drops::{Dropped, NO_REASON, Offsets},
};

#[map]
static NETVIZ_DROPS: RingBuf = RingBuf::with_byte_size(64 * 1024, 0);

/// Not per CPU, because it is rarely written.
#[map]
static NETVIZ_LOST: Array<u64> = Array::with_max_entries(1, 0);

#[unsafe(no_mangle)]
static NETVIZ_COOKIE: [u64; 2] = [0; 2];

#[unsafe(no_mangle)]
static NETVIZ_OFFSETS: Offsets = Offsets {
    len: 0,
    data_len: 0,
    head: 0,
    tail: 0,
    network_header: 0,
    dev: 0,
    ifindex: 0,
    net: 0,
    inum: 0,
};

#[raw_tracepoint]
fn netviz_drop(ctx: RawTracePointContext) -> i32 {
    look(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[raw_tracepoint]
fn netviz_drop_old(ctx: RawTracePointContext) -> i32 {
    look(ctx.arg(0), ctx.arg(1), NO_REASON);
    0
}

#[inline(always)]
fn look(packet: usize, location: u64, reason: u32) {
    // SAFETY: constants of the object, written by the loader. The reads are volatile because the
    // compiler would otherwise use the initial values in the source.
    let offsets = unsafe { ptr::read_volatile(&raw const NETVIZ_OFFSETS) };
    let Some(marker) = marker(packet, &offsets) else {
        return;
    };
    let mut dropped = Dropped {
        // SAFETY: a helper without pointers.
        time: unsafe { bpf_ktime_get_ns() },
        location,
        flow: u32::from_be_bytes(marker.flow),
        sequence: u32::from_be_bytes(marker.sequence),
        reason,
        ifindex: 0,
        netns: 0,
        reserved: 0,
    };
    device(packet, &offsets, &mut dropped);
    report(&dropped);
}

/// Returns this run's marker if the packet ends with it and is linear. Removed headers may have
/// shortened the front of the packet, but its end does not move. The frame may be longer than the packet,
/// or than that inside of a tunnel's packet: then the IP headers have its length.
#[inline(always)]
fn marker(packet: usize, offsets: &Offsets) -> Option<Marker> {
    let length: u32 = field(packet, offsets.len)?;
    let elsewhere: u32 = field(packet, offsets.data_len)?;
    if length < MARKER_SIZE as u32 || elsewhere != 0 {
        return None;
    }
    let head: usize = field(packet, offsets.head)?;
    let tail: u32 = field(packet, offsets.tail)?;
    let end = head.wrapping_add(tail as usize);
    own(end, end).or_else(|| {
        let network: u16 = field(packet, offsets.network_header)?;
        let outside = end::packet(head.wrapping_add(usize::from(network)))?;
        own(outside.end, end).or_else(|| own(outside.inside()?.end, end))
    })
}

/// Returns this run's marker in front of an address within the frame.
#[inline(always)]
fn own(end: usize, limit: usize) -> Option<Marker> {
    if end > limit {
        return None;
    }
    let marker: Marker = field(end.wrapping_sub(MARKER_SIZE), 0)?;
    // SAFETY: as above.
    let cookie = unsafe { ptr::read_volatile(&raw const NETVIZ_COOKIE) };
    let [a, b, c, d, e, f, g, h, ..] = marker.cookie;
    let first = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    let [.., a, b, c, d, e, f, g, h] = marker.cookie;
    let second = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    let ours = u64::from_ne_bytes(marker.magic) == u64::from_ne_bytes(MAGIC)
        && first == cookie[0]
        && second == cookie[1];
    ours.then_some(marker)
}

/// Sets the packet's device and network namespace, if they can be read.
#[inline(always)]
fn device(packet: usize, offsets: &Offsets, dropped: &mut Dropped) {
    let Some(device) = field::<usize>(packet, offsets.dev).filter(|device| *device != 0) else {
        return;
    };
    dropped.ifindex = field(device, offsets.ifindex).unwrap_or(0);
    if let Some(net) = field::<usize>(device, offsets.net) {
        dropped.netns = field(net, offsets.inum).unwrap_or(0);
    }
}

#[inline(always)]
fn report(dropped: &Dropped) {
    if let Some(mut entry) = NETVIZ_DROPS.reserve::<Dropped>(0) {
        entry.write(*dropped);
        entry.submit(0);
    } else if let Some(lost) = NETVIZ_LOST.get_ptr_mut(0) {
        // SAFETY: the map's own entry; a concurrent write can lose one increment.
        unsafe { *lost += 1 };
    }
}

/// Reads a field of a kernel structure; `None` if the memory does not exist.
#[inline(always)]
fn field<T>(base: usize, offset: u32) -> Option<T> {
    // SAFETY: the helper accepts any address and returns an error if it cannot read there.
    unsafe { bpf_probe_read_kernel((base.wrapping_add(offset as usize)) as *const T) }.ok()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
