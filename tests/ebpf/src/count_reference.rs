//! The counting programs as they are to stay: a test compares the instructions with those of
//! `netviz-count`, so that nothing is added to the path of each packet by accident. Whoever changes that
//! path knowingly changes this copy as well.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        macros::{classifier, map},
        maps::PerCpuArray,
        programs::TcContext,
    };
    use netviz_ebpf::{Counters, DoorCounters, TCX_NEXT};

    #[map]
    static NETVIZ_COUNTERS: PerCpuArray<DoorCounters> = PerCpuArray::with_max_entries(1, 0);

    #[classifier]
    fn netviz_ingress(ctx: TcContext) -> i32 {
        count(&ctx, |door| &mut door.ingress);
        TCX_NEXT
    }

    #[classifier]
    fn netviz_egress(ctx: TcContext) -> i32 {
        count(&ctx, |door| &mut door.egress);
        TCX_NEXT
    }

    #[inline(always)]
    fn count(ctx: &TcContext, direction: impl FnOnce(&mut DoorCounters) -> &mut Counters) {
        let Some(door) = NETVIZ_COUNTERS.get_ptr_mut(0) else {
            return;
        };
        // SAFETY: the map's own entry on this CPU, with softirqs off.
        let counters = direction(unsafe { &mut *door });
        // SAFETY: the verifier allows access to gso_segs of a context pointer (Linux 5.1).
        let gso_segments = unsafe { (*ctx.skb.skb).gso_segs };
        counters.packets += 1;
        counters.segments += u64::from(gso_segments.max(1));
        counters.bytes += u64::from(ctx.len());
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
