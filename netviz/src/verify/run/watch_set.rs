//! Selects the doors to watch.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    model::{Door, DoorId, Role, Side},
    sys::netns::NetNsId,
    verify::{Route, context::View},
};

/// Attaching takes 18 ms per door: up to this number, every door of the nodes is watched.
const MOST_DOORS: usize = 64;

/// The doors to watch, those of the path first, and how many doors of other pods are left out.
pub(super) fn doors<'a>(
    view: &View,
    routes: impl Iterator<Item = &'a Route> + Clone,
    every: bool,
) -> (Vec<Door>, usize) {
    let ends = || routes.clone().flat_map(|route| [&route.from, &route.to]);
    // All nodes, if an end may be anywhere.
    let mut nodes: Option<BTreeSet<usize>> = ends().map(|end| end.place.node()).collect();
    let mut pods: BTreeSet<NetNsId> = ends().filter_map(|end| end.place.netns()).collect();
    // Another pod with B's address may receive the packets.
    let addresses: BTreeSet<IpAddr> = routes.clone().filter_map(|it| it.to.address).collect();
    let has = |door: &Door| {
        door.addresses
            .iter()
            .any(|own| addresses.contains(&own.addr()))
    };
    for door in view.doors() {
        if let (Side::Pod, Some(netns), true) = (door.side, door.id.netns.known(), has(door)) {
            pods.insert(netns);
            if let Some(nodes) = &mut nodes {
                nodes.insert(door.node);
            }
        }
    }
    let at_node = |door: &&Door| nodes.as_ref().is_none_or(|it| it.contains(&door.node));
    let doors = view.doors().iter().filter(at_node).cloned();
    let (mut doors, others): (Vec<_>, Vec<_>) = doors.partition(|door| is_near(door, &pods));
    if every || doors.len() + others.len() <= MOST_DOORS {
        doors.extend(others);
        return (doors, 0);
    }
    (doors, others.len())
}

/// The node's own doors, and the veth pairs of these pods.
fn is_near(door: &Door, pods: &BTreeSet<NetNsId>) -> bool {
    let of = |id: &DoorId| id.netns.known().is_some_and(|netns| pods.contains(&netns));
    match (door.role, door.side) {
        (Role::Pod | Role::Health, Side::Pod) => of(&door.id),
        (Role::Pod | Role::Health, _) => door.peer.as_ref().is_some_and(|peer| of(&peer.id)),
        _ => true,
    }
}
