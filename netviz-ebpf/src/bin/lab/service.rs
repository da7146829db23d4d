//! ClusterIP services, for pods whose sockets nobody translates: at the pod's `lxc*` a packet to a
//! service gets its backend's address, and what comes back gets the service's again where it is
//! handed to the pod, as Cilium's `cil_from_container` and its endpoint programs do it.
//!
//! TCP and UDP in IPv4. One backend for each service; a backend that asks its own service is not
//! translated. No fragments, no ICMP errors.

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

/// From a flow between a pod and a backend to the service that the pod asked for.
#[map]
static LAB_SERVICE_BACK: LruHashMap<Flow, End> = LruHashMap::with_max_entries(4096, 0);

/// Sends a packet that is for a service to its backend; says to which.
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

/// Gives an answer of a backend the address that the pod had asked.
#[inline(always)]
pub(super) fn incoming(ctx: &TcContext, packet: &Packet) -> Result<(), i64> {
    let side = Side::Source;
    let Some((flow, layout)) = parse(ctx, packet, side)? else {
        return Ok(());
    };
    // SAFETY: an entry that the LRU gives away meanwhile belongs to a flow that is as good as over.
    let Some(service) = (unsafe { LAB_SERVICE_BACK.get(flow) }).copied() else {
        return Ok(());
    };
    transport::rewrite(ctx, &layout, side, flow.far_end(), service)
}

/// The flow whose far end is at `side`, and where that end's fields stand.
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
