//! Selects the doors to watch.

use std::collections::BTreeSet;

use crate::{
    model::{Door, DoorId, Role, Side},
    sys::netns::NetNsId,
    verify::{
        context::View,
        route::{Party, Route},
    },
};

/// Attaching takes 18 ms per door: up to this number, every door of the nodes is watched.
const MOST_DOORS: usize = 64;

/// Doors, those of the path first.
pub(super) struct WatchSet {
    pub(super) doors: Vec<Door>,
    /// How many doors of other pods are not watched.
    pub(super) left_out: usize,
}

pub(super) fn doors<'a>(
    view: &View,
    routes: impl Iterator<Item = &'a Route> + Clone,
    every: bool,
) -> WatchSet {
    let ends = || routes.clone().flat_map(|route| [&route.from, &route.to]);
    let nodes = nodes(ends());
    let pods: BTreeSet<NetNsId> = ends().filter_map(|end| end.place.netns()).collect();
    let is_on_path = |door: &&Door| {
        nodes
            .as_ref()
            .is_none_or(|nodes| nodes.contains(&door.node))
    };
    let (mut doors, others): (Vec<_>, Vec<_>) = view
        .doors()
        .iter()
        .filter(is_on_path)
        .cloned()
        .partition(|door| is_near(door, &pods));
    if every || doors.len() + others.len() <= MOST_DOORS {
        doors.extend(others);
        return WatchSet { doors, left_out: 0 };
    }
    let left_out = others.len();
    WatchSet { doors, left_out }
}

/// The nodes of the ends; `None` (all of them) if an end may be anywhere.
fn nodes<'a>(ends: impl Iterator<Item = &'a Party>) -> Option<BTreeSet<usize>> {
    ends.map(|end| end.place.node()).collect()
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
