//! Sets links, addresses, routes and neighbours as Cilium and its CNI plugin do.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use netlink_packet_route::link::LinkAttribute;

use super::{
    options::{Mode, Options},
    plan::{Door, Family, Node, Pod},
    sysctl::{self, Role},
};
use crate::sys::{
    netlink::{Netlink, NewLink, NewRoute},
    netns::NetNs,
};

/// The tunnel's port.
const VXLAN_PORT: u16 = 8472;
/// 1500 bytes less the headers of VXLAN.
const TUNNEL_MTU: u32 = 1450;
const LOOPBACK: u32 = 1;

/// Prepares a fresh namespace and opens a netlink socket in it.
pub(super) fn prepare(namespace: &NetNs, role: Role, options: &Options) -> Result<Netlink> {
    namespace.run(|| {
        sysctl::prepare(role, options.ipv6)?;
        let mut netlink = Netlink::open().context("opening a netlink socket")?;
        netlink.set_up(LOOPBACK).context("switching lo on")?;
        anyhow::Ok(netlink)
    })?
}

/// Creates the node's own devices in the order of Kind and Cilium, which decides the nsid of a peer's
/// namespace.
pub(super) fn node(
    netlink: &mut Netlink,
    node: &Node,
    other: &Node,
    wire: &NetNs,
    options: &Options,
) -> Result<()> {
    netlink
        .create_veth(
            &link(&node.cilium_net, false),
            &link(&node.cilium_host, false),
            None,
        )
        .context("making cilium_net and cilium_host")?;
    if options.mode.tunnels() {
        netlink
            .create_vxlan(&link(&node.cilium_vxlan, true), VXLAN_PORT)
            .context("making cilium_vxlan (module vxlan)")?;
    }
    netlink
        .create_veth(&link(&node.eth0, true), &link(&node.wire, true), Some(wire))
        .context("making eth0 (module veth)")?;
    for door in [&node.cilium_net, &node.cilium_host, &node.eth0] {
        up(netlink, door)?;
    }
    if options.mode.tunnels() {
        up(netlink, &node.cilium_vxlan)?;
    }
    let eth0 = node.eth0.index;
    let families = node.families(options.ipv6);
    for (own, remote) in families.zip(other.families(options.ipv6)) {
        address(netlink, node.cilium_host.index, own.router.into())?;
        address(netlink, eth0, own.node)?;
        neighbour(netlink, eth0, remote.node.addr(), &other.eth0)?;
        node_routes(netlink, node, &own, &remote, options.mode)?;
    }
    Ok(())
}

fn node_routes(
    netlink: &mut Netlink,
    node: &Node,
    own: &Family,
    remote: &Family,
    mode: Mode,
) -> Result<()> {
    let router = NewRoute::host(own.router, node.cilium_host.index);
    let by_router = |destination, mtu| NewRoute {
        destination,
        // An IPv6 router address is no next hop: the pods are on the link.
        gateway: Some(own.router).filter(IpAddr::is_ipv4),
        source: Some(own.router),
        mtu,
        ..router
    };
    if !mode.routes_each_endpoint() {
        if own.router.is_ipv4() {
            route(netlink, &router)?;
        }
        route(netlink, &by_router(own.pods, None))?;
    }
    let to_remote = match mode.tunnels() {
        true => by_router(remote.pods, Some(TUNNEL_MTU)),
        false => NewRoute {
            destination: remote.pods,
            gateway: Some(remote.node.addr()),
            ..NewRoute::host(remote.node.addr(), node.eth0.index)
        },
    };
    route(netlink, &to_remote)
}

/// Creates a pod's veth pair, with its addresses and routes at both ends.
pub(super) fn pod(
    node_side: &mut Netlink,
    node: &Node,
    pod: &Pod,
    namespace: &NetNs,
    options: &Options,
) -> Result<()> {
    let mut pod_side = prepare(namespace, Role::Pod, options)?;
    node_side
        .create_veth(
            &link(&pod.interface, true),
            &link(&pod.eth0, true),
            Some(namespace),
        )
        .with_context(|| format!("making {} on {}", pod.interface.name, pod.node))?;
    up(node_side, &pod.interface)?;
    up(&mut pod_side, &pod.eth0)?;
    let mtu = options.mode.tunnels().then_some(TUNNEL_MTU);
    let routers = node.families(options.ipv6).map(|family| family.router);
    for (own, router) in pod.addresses(options.ipv6).zip(routers) {
        let eth0 = pod.eth0.index;
        address(&mut pod_side, eth0, own.into())?;
        neighbour(&mut pod_side, eth0, router, &pod.interface)?;
        route(&mut pod_side, &NewRoute::host(router, eth0))?;
        route(&mut pod_side, &NewRoute::default_of(router, eth0, mtu))?;
        if options.mode.routes_each_endpoint() {
            neighbour(node_side, pod.interface.index, own, &pod.eth0)?;
            route(node_side, &NewRoute::host(own, pod.interface.index))?;
        }
    }
    Ok(())
}

/// Whether every link of a namespace sends packets.
///
/// The first end of a veth pair that is up gets its queue from a work item of the kernel, which waits for
/// rtnl_lock: until then, `noop` drops every packet.
pub(super) fn is_ready(netlink: &mut Netlink) -> std::io::Result<bool> {
    let links = netlink.links()?;
    let mut attributes = links.iter().flat_map(|link| &link.attributes);
    Ok(!attributes.any(|it| matches!(it, LinkAttribute::Qdisc(kind) if kind == "noop")))
}

fn link(door: &Door, arp: bool) -> NewLink<'_> {
    NewLink {
        name: &door.name,
        index: door.index,
        mac: door.mac,
        arp,
    }
}

pub(super) fn up(netlink: &mut Netlink, door: &Door) -> Result<()> {
    netlink
        .set_up(door.index)
        .with_context(|| format!("switching {} on", door.name))
}

fn address(netlink: &mut Netlink, index: u32, address: IpNet) -> Result<()> {
    netlink
        .add_address(index, address.addr(), address.prefix_len())
        .with_context(|| format!("adding the address {address} to link {index}"))
}

fn neighbour(netlink: &mut Netlink, index: u32, address: IpAddr, door: &Door) -> Result<()> {
    netlink
        .add_neighbour(index, address, door.mac)
        .with_context(|| format!("adding the neighbour {address} to link {index}"))
}

fn route(netlink: &mut Netlink, route: &NewRoute) -> Result<()> {
    let NewRoute {
        destination, index, ..
    } = route;
    netlink
        .add_route(route)
        .with_context(|| format!("adding the route to {destination} by link {index}"))
}
