//! Finds the doors of a pod or a node: a pod's veth pair, a node's own devices, its uplinks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    model::{Cluster, Door, DoorId, Role, Side, has_network, qualified},
    sys::netns::NetNsId,
};

/// The two doors of a pod's veth pair, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodDoors {
    /// The pod's own end.
    pub(crate) inner: Option<DoorId>,
    /// The node's end.
    pub(crate) outer: Option<DoorId>,
}

/// The name of a node; empty if it is unknown.
pub(crate) fn node_name(cluster: &Cluster, node: usize) -> &str {
    cluster.nodes.get(node).map_or("", |node| node.name.raw())
}

/// `namespace/name` of the pod that a door is in or leads to.
pub(crate) fn pod_name(door: &Door) -> Option<String> {
    Some(qualified(door.namespace.as_deref(), door.pod.as_deref()?))
}

/// The first device of a node with this role, and, unless it is empty, this name.
pub(crate) fn device(cluster: &Cluster, node: usize, role: Role, name: &str) -> Option<DoorId> {
    let mut doors = devices(cluster, node, role);
    let device = doors.find(|door| name.is_empty() || door.interface == name);
    device.map(|door| door.id)
}

/// The devices of a node with this role.
pub(crate) fn devices(cluster: &Cluster, node: usize, role: Role) -> impl Iterator<Item = &Door> {
    let own = move |door: &&Door| door.node == node && door.side == Side::Node && door.role == role;
    cluster.doors.iter().filter(own)
}

/// A pod's veth pair: of several, the one with this address, else the first.
pub(crate) fn of_pod(
    cluster: &Cluster,
    node: usize,
    netns: NetNsId,
    address: Option<IpAddr>,
) -> PodDoors {
    let ends = inside(cluster, netns).filter(|door| door.node == node);
    let inner = ends.min_by_key(|door| {
        let has_address = address.is_some_and(|address| door.has(address));
        (door.peer.is_none(), !has_address)
    });
    let inner = inner.map(|door| door.id);
    let leads_inside = |door: &&Door| {
        let peer = door.peer.as_ref().map(|peer| peer.id);
        peer.is_some_and(|peer| match inner {
            Some(inner) => peer == inner,
            None => peer.netns.known() == Some(netns),
        })
    };
    let mut doors = cluster.doors.iter();
    let outer =
        doors.find(|door| door.side == Side::Node && door.node == node && leads_inside(door));
    PodDoors {
        inner,
        outer: outer.map(|door| door.id),
    }
}

/// Doors in a pod's own namespace.
pub(crate) fn inside(cluster: &Cluster, netns: NetNsId) -> impl Iterator<Item = &Door> {
    let here = move |door: &&Door| {
        door.side == Side::Pod && door.role != Role::Other && door.id.netns.known() == Some(netns)
    };
    cluster.doors.iter().filter(here)
}

/// The uplinks by which a node may reach these addresses, or be reached from them, the most likely
/// first. If no uplink's network contains them, the routing table chooses, so any is right.
pub(crate) fn uplinks(cluster: &Cluster, node: usize, towards: &[IpAddr]) -> Vec<DoorId> {
    let near = |door: &Door| {
        let mut networks = door.addresses.iter();
        networks.any(|network| towards.iter().any(|address| network.contains(address)))
    };
    let all: Vec<_> = devices(cluster, node, Role::Uplink).collect();
    let any_near = all.iter().any(|door| near(door));
    // An uplink without an address is a member of a bond, or carries a VLAN.
    let possible = |door: &&&Door| !any_near || near(door) || !has_global(door);
    let mut uplinks: Vec<_> = all.iter().filter(possible).collect();
    uplinks.sort_by_key(|door| (any_near && !near(door), !has_global(door)));
    uplinks.into_iter().map(|door| door.id).collect()
}

fn has_global(door: &Door) -> bool {
    let mut addresses = door.addresses.iter().map(IpNet::addr);
    addresses.any(has_network)
}

/// The peer of an uplink: on Kind, in the machine's namespace.
pub(crate) fn far_end(cluster: &Cluster, uplink: DoorId) -> Option<DoorId> {
    let peer = cluster.door(cluster.door(uplink)?.peer.as_ref()?.id)?;
    (peer.side == Side::Host).then_some(peer.id)
}

/// Addresses of a node.
pub(crate) fn addresses(cluster: &Cluster, node: usize) -> Vec<IpAddr> {
    let node = cluster.nodes.get(node).into_iter();
    let addresses = node.flat_map(|node| &node.addresses);
    addresses.map(IpNet::addr).collect()
}
