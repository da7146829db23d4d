//! Finds the doors of a pod or a node: a pod's veth pair, a node's own devices, its uplinks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    model::{Cluster, Door, DoorId, Role, Side, is_link_local},
    sys::netns::NetNsId,
};

pub(crate) const CILIUM_HOST: &str = "cilium_host";
pub(crate) const CILIUM_NET: &str = "cilium_net";

/// The two doors of a pod's veth pair, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodDoors {
    /// The pod's own end.
    pub(crate) inner: Option<DoorId>,
    /// The node's end.
    pub(crate) outer: Option<DoorId>,
}

/// The uplink that packets to an address take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uplink {
    /// The most likely one.
    pub(crate) door: Option<DoorId>,
    /// Uplinks that may be crossed instead, or as well (a bond's members).
    pub(crate) others: Vec<DoorId>,
    /// The peer of `door`, if it is on this machine.
    pub(crate) far: Option<DoorId>,
    /// The peers of `others`.
    pub(crate) far_others: Vec<DoorId>,
}

/// The first device of a node with this role, and, unless it is empty, this name.
pub(crate) fn device(cluster: &Cluster, node: usize, role: Role, name: &str) -> Option<DoorId> {
    let mut doors = devices(cluster, node, role);
    doors
        .find(|door| name.is_empty() || door.interface == name)
        .map(|door| door.id)
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
    let has = |door: &Door| address.is_some_and(|address| door.has(address));
    let mut ends: Vec<_> = inside(cluster, netns)
        .filter(|door| door.node == node)
        .collect();
    ends.sort_by_key(|door| !has(door));
    let inner = ends
        .iter()
        .find(|door| door.peer.is_some())
        .or(ends.first());
    let inner = inner.map(|door| door.id);
    let names = |door: &&Door| {
        let Some(peer) = &door.peer else { return false };
        match inner {
            Some(inner) => peer.id == inner,
            None => peer.id.netns.known() == Some(netns),
        }
    };
    let mut doors = cluster.doors.iter();
    let outer = doors.find(|door| door.side == Side::Node && door.node == node && names(door));
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

/// The uplink by which a node reaches these addresses, or is reached from them. If no uplink's network
/// contains them, the routing table chooses, so any is right.
pub(crate) fn uplink(cluster: &Cluster, node: usize, towards: &[IpAddr]) -> Uplink {
    let uplinks: Vec<_> = devices(cluster, node, Role::Uplink).collect();
    let near = |door: &&&Door| {
        let mut networks = door.addresses.iter();
        networks.any(|network| towards.iter().any(|address| network.contains(address)))
    };
    let fitting: Vec<&Door> = uplinks.iter().filter(near).copied().collect();
    let candidates = if fitting.is_empty() {
        &uplinks
    } else {
        &fitting
    };
    let first = candidates.iter().find(|door| addressed(door));
    let Some(first) = first.or(candidates.first()).copied() else {
        return Uplink::default();
    };
    // An uplink without an address is a member of a bond, or carries a VLAN.
    let besides = uplinks.iter().filter(|door| {
        door.id != first.id
            && (candidates.iter().any(|other| other.id == door.id) || !addressed(door))
    });
    let others: Vec<&Door> = besides.copied().collect();
    Uplink {
        door: Some(first.id),
        others: others.iter().map(|door| door.id).collect(),
        far: far(cluster, first),
        far_others: others
            .iter()
            .filter_map(|door| far(cluster, door))
            .collect(),
    }
}

fn addressed(door: &Door) -> bool {
    let mut addresses = door.addresses.iter().map(IpNet::addr);
    addresses.any(|address| address.is_ipv4() || !is_link_local(address))
}

/// The peer of an uplink: on Kind, in the machine's namespace.
fn far(cluster: &Cluster, door: &Door) -> Option<DoorId> {
    let peer = cluster.door(door.peer.as_ref()?.id)?;
    (peer.side == Side::Host).then_some(peer.id)
}

/// Addresses of a node.
pub(crate) fn addresses(cluster: &Cluster, node: usize) -> Vec<IpAddr> {
    let node = cluster.nodes.get(node).into_iter();
    node.flat_map(|node| node.addresses.iter().map(IpNet::addr))
        .collect()
}
