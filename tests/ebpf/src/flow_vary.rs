//! The programs that count flows, after a program that gives each packet another source address: for
//! benchmarks, because a test run repeats one packet.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "../../../netviz-ebpf/src/bin/flow/bytes.rs"]
mod bytes;
#[cfg(target_arch = "bpf")]
#[path = "../../../netviz-ebpf/src/bin/flow/door.rs"]
mod door;
#[cfg(target_arch = "bpf")]
#[path = "../../../netviz-ebpf/src/bin/flow/parse.rs"]
mod parse;
#[cfg(target_arch = "bpf")]
#[path = "../../../netviz-ebpf/src/bin/flow/program.rs"]
mod program;
#[cfg(target_arch = "bpf")]
#[path = "../../../netviz-ebpf/src/bin/flow/scratch.rs"]
mod scratch;
#[cfg(target_arch = "bpf")]
#[path = "../../../netviz-ebpf/src/bin/flow/table.rs"]
mod table;

#[cfg(target_arch = "bpf")]
mod vary {
    use core::ptr;

    use aya_ebpf::{
        macros::{classifier, map},
        maps::Array,
        programs::TcContext,
    };
    use netviz_ebpf::TCX_NEXT;

    use crate::program::count_flow_in;

    /// Offset of the source address in an IPv4 frame.
    const SOURCE: usize = 26;

    /// The number of the packet, and the mask that leaves as many addresses as there are to be flows.
    #[map]
    static NETVIZ_VARY: Array<[u32; 2]> = Array::with_max_entries(1, 0);

    #[classifier]
    fn netviz_vary(ctx: TcContext) -> i32 {
        vary(&ctx);
        TCX_NEXT
    }

    #[classifier]
    fn netviz_vary_flow(ctx: TcContext) -> i32 {
        vary(&ctx);
        count_flow_in(&ctx);
        TCX_NEXT
    }

    #[inline(always)]
    fn vary(ctx: &TcContext) {
        let Some(state) = NETVIZ_VARY.get_ptr_mut(0) else {
            return;
        };
        let address = ctx.data() + SOURCE;
        if address + 4 > ctx.data_end() {
            return;
        }
        // SAFETY: the map's own entry, and bytes within the packet. The address need not be aligned, as
        // the verifier knows.
        unsafe {
            let [number, mask] = *state;
            *state = [number.wrapping_add(1), mask];
            ptr::write_volatile(address as *mut u32, number & mask);
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
