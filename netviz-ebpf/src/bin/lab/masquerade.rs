//! Translates a pod's packets to the node's address, and the replies back: TCP, UDP and ICMP echo.
//!
//! Ports are above the kernel's ephemeral range, so a flow of the node is never mistaken for one of
//! a pod. There is no connection tracking: if another node connects to a pod from its own address
//! past the tunnel, the pod's reply is masqueraded too. No fragments, no ICMP errors, no IPv6: an
//! IPv6 packet to another node keeps its source.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::LruHashMap, programs::TcContext};
use netviz_ebpf::lab::Config;

use super::{
    packet::Packet,
    transport::{self, End, Flow, Layout, Side},
};

const ICMP: u8 = 1;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Above `net.ipv4.ip_local_port_range`.
const FIRST_PORT: u16 = 61_000;
const PORTS: u16 = 4_096;
/// Number of ports to try before the packet is dropped.
const ATTEMPTS: u16 = 8;

/// Maps a pod's flow to the near end as the network sees it.
#[map]
static LAB_NAT_OUT: LruHashMap<Flow, End> = LruHashMap::with_max_entries(4096, 0);

/// Maps a flow as the network sees it to the pod's end.
#[map]
static LAB_NAT_BACK: LruHashMap<Flow, End> = LruHashMap::with_max_entries(4096, 0);

/// Replaces the source by the node's address.
#[inline(always)]
pub(super) fn outgoing(ctx: &TcContext, config: &Config, packet: &Packet) -> Result<(), i64> {
    let side = Side::Source;
    let Some((flow, layout)) = parse(ctx, packet, side)? else {
        return Ok(());
    };
    // SAFETY: an entry that the LRU evicts at the same time belongs to a flow that has all but
    // ended.
    let end = match unsafe { LAB_NAT_OUT.get(flow) } {
        Some(end) => *end,
        None => choose(config, &flow)?,
    };
    transport::rewrite(ctx, &layout, side, flow.near_end(), end)
}

/// Replaces the destination of a reply by the pod's address, and returns that.
#[inline(always)]
pub(super) fn incoming(
    ctx: &TcContext,
    config: &Config,
    packet: &Packet,
) -> Result<Option<[u8; 4]>, i64> {
    if packet.destination_v4() != Some(config.address) {
        return Ok(None);
    }
    let side = Side::Destination;
    let Some((flow, layout)) = parse(ctx, packet, side)? else {
        return Ok(None);
    };
    // SAFETY: as in `outgoing`.
    let Some(end) = (unsafe { LAB_NAT_BACK.get(flow) }).copied() else {
        return Ok(None);
    };
    transport::rewrite(ctx, &layout, side, flow.near_end(), end)?;
    Ok(Some(end.address))
}

#[inline(always)]
fn choose(config: &Config, flow: &Flow) -> Result<End, i64> {
    let start = u16::from_be(flow.near_port) ^ u16::from(flow.near[3]);
    let pod = flow.near_end();
    for attempt in 0..ATTEMPTS {
        let port = (FIRST_PORT + start.wrapping_add(attempt) % PORTS).to_be();
        let seen = Flow {
            near: config.address,
            near_port: port,
            ..*flow
        };
        if LAB_NAT_BACK
            .insert(seen, pod, u64::from(BPF_NOEXIST))
            .is_ok()
        {
            let end = End::new(config.address, port);
            LAB_NAT_OUT.insert(flow, end, 0).map_err(i64::from)?;
            return Ok(end);
        }
    }
    Err(-1)
}

/// Returns the flow whose near end is at `side`, and the offsets of that end's fields.
#[inline(always)]
fn parse(ctx: &TcContext, packet: &Packet, side: Side) -> Result<Option<(Flow, Layout)>, i64> {
    let (Some(source), Some(destination)) = (packet.source_v4(), packet.destination_v4()) else {
        return Ok(None);
    };
    let (transport, protocol) = transport::behind_ip(ctx)?;
    let (near, far, echo) = match side {
        Side::Source => (source, destination, ECHO_REQUEST),
        Side::Destination => (destination, source, ECHO_REPLY),
    };
    let (layout, far_port) = match protocol {
        ICMP => {
            if ctx.load::<u8>(transport)? != echo {
                return Ok(None);
            }
            let layout = Layout {
                port: transport + 4,
                checksum: transport + 2,
                address_flags: None,
                port_flags: 0,
            };
            (layout, 0)
        }
        _ => match (
            Layout::of(protocol, transport, side),
            Layout::of(protocol, transport, side.other()),
        ) {
            (Some(layout), Some(far)) => (layout, ctx.load(far.port)?),
            _ => return Ok(None),
        },
    };
    let flow = Flow {
        near,
        far,
        near_port: ctx.load(layout.port)?,
        far_port,
        protocol: u32::from(protocol),
    };
    Ok(Some((flow, layout)))
}
