//! Links, addresses, routes and neighbours, as Cilium and its CNI plugin set them.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use netlink_packet_route::link::LinkAttribute;

use super::{
    options::{Mode, Options},
    plan::{Door, Node, Pod},
    sysctl::{self, Role},
};
use crate::sys::{
    netlink::{Netlink, NewLink, NewRoute},
    netns::NetNs,
};

/// Of the device that carries the tunnel.
const VXLAN_PORT: u16 = 8472;
/// What is left of 1500 bytes inside of VXLAN.
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

/// The node's own devices, in the order in which Kind and Cilium make them: it decides which
/// nsid a peer's namespace gets.
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
    let host = node.cilium_host.index;
    let eth0 = node.eth0.index;
    for door in [&node.cilium_net, &node.cilium_host, &node.eth0] {
        up(netlink, door)?;
    }
    if options.mode.tunnels() {
        up(netlink, &node.cilium_vxlan)?;
    }
    address(netlink, host, node.router_address.into(), 32)?;
    address(netlink, eth0, node.address.into(), 16)?;
    neighbour(netlink, eth0, other.address.into(), &other.eth0)?;
    node_routes(netlink, node, other, options.mode)?;
    if options.ipv6 {
        address(netlink, host, node.router_address6.into(), 128)?;
        address(netlink, eth0, node.address6.into(), 64)?;
        neighbour(netlink, eth0, other.address6.into(), &other.eth0)?;
        node_routes6(netlink, node, other, options.mode)?;
    }
    Ok(())
}

fn node_routes(netlink: &mut Netlink, node: &Node, other: &Node, mode: Mode) -> Result<()> {
    let own = (node.pod_cidr.address.into(), node.pod_cidr.prefix);
    let remote = (other.pod_cidr.address.into(), other.pod_cidr.prefix);
    let router = IpAddr::from(node.router_address);
    let host = node.cilium_host.index;
    if !mode.routes_each_endpoint() {
        route(netlink, &NewRoute::host(router, host))?;
        route(netlink, &through_router(own, router, host, None))?;
    }
    if mode.tunnels() {
        return route(
            netlink,
            &through_router(remote, router, host, Some(TUNNEL_MTU)),
        );
    }
    route(
        netlink,
        &through_network(remote, other.address.into(), node),
    )
}

/// The same, except that an IPv6 router address is no next hop: the pods are on the link.
fn node_routes6(netlink: &mut Netlink, node: &Node, other: &Node, mode: Mode) -> Result<()> {
    let own = (node.pod_network6(), 64);
    let remote = (other.pod_network6(), 64);
    let router = IpAddr::from(node.router_address6);
    let host = node.cilium_host.index;
    let on_link = |destination, mtu| NewRoute {
        gateway: None,
        ..through_router(destination, router, host, mtu)
    };
    if !mode.routes_each_endpoint() {
        route(netlink, &on_link(own, None))?;
    }
    if mode.tunnels() {
        return route(netlink, &on_link(remote, Some(TUNNEL_MTU)));
    }
    route(
        netlink,
        &through_network(remote, other.address6.into(), node),
    )
}

/// A pod's veth pair, on both sides.
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
    let mut addresses = vec![(
        IpAddr::from(pod.address),
        IpAddr::from(node.router_address),
        32,
    )];
    if options.ipv6 {
        addresses.push((pod.address6.into(), node.router_address6.into(), 128));
    }
    let mtu = options.mode.tunnels().then_some(TUNNEL_MTU);
    for (own, router, prefix) in addresses {
        let eth0 = pod.eth0.index;
        address(&mut pod_side, eth0, own, prefix)?;
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

/// Whether every link of a namespace sends what it is given.
///
/// The end of a veth pair that is up first gets its queue from a work item of the kernel's, which
/// waits for the lock that all of netlink takes: until then, `noop` drops every packet.
pub(super) fn is_ready(netlink: &mut Netlink) -> std::io::Result<bool> {
    let links = netlink.links()?;
    let mut attributes = links.iter().flat_map(|link| &link.attributes);
    Ok(!attributes.any(|it| matches!(it, LinkAttribute::Qdisc(kind) if kind == "noop")))
}

impl Node {
    fn pod_network6(&self) -> IpAddr {
        let mut segments = self.router_address6.segments();
        segments[4..].fill(0);
        std::net::Ipv6Addr::from(segments).into()
    }
}

fn link(door: &Door, arp: bool) -> NewLink<'_> {
    NewLink {
        name: &door.name,
        index: door.index,
        mac: door.mac,
        arp,
    }
}

fn through_router(
    destination: (IpAddr, u8),
    router: IpAddr,
    index: u32,
    mtu: Option<u32>,
) -> NewRoute {
    NewRoute {
        destination,
        index,
        gateway: Some(router),
        source: Some(router),
        mtu,
    }
}

fn through_network(destination: (IpAddr, u8), other: IpAddr, node: &Node) -> NewRoute {
    NewRoute {
        destination,
        index: node.eth0.index,
        gateway: Some(other),
        source: None,
        mtu: None,
    }
}

pub(super) fn up(netlink: &mut Netlink, door: &Door) -> Result<()> {
    netlink
        .set_up(door.index)
        .with_context(|| format!("switching {} on", door.name))
}

fn address(netlink: &mut Netlink, index: u32, address: IpAddr, prefix: u8) -> Result<()> {
    netlink
        .add_address(index, address, prefix)
        .with_context(|| format!("adding the address {address}/{prefix} to link {index}"))
}

fn neighbour(netlink: &mut Netlink, index: u32, address: IpAddr, door: &Door) -> Result<()> {
    netlink
        .add_neighbour(index, address, door.mac)
        .with_context(|| format!("adding the neighbour {address} to link {index}"))
}

fn route(netlink: &mut Netlink, route: &NewRoute) -> Result<()> {
    let (network, prefix) = route.destination;
    netlink.add_route(route).with_context(|| {
        format!(
            "adding the route to {network}/{prefix} by link {}",
            route.index
        )
    })
}
