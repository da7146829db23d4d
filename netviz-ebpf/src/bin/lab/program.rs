//! The programs: their hooks and their decisions.

mod deliver;
mod maps;
mod masquerade;
mod packet;
mod service;
mod transport;

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_SHOT},
    macros::classifier,
    programs::TcContext,
};
use aya_log_ebpf::warn;
use netviz_ebpf::lab::{
    Config, ENDPOINT_ROUTES, HOST_ROUTING, LOCAL_PODS, NODE_IDENTITY, OWN, REMOTE_NODE,
    REMOTE_PODS, Route, TUNNEL, WORLD,
};

use self::packet::Packet;

/// `Err` is an error of a helper: the packet is dropped.
type Verdict = Result<i32, i64>;

const OK: i32 = TC_ACT_OK;
const SHOT: i32 = TC_ACT_SHOT;

/// Returns at once: the minimum cost of an attached program, and the benchmark's unit.
#[classifier]
fn netviz_empty(_ctx: TcContext) -> i32 {
    netviz_ebpf::TCX_NEXT
}

/// `lxc*` ingress: packets from a pod.
#[classifier]
fn cil_from_container(ctx: TcContext) -> i32 {
    verdict(&ctx, from_container)
}

/// `lxc*` egress, only with endpoint routes: the stack has routed the packet already.
#[classifier]
fn cil_to_container(ctx: TcContext) -> i32 {
    verdict(&ctx, to_container)
}

/// `cilium_host` egress: packets from the node's stack to pods.
#[classifier]
fn cil_from_host(ctx: TcContext) -> i32 {
    verdict(&ctx, from_host)
}

/// `cilium_host` and `cilium_net` ingress: packets into the node's stack.
#[classifier]
fn cil_to_host(_ctx: TcContext) -> i32 {
    OK
}

/// `cilium_vxlan` ingress: decapsulated packets from another node.
#[classifier]
fn cil_from_overlay(ctx: TcContext) -> i32 {
    verdict(&ctx, from_overlay)
}

/// `cilium_vxlan` egress: the tunnel key is already set.
#[classifier]
fn cil_to_overlay(_ctx: TcContext) -> i32 {
    OK
}

/// `eth0` ingress: packets from the network between the nodes.
#[classifier]
fn cil_from_netdev(ctx: TcContext) -> i32 {
    verdict(&ctx, from_netdev)
}

/// `eth0` egress, only with BPF host routing: masquerades after the programs at the head of the
/// chain.
#[classifier]
fn cil_to_netdev(ctx: TcContext) -> i32 {
    verdict(&ctx, to_netdev)
}

/// The network between the nodes: forwards a frame to the port of its destination.
#[classifier]
fn lab_wire(ctx: TcContext) -> i32 {
    match ctx.load::<[u8; 6]>(0).ok().and_then(maps::port) {
        Some(index) => deliver::redirect(index),
        None => SHOT,
    }
}

#[inline(always)]
fn verdict(ctx: &TcContext, decide: impl FnOnce(&TcContext, &Config, &Packet) -> Verdict) -> i32 {
    let Some(config) = maps::config() else {
        return SHOT;
    };
    match Packet::read(ctx) {
        Ok(Some(packet)) => decide(ctx, config, &packet).unwrap_or(SHOT),
        Ok(None) => OK,
        Err(_) => SHOT,
    }
}

#[inline(always)]
fn from_container(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    let packet = &match service::outgoing(ctx, packet)? {
        Some(backend) => packet.sent_to(backend),
        None => *packet,
    };
    if let Some(endpoint) = maps::endpoint(&packet.destination) {
        if endpoint.kind == OWN || config.flags & ENDPOINT_ROUTES != 0 {
            return Ok(OK);
        }
        let peer = config.flags & HOST_ROUTING != 0;
        return deliver::to_pod(ctx, packet, endpoint, peer);
    }
    match maps::route(&packet.destination) {
        Some(route) if route.kind == REMOTE_PODS && config.flags & TUNNEL != 0 => {
            deliver::to_tunnel(ctx, config, route, maps::identity(&packet.source))
        }
        Some(route) if route.kind != LOCAL_PODS => leave(ctx, config, packet, route),
        // No such pod here: the stack passes it to cil_from_host, which drops it.
        _ => Ok(OK),
    }
}

#[inline(always)]
fn to_container(ctx: &TcContext, _config: &Config, packet: &Packet) -> Verdict {
    service::incoming(ctx, packet)?;
    Ok(OK)
}

/// Sends the packet to another node without a tunnel, in the way of the current host routing.
#[inline(always)]
fn leave(ctx: &TcContext, config: &Config, packet: &Packet, route: &Route) -> Verdict {
    if config.flags & HOST_ROUTING != 0 {
        return deliver::to_network(ctx, config, packet, route);
    }
    if must_masquerade(config, route) {
        masquerade::outgoing(ctx, config, packet)?;
    }
    if config.flags & ENDPOINT_ROUTES == 0 {
        packet.age(ctx)?;
    }
    Ok(OK)
}

/// Another node cannot reply to a pod's address past its tunnel, and the world cannot at all.
#[inline(always)]
fn must_masquerade(config: &Config, route: &Route) -> bool {
    route.kind == WORLD || (route.kind == REMOTE_NODE && config.flags & TUNNEL != 0)
}

#[inline(always)]
fn from_host(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    if let Some(endpoint) = maps::endpoint(&packet.destination) {
        if endpoint.kind == OWN {
            return Ok(OK);
        }
        // bpf_redirect_peer works only at ingress. Here the packet crosses the node's end in every
        // mode.
        return deliver::to_pod(ctx, packet, endpoint, false);
    }
    match maps::route(&packet.destination) {
        Some(route) if route.kind == REMOTE_PODS && config.flags & TUNNEL != 0 => {
            let identity = match maps::endpoint(&packet.source) {
                Some(endpoint) if endpoint.kind != OWN => endpoint.identity,
                _ => NODE_IDENTITY,
            };
            deliver::to_tunnel(ctx, config, route, identity)
        }
        Some(route) if route.kind == LOCAL_PODS => {
            no_such_pod(ctx, packet);
            Ok(SHOT)
        }
        _ => Ok(OK),
    }
}

#[inline(always)]
fn no_such_pod(ctx: &TcContext, packet: &Packet) {
    match (packet.source_v4(), packet.destination_v4()) {
        (Some(from), Some(to)) => warn!(ctx, "no such pod: {:i} to {:i} at cilium_host", from, to),
        _ => warn!(
            ctx,
            "no such pod: {:i} to {:i} at cilium_host", packet.source, packet.destination
        ),
    }
}

#[inline(always)]
fn from_overlay(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    match maps::endpoint(&packet.destination) {
        Some(endpoint) if endpoint.kind != OWN => {
            let peer = config.flags & HOST_ROUTING != 0;
            deliver::to_pod(ctx, packet, endpoint, peer)
        }
        // For the node or for an unknown address: the stack decides.
        _ => deliver::to_host(ctx, config, packet),
    }
}

#[inline(always)]
fn from_netdev(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    let destination = match masquerade::incoming(ctx, config, packet)? {
        Some(pod) => netviz_ebpf::lab::mapped(pod),
        None => packet.destination,
    };
    if config.flags & HOST_ROUTING == 0 {
        return Ok(OK);
    }
    match maps::endpoint(&destination) {
        Some(endpoint) if endpoint.kind != OWN => deliver::to_pod(ctx, packet, endpoint, true),
        _ => Ok(OK),
    }
}

#[inline(always)]
fn to_netdev(ctx: &TcContext, config: &Config, packet: &Packet) -> Verdict {
    let from_pod = matches!(maps::endpoint(&packet.source), Some(source) if source.kind != OWN);
    let route = maps::route(&packet.destination);
    if from_pod && matches!(route, Some(route) if must_masquerade(config, route)) {
        masquerade::outgoing(ctx, config, packet)?;
    }
    Ok(OK)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
