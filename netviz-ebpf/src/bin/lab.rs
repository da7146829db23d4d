//! Forwarding programs of the laboratory cluster, under the names that Cilium gives its own.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{macros::classifier, programs::TcContext};

    /// Returns at once: what an attached program costs at the least. The benchmark's unit.
    #[classifier]
    fn netviz_empty(_ctx: TcContext) -> i32 {
        netviz_ebpf::TCX_NEXT
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
