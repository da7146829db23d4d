//! At which doors to look out.

use std::collections::BTreeSet;

use crate::{
    model::{Door, DoorId, Role, Side},
    sys::netns::NetNsId,
    verify::{
        context::View,
        route::{Party, Place, Route},
    },
};

/// Attaching takes 18 ms a door: up to so many, every door of the nodes concerned is watched.
const MOST_DOORS: usize = 64;

/// Doors, the surest to be crossed first.
pub(crate) struct Choice {
    pub(crate) doors: Vec<Door>,
    /// What was left out.
    pub(crate) note: Option<String>,
}

pub(crate) fn doors<'a>(
    look: &View,
    routes: impl Iterator<Item = &'a Route> + Clone,
    every: bool,
) -> Choice {
    let ends = || {
        let routes = routes.clone();
        routes.flat_map(|route| [&route.from, &route.to])
    };
    let nodes = nodes(ends());
    let pods: BTreeSet<NetNsId> = ends().filter_map(pod).collect();
    let concerned = look.doors().iter().filter(|door| {
        nodes
            .as_ref()
            .is_none_or(|nodes| nodes.contains(&door.node))
    });
    let (mut doors, others): (Vec<_>, Vec<_>) =
        concerned.cloned().partition(|door| is_near(door, &pods));
    if every || doors.len() + others.len() <= MOST_DOORS {
        doors.extend(others);
        return Choice { doors, note: None };
    }
    let note = (!others.is_empty()).then(|| {
        format!(
            "{} doors of other pods were not watched; --every-door watches them",
            others.len()
        )
    });
    Choice { doors, note }
}

/// The nodes of the ends; all of them where an end may be anywhere.
fn nodes<'a>(ends: impl Iterator<Item = &'a Party>) -> Option<BTreeSet<usize>> {
    ends.map(|end| match end.place {
        Place::Pod { node, .. } | Place::Node { node, .. } => Some(node),
        Place::Elsewhere => None,
    })
    .collect()
}

fn pod(party: &Party) -> Option<NetNsId> {
    match party.place {
        Place::Pod { netns, .. } => Some(netns),
        _ => None,
    }
}

/// The node's own doors, and the veth pairs of the pods in question.
fn is_near(door: &Door, pods: &BTreeSet<NetNsId>) -> bool {
    let of = |id: &DoorId| id.netns.known().is_some_and(|netns| pods.contains(&netns));
    match (door.role, door.side) {
        (Role::Pod | Role::Health, Side::Pod) => of(&door.id),
        (Role::Pod | Role::Health, _) => door.peer.as_ref().is_some_and(|peer| of(&peer.id)),
        _ => true,
    }
}
