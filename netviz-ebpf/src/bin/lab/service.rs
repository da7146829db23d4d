//! ClusterIP services, for pods without socket load balancing. At the pod's `lxc*`, a packet to a
//! service gets the address of its backend; a reply gets the service's address when it is delivered
//! to the pod. Cilium's `cil_from_container` and its endpoint programs do the same.
//!
//! TCP and UDP over IPv4. Each service has one backend; a backend's packets to its own service are
//! not translated. No fragments, no ICMP errors.

use aya_ebpf::{
    macros::map,
    maps::{HashMap, LruHashMap},
    programs::TcContext,
};
use netviz_ebpf::lab::Frontend;

use super::{
    packet::Packet,
    transport::{self, End, Flow, Layout, Side},
};

#[map]
static LAB_SERVICES: HashMap<Frontend, Frontend> = HashMap::with_max_entries(64, 0);

/// Maps a flow between a pod and a backend to the service.
#[map]
static LAB_SERVICE_BACK: LruHashMap<Flow, End> = LruHashMap::with_max_entries(4096, 0);

/// Sends a packet for a service to its backend, and returns that.
#[inline(always)]
pub(super) fn outgoing(ctx: &TcContext, packet: &Packet) -> Result<Option<[u8; 4]>, i64> {
    let side = Side::Destination;
    let Some((flow, layout)) = parse(ctx, packet, side)? else {
        return Ok(None);
    };
    let asked = Frontend {
        address: flow.far,
        port: flow.far_port,
        protocol: flow.protocol as u16,
    };
    // SAFETY: written before the first packet.
    let Some(backend) = (unsafe { LAB_SERVICES.get(asked) }) else {
        return Ok(None);
    };
    if backend.address == flow.near {
        return Ok(None);
    }
    let (service, backend) = (flow.far_end(), End::new(backend.address, backend.port));
    let translated = Flow {
        far: backend.address,
        far_port: backend.port,
        ..flow
    };
    LAB_SERVICE_BACK
        .insert(translated, service, 0)
        .map_err(i64::from)?;
    transport::rewrite(ctx, &layout, side, service, backend)?;
    Ok(Some(backend.address))
}

/// Replaces the source of a backend's reply by the service's address.
#[inline(always)]
pub(super) fn incoming(ctx: &TcContext, packet: &Packet) -> Result<(), i64> {
    let side = Side::Source;
    let Some((flow, layout)) = parse(ctx, packet, side)? else {
        return Ok(());
    };
    // SAFETY: an entry that the LRU evicts at the same time belongs to a flow that has all but
    // ended.
    let Some(service) = (unsafe { LAB_SERVICE_BACK.get(flow) }).copied() else {
        return Ok(());
    };
    transport::rewrite(ctx, &layout, side, flow.far_end(), service)
}

/// Returns the flow whose far end is at `side`, and the offsets of that end's fields.
#[inline(always)]
fn parse(ctx: &TcContext, packet: &Packet, side: Side) -> Result<Option<(Flow, Layout)>, i64> {
    let (Some(source), Some(destination)) = (packet.source_v4(), packet.destination_v4()) else {
        return Ok(None);
    };
    let (transport, protocol) = transport::behind_ip(ctx)?;
    let (Some(far), Some(near)) = (
        Layout::of(protocol, transport, side),
        Layout::of(protocol, transport, side.other()),
    ) else {
        return Ok(None);
    };
    let (near_address, far_address) = match side {
        Side::Source => (destination, source),
        Side::Destination => (source, destination),
    };
    let flow = Flow {
        near: near_address,
        far: far_address,
        near_port: ctx.load(near.port)?,
        far_port: ctx.load(far.port)?,
        protocol: u32::from(protocol),
    };
    Ok(Some((flow, far)))
}
