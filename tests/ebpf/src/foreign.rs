//! Programs of another tool, one for each verdict. Each counts its packets, so that a test can check
//! whether it ran.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::{TC_ACT_OK, TC_ACT_SHOT, bpf_redir_neigh, bpf_redir_neigh__bindgen_ty_1},
        helpers::{bpf_clone_redirect, bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer},
        macros::{classifier, map},
        maps::{Array, PerCpuArray},
        programs::TcContext,
    };
    use netviz_ebpf::TCX_NEXT;

    #[map]
    static FOREIGN_SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

    /// Index of a device, and its next hop in network byte order.
    #[map]
    static FOREIGN_TARGET: Array<u32> = Array::with_max_entries(2, 0);

    #[classifier]
    fn foreign_ok(_: TcContext) -> i32 {
        seen();
        TC_ACT_OK
    }

    #[classifier]
    fn foreign_shot(_: TcContext) -> i32 {
        seen();
        TC_ACT_SHOT
    }

    #[classifier]
    fn foreign_next(_: TcContext) -> i32 {
        seen();
        TCX_NEXT
    }

    #[classifier]
    fn foreign_redirect(_: TcContext) -> i32 {
        seen();
        match FOREIGN_TARGET.get(0) {
            // SAFETY: a helper without pointers.
            Some(index) => unsafe { bpf_redirect(*index, 0) as i32 },
            None => TC_ACT_SHOT,
        }
    }

    #[classifier]
    fn foreign_peer(_: TcContext) -> i32 {
        seen();
        match FOREIGN_TARGET.get(0) {
            // SAFETY: a helper without pointers.
            Some(index) => unsafe { bpf_redirect_peer(*index, 0) as i32 },
            None => TC_ACT_SHOT,
        }
    }

    #[classifier]
    fn foreign_neigh(_: TcContext) -> i32 {
        const AF_INET: u32 = 2;
        seen();
        let (Some(index), Some(next)) = (FOREIGN_TARGET.get(0), FOREIGN_TARGET.get(1)) else {
            return TC_ACT_SHOT;
        };
        let mut hop = bpf_redir_neigh {
            nh_family: AF_INET,
            __bindgen_anon_1: bpf_redir_neigh__bindgen_ty_1 { ipv6_nh: [0; 4] },
        };
        hop.__bindgen_anon_1.ipv4_nh = *next;
        let size = size_of::<bpf_redir_neigh>() as i32;
        // SAFETY: a structure of our own, and its size.
        unsafe { bpf_redirect_neigh(*index, &raw mut hop, size, 0) as i32 }
    }

    /// Returns a code that the kernel does not know.
    #[classifier]
    fn foreign_unknown(_: TcContext) -> i32 {
        seen();
        4_242
    }

    /// Sends a copy to the target, and passes the packet itself on.
    #[classifier]
    fn foreign_clone(ctx: TcContext) -> i32 {
        seen();
        if let Some(index) = FOREIGN_TARGET.get(0) {
            // SAFETY: the program's own context.
            unsafe { bpf_clone_redirect(ctx.skb.skb, *index, 0) };
        }
        TCX_NEXT
    }

    #[inline(always)]
    fn seen() {
        if let Some(seen) = FOREIGN_SEEN.get_ptr_mut(0) {
            // SAFETY: the map's own entry on this CPU, with softirqs off.
            unsafe { *seen += 1 };
        }
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
