//! The places of all doors, the same in every drawing.
//!
//! A function of the snapshot's content, not of the order in which its doors were found.

mod interconnect;
mod parts;

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{DoorState, NetNsId, Pod, Role, Side, Snapshot, Untrusted, natural_order},
    views::text::list,
};
pub use parts::{Building, Hallway, Way, WayEnd, WayKind};

/// All buildings, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Layout {
    /// One per node that has a door.
    pub buildings: Vec<Building>,
    /// The connection between them, if it is known.
    pub way: Option<Way>,
    /// The network below `way`, if that is a tunnel.
    pub wire: Option<Way>,
}

impl Layout {
    /// Puts every door of `snapshot` into exactly one place.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut doors: Vec<&DoorState> = snapshot.doors.iter().collect();
        doors.sort_by_key(|door| (depth(door), door.ifindex, door.id));
        let shown: HashMap<_, _> = doors.iter().map(|door| (door.id, *door)).collect();
        let ends = snapshot.pairs.iter().map(|pair| pair.ends);
        let other_end: HashMap<_, _> = ends.flat_map(|[a, b]| [(a, b), (b, a)]).collect();
        let mut placed = HashSet::new();
        let mut buildings: HashMap<NetNsId, Building> = HashMap::new();
        for door in doors {
            if !placed.insert(door.id) {
                continue;
            }
            let near = other_end.get(&door.id).and_then(|id| shown.get(id));
            let near = near.copied().filter(|near| placed.insert(near.id));
            let building = buildings.entry(door.node_netns).or_default();
            building.name.clone_from(&door.node);
            building.netns = door.node_netns;
            let hallways = match door.role {
                Role::Pod | Role::Health => &mut building.rooms,
                Role::CiliumHost => &mut building.inner,
                _ => &mut building.gates,
            };
            hallways.push(Hallway {
                label: label(door, near),
                role: door.role,
                far: door.id,
                near: near.map(|near| near.id),
            });
        }
        let mut buildings: Vec<Building> = buildings.into_values().collect();
        buildings.sort_by(|a, b| {
            let names = natural_order(a.name.raw(), b.name.raw());
            names.then_with(|| a.netns.cmp(&b.netns))
        });
        for building in &mut buildings {
            building.rooms.sort_by(order);
            building.inner.sort_by(order);
            building.gates.sort_by(order);
            building.residents = residents(snapshot, building.netns);
        }
        let (way, wire) = interconnect::between(&buildings, &shown);
        Self {
            buildings,
            way,
            wire,
        }
    }
}

impl Layout {
    /// The tunnel between the buildings.
    pub(in crate::views) fn tunnel(&self) -> Option<&Way> {
        self.way.as_ref().filter(|way| way.kind == WayKind::Tunnel)
    }

    /// The network between the buildings, also below a tunnel.
    pub(in crate::views) fn network(&self) -> Option<&Way> {
        let mut ways = self.way.iter().chain(&self.wire);
        ways.find(|way| way.kind == WayKind::Network)
    }
}

/// Names of the pods in a node's own network namespace.
pub(in crate::views) fn residents(snapshot: &Snapshot, node: NetNsId) -> Vec<Untrusted> {
    let here = snapshot.pods.iter().filter(|pod| pod.netns == Some(node));
    let mut names: Vec<_> = here.map(Pod::label).collect();
    names.sort_by(|a, b| natural_order(a.raw(), b.raw()));
    names
}

/// More than the usual number of pods in a node's own network, also on a control plane.
const FEW: usize = 30;

/// The first names, and the number of the others.
pub(in crate::views) fn few(names: &[Untrusted]) -> Vec<String> {
    let mut few: Vec<_> = names.iter().take(FEW).map(ToString::to_string).collect();
    if names.len() > FEW {
        few.push(format!("and {} more", names.len() - FEW));
    }
    few
}

fn order(a: &Hallway, b: &Hallway) -> Ordering {
    let labels = || natural_order(a.label.raw(), b.label.raw());
    let doors = |hallway: &Hallway| (hallway.far.ifindex, hallway.far);
    let roles = a.role.cmp(&b.role);
    roles
        .then_with(labels)
        .then_with(|| doors(a).cmp(&doors(b)))
}

/// The outermost door comes first.
fn depth(door: &DoorState) -> u8 {
    match door.side {
        Side::Pod => 0,
        Side::Host => 1,
        Side::Node => 2,
    }
}

fn label(far: &DoorState, near: Option<&DoorState>) -> Untrusted {
    if far.role == Role::Health {
        return "Cilium's health endpoint".into();
    }
    let ends = || [Some(far), near].into_iter().flatten();
    let pod = ends().find_map(|door| door.pod.as_ref());
    let namespace = ends().find_map(|door| door.namespace.as_ref());
    match pod {
        Some(pod) => pod.within(namespace),
        None => list(ends().filter_map(|door| door.interface.as_ref()), " ═ ").into(),
    }
}
