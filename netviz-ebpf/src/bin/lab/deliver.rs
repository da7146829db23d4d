//! Delivers a packet: to a pod, to the node's stack, into the tunnel, or to the network.

use core::mem;

use aya_ebpf::{
    bindings::{BPF_F_ZERO_CSUM_TX, bpf_tunnel_key},
    helpers::{bpf_redirect, bpf_redirect_peer, bpf_skb_set_tunnel_key},
    programs::TcContext,
};
use netviz_ebpf::lab::{Config, Endpoint, Route};

use super::{Verdict, packet::Packet, service};

/// `PACKET_HOST`: for this machine.
const FOR_US: u32 = 0;
/// Up to `tunnel_label`, which is all that Linux 5.10 supports; later kernels accept this size too.
const TUNNEL_KEY_SIZE: u32 = mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;

/// Sends the packet out of the device `index`.
#[inline(always)]
pub(super) fn redirect(index: u32) -> i32 {
    // SAFETY: the helper accepts any index; the kernel drops the packet if no device has it.
    unsafe { bpf_redirect(index, 0) as i32 }
}

/// Sends the packet to a pod of this node: into the pod's end (`peer`), or out of the node's end of
/// the pair.
#[inline(always)]
pub(super) fn to_pod(ctx: &TcContext, packet: &Packet, pod: &Endpoint, peer: bool) -> Verdict {
    service::incoming(ctx, packet)?;
    packet.age(ctx)?;
    address_frame(ctx, pod.mac, pod.node_mac)?;
    if !peer {
        return Ok(redirect(pod.index));
    }
    // The packet from the tunnel has another MAC address, and the pod's stack would drop it. Linux
    // 5.10 checks the packet type, not the address.
    ctx.change_type(FOR_US)?;
    // SAFETY: called at ingress, as the helper requires, with any index.
    Ok(unsafe { bpf_redirect_peer(pod.index, 0) } as i32)
}

/// Sends the packet into the node's stack, through `cilium_net` and `cilium_host`.
#[inline(always)]
pub(super) fn to_host(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    packet.age(ctx)?;
    address_frame(ctx, config.host_mac, config.net_mac)?;
    Ok(redirect(config.net_index))
}

/// Sends the packet through `cilium_vxlan` to the node of `route`.
#[inline(always)]
pub(super) fn to_tunnel(ctx: &TcContext, config: &Config, route: &Route, identity: u32) -> Verdict {
    // SAFETY: integers, for which zero is a value.
    let mut key: bpf_tunnel_key = unsafe { mem::zeroed() };
    key.tunnel_id = identity;
    key.__bindgen_anon_1.remote_ipv4 = route.tunnel;
    let flags = u64::from(BPF_F_ZERO_CSUM_TX);
    // SAFETY: the key is larger than the given size.
    match unsafe { bpf_skb_set_tunnel_key(ctx.skb.skb, &raw mut key, TUNNEL_KEY_SIZE, flags) } {
        0 => Ok(redirect(config.vxlan_index)),
        refused => Err(refused),
    }
}

/// Sends the packet out of `eth0`, past the node's stack.
#[inline(always)]
pub(super) fn to_network(
    ctx: &TcContext,
    config: &Config,
    packet: &Packet,
    route: &Route,
) -> Verdict {
    packet.age(ctx)?;
    address_frame(ctx, route.mac, config.eth0_mac)?;
    Ok(redirect(config.eth0_index))
}

#[inline(always)]
fn address_frame(ctx: &TcContext, destination: [u8; 6], source: [u8; 6]) -> Result<(), i64> {
    ctx.store(0, &destination, 0)?;
    ctx.store(6, &source, 0)
}
