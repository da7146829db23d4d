// Counts a packet: all that the counting object does, and the beginning of what the flow object does.
use aya_ebpf::{macros::map, maps::PerCpuArray, programs::TcContext};
use netviz_ebpf::{Counters, DoorCounters};

#[map]
static NETVIZ_COUNTERS: PerCpuArray<DoorCounters> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
fn count(ctx: &TcContext, direction: impl FnOnce(&mut DoorCounters) -> &mut Counters) {
    let Some(door) = NETVIZ_COUNTERS.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the map's own entry on this CPU. A hook runs with softirqs off, so nothing else
    // writes to it at the same time; user space only reads.
    let counters = direction(unsafe { &mut *door });
    // SAFETY: the verifier allows access to gso_segs of a context pointer (Linux 5.1).
    let gso_segments = unsafe { (*ctx.skb.skb).gso_segs };
    counters.packets += 1;
    counters.segments += u64::from(gso_segments.max(1));
    counters.bytes += u64::from(ctx.len());
}
