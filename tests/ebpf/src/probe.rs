//! Records TTL and tunnel key of the last packet at a hook, to compare the lab's packets with those of
//! a running Cilium.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::{
        bindings::bpf_tunnel_key,
        helpers::bpf_skb_get_tunnel_key,
        macros::{classifier, map},
        maps::Array,
        programs::TcContext,
    };
    use netviz_ebpf::{TCX_NEXT, lab::LastPacket};

    /// Offset of the network header, and the size of the tunnel key in Linux 5.10.
    const NETWORK: usize = 14;
    const TUNNEL_KEY_SIZE: u32 = core::mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;

    #[map]
    static LAB_SEEN: Array<LastPacket> = Array::with_max_entries(2, 0);

    #[classifier]
    fn netviz_probe_in(ctx: TcContext) -> i32 {
        note(&ctx, 0);
        TCX_NEXT
    }

    #[classifier]
    fn netviz_probe_out(ctx: TcContext) -> i32 {
        note(&ctx, 1);
        TCX_NEXT
    }

    #[inline(always)]
    fn note(ctx: &TcContext, slot: u32) {
        let Ok(version) = ctx.load::<u8>(NETWORK) else {
            return;
        };
        let ttl = if version >> 4 == 4 {
            NETWORK + 8
        } else {
            NETWORK + 7
        };
        // SAFETY: integers, for which zero is a value.
        let mut key: bpf_tunnel_key = unsafe { core::mem::zeroed() };
        // SAFETY: the key is larger than the given size.
        let has_key =
            unsafe { bpf_skb_get_tunnel_key(ctx.skb.skb, &raw mut key, TUNNEL_KEY_SIZE, 0) } == 0;
        let seen = LastPacket {
            ttl: ctx.load::<u8>(ttl).map_or(0, u32::from),
            identity: if has_key { key.tunnel_id } else { 0 },
        };
        // The slot always exists.
        LAB_SEEN.set(slot, seen, 0).ok();
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
