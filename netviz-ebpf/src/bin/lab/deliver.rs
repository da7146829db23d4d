//! Handing a packet over: to a pod, to the node's stack, into the tunnel, onto the network.

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
/// Up to `tunnel_label`: all that Linux 5.10 knows, and accepted by every later kernel.
const TUNNEL_KEY_SIZE: u32 = mem::offset_of!(bpf_tunnel_key, __bindgen_anon_3) as u32;

/// Out of the device `index`.
#[inline(always)]
pub(super) fn redirect(index: u32) -> i32 {
    // SAFETY: the helper takes any index, and the kernel drops the packet where there is no device.
    unsafe { bpf_redirect(index, 0) as i32 }
}

/// To a pod of this node: into its own end (`peer`), or out of the node's end of its corridor.
#[inline(always)]
pub(super) fn to_pod(ctx: &TcContext, packet: &Packet, pod: &Endpoint, peer: bool) -> Verdict {
    service::incoming(ctx, packet)?;
    packet.age(ctx)?;
    address_frame(ctx, pod.mac, pod.node_mac)?;
    if !peer {
        return Ok(redirect(pod.index));
    }
    // What comes out of the tunnel is for another MAC, and the pod's stack would drop it: 5.10
    // looks at the type, not at the address.
    ctx.change_type(FOR_US)?;
    // SAFETY: at ingress, as the helper demands, with any index.
    Ok(unsafe { bpf_redirect_peer(pod.index, 0) } as i32)
}

/// Into the node's stack, through `cilium_net` and `cilium_host`.
#[inline(always)]
pub(super) fn to_host(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    packet.age(ctx)?;
    address_frame(ctx, config.host_mac, config.net_mac)?;
    Ok(redirect(config.net_index))
}

/// Through `cilium_vxlan` to the node that `route` names.
#[inline(always)]
pub(super) fn to_tunnel(ctx: &TcContext, config: &Config, route: &Route, identity: u32) -> Verdict {
    // SAFETY: integers, for which zero is a value.
    let mut key: bpf_tunnel_key = unsafe { mem::zeroed() };
    key.tunnel_id = identity;
    key.__bindgen_anon_1.remote_ipv4 = route.tunnel;
    let flags = u64::from(BPF_F_ZERO_CSUM_TX);
    // SAFETY: the key is larger than the size that is named.
    match unsafe { bpf_skb_set_tunnel_key(ctx.skb.skb, &raw mut key, TUNNEL_KEY_SIZE, flags) } {
        0 => Ok(redirect(config.vxlan_index)),
        refused => Err(refused),
    }
}

/// Past the node's stack, out of `eth0`.
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
