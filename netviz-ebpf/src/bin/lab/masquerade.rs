//! A pod's packets under the node's address, and their answers back: TCP, UDP and ICMP echo.
//!
//! Ports come from above the kernel's own ephemeral ones, so that a flow of the node is never
//! mistaken for one of a pod. There is no connection tracking: a pod's answer to a connection
//! that another node opened from its own address past the tunnel would be masqueraded too. No
//! fragments, no ICMP errors, no IPv6: an IPv6 packet to another node keeps its source.

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_NOEXIST},
    macros::map,
    maps::LruHashMap,
    programs::TcContext,
};
use netviz_ebpf::lab::Config;

use super::packet::{NETWORK, Packet};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Above `net.ipv4.ip_local_port_range`.
const FIRST_PORT: u16 = 61_000;
const PORTS: u16 = 4_096;
/// How many ports are tried before the packet is dropped.
const ATTEMPTS: u16 = 8;

/// One flow, seen from the pod or from the network, all in network order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Flow {
    near: [u8; 4],
    far: [u8; 4],
    near_port: u16,
    far_port: u16,
    protocol: u32,
}

/// Where a flow's near end stands on the other side.
#[repr(C)]
#[derive(Clone, Copy)]
struct End {
    address: [u8; 4],
    port: u16,
    padding: u16,
}

#[map]
static LAB_NAT_OUT: LruHashMap<Flow, End> = LruHashMap::with_max_entries(4096, 0);

#[map]
static LAB_NAT_BACK: LruHashMap<Flow, End> = LruHashMap::with_max_entries(4096, 0);

/// Where the fields to be rewritten stand.
struct Layout {
    /// Of the near end's port; in ICMP echo, the identifier.
    port: usize,
    checksum: usize,
    /// Flags for the checksum when an address changes; `None` where no address is summed.
    address_flags: Option<u64>,
    port_flags: u64,
}

/// Gives the packet the node's address.
#[inline(always)]
pub(super) fn outgoing(ctx: &TcContext, config: &Config, packet: &Packet) -> Result<(), i64> {
    let Some((flow, layout)) = parse(ctx, packet, true)? else {
        return Ok(());
    };
    // SAFETY: an entry that the LRU gives away meanwhile belongs to a flow that is as good as over.
    let end = match unsafe { LAB_NAT_OUT.get(flow) } {
        Some(end) => *end,
        None => choose(config, &flow)?,
    };
    rewrite(ctx, &layout, NETWORK + 12, (flow.near, flow.near_port), end)
}

/// Gives an answer the pod's address; says which.
#[inline(always)]
pub(super) fn incoming(
    ctx: &TcContext,
    config: &Config,
    packet: &Packet,
) -> Result<Option<[u8; 4]>, i64> {
    if packet.destination_v4() != Some(config.address) {
        return Ok(None);
    }
    let Some((flow, layout)) = parse(ctx, packet, false)? else {
        return Ok(None);
    };
    // SAFETY: as in `outgoing`.
    let Some(end) = (unsafe { LAB_NAT_BACK.get(flow) }).copied() else {
        return Ok(None);
    };
    rewrite(ctx, &layout, NETWORK + 16, (flow.near, flow.near_port), end)?;
    Ok(Some(end.address))
}

#[inline(always)]
fn choose(config: &Config, flow: &Flow) -> Result<End, i64> {
    let start = u16::from_be(flow.near_port) ^ u16::from(flow.near[3]);
    let pod = End {
        address: flow.near,
        port: flow.near_port,
        padding: 0,
    };
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
            let end = End {
                address: config.address,
                port,
                padding: 0,
            };
            LAB_NAT_OUT.insert(flow, end, 0).map_err(i64::from)?;
            return Ok(end);
        }
    }
    Err(-1)
}

#[inline(always)]
fn parse(ctx: &TcContext, packet: &Packet, outgoing: bool) -> Result<Option<(Flow, Layout)>, i64> {
    let (Some(source), Some(destination)) = (packet.source_v4(), packet.destination_v4()) else {
        return Ok(None);
    };
    let transport = NETWORK + usize::from(ctx.load::<u8>(NETWORK)? & 0x0f) * 4;
    let protocol: u8 = ctx.load(NETWORK + 9)?;
    let pseudo = u64::from(BPF_F_PSEUDO_HDR);
    let mangled = u64::from(BPF_F_MARK_MANGLED_0);
    let near = transport + if outgoing { 0 } else { 2 };
    let layout = match protocol {
        TCP => Layout {
            port: near,
            checksum: transport + 16,
            address_flags: Some(pseudo),
            port_flags: 0,
        },
        UDP => Layout {
            port: near,
            checksum: transport + 6,
            address_flags: Some(pseudo | mangled),
            port_flags: mangled,
        },
        ICMP => {
            let kind: u8 = ctx.load(transport)?;
            if kind != if outgoing { ECHO_REQUEST } else { ECHO_REPLY } {
                return Ok(None);
            }
            Layout {
                port: transport + 4,
                checksum: transport + 2,
                address_flags: None,
                port_flags: 0,
            }
        }
        _ => return Ok(None),
    };
    let far_port = match protocol {
        ICMP => 0,
        _ => ctx.load(transport + if outgoing { 2 } else { 0 })?,
    };
    let (near, far) = if outgoing {
        (source, destination)
    } else {
        (destination, source)
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

#[inline(always)]
fn rewrite(
    ctx: &TcContext,
    layout: &Layout,
    address_at: usize,
    (address, port): ([u8; 4], u16),
    end: End,
) -> Result<(), i64> {
    let from = u64::from(u32::from_ne_bytes(address));
    let to = u64::from(u32::from_ne_bytes(end.address));
    if let Some(flags) = layout.address_flags {
        ctx.l4_csum_replace(layout.checksum, from, to, flags | 4)?;
    }
    let (old, new) = (u64::from(port), u64::from(end.port));
    ctx.l4_csum_replace(layout.checksum, old, new, layout.port_flags | 2)?;
    ctx.l3_csum_replace(NETWORK + 10, from, to, 4)?;
    ctx.store(layout.port, &end.port, 0)?;
    ctx.store(address_at, &end.address, 0)
}
