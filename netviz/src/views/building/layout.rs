//! What stands where in the building: the one order that all drawings share.
//!
//! A function of the snapshot's content, not of the order in which its doors were found.

pub(in crate::views) mod interconnect;

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{DoorId, DoorState, Pod, Role, Side, Snapshot, Untrusted},
    sys::netns::NetNsId,
};
pub use interconnect::{Way, WayKind};

use crate::views::text::list;

/// All buildings, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Layout {
    /// One per node that has a door.
    pub buildings: Vec<Building>,
    /// What joins them, where that can be told.
    pub way: Option<Way>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Building {
    /// The node's name.
    pub name: Untrusted,
    /// The node's network namespace: two nodes may have one name.
    pub netns: NetNsId,
    /// Pods, by label, then by index; Cilium's health endpoint after them.
    pub rooms: Vec<Hallway>,
    /// `cilium_net` and `cilium_host`.
    pub inner: Vec<Hallway>,
    /// Ways out and whatever is neither: tunnels, encryption, uplinks with their far end, others.
    pub gates: Vec<Hallway>,
    /// Pods in the node's own network, such as kube-proxy: no door is theirs.
    pub residents: Vec<Untrusted>,
}

/// A veth pair, or one door alone where the other end is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hallway {
    /// What the drawing writes above it.
    pub label: Untrusted,
    /// What it is for.
    pub role: Role,
    /// The end that is further from the node's middle; the only one of a door alone.
    #[serde(serialize_with = "place")]
    #[schemars(with = "Place")]
    pub far: DoorId,
    /// The other end.
    #[serde(serialize_with = "place_if_any")]
    #[schemars(with = "Option<Place>")]
    pub near: Option<DoorId>,
}

/// A door, as it is found among those of the snapshot.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DoorPlace")]
struct Place {
    /// Inode of its network namespace; `null` where that is out of reach.
    netns: Option<NetNsId>,
    /// Its own index there.
    ifindex: u32,
}

impl From<DoorId> for Place {
    fn from(id: DoorId) -> Self {
        Self {
            netns: id.netns.known(),
            ifindex: id.ifindex,
        }
    }
}

fn place<S: serde::Serializer>(id: &DoorId, serializer: S) -> Result<S::Ok, S::Error> {
    Place::from(*id).serialize(serializer)
}

fn place_if_any<S: serde::Serializer>(
    id: &Option<DoorId>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    id.map(Place::from).serialize(serializer)
}

impl Layout {
    /// Puts every door of `snapshot` into exactly one place.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut doors: Vec<&DoorState> = snapshot.doors.iter().collect();
        doors.sort_by_key(|door| (depth(door), door.ifindex, door.id));
        let shown: HashMap<_, _> = doors.iter().map(|door| (door.id, *door)).collect();
        let mut other_end = HashMap::new();
        for [first, second] in snapshot.pairs.iter().map(|pair| pair.ends) {
            other_end.insert(first, second);
            other_end.insert(second, first);
        }
        let mut placed = std::collections::HashSet::new();
        let mut buildings: BTreeMap<(&Untrusted, NetNsId), Building> = BTreeMap::new();
        for door in doors {
            if !placed.insert(door.id) {
                continue;
            }
            let near = other_end.get(&door.id).and_then(|id| shown.get(id));
            let near = near.copied().filter(|near| placed.insert(near.id));
            let building = buildings.entry((&door.node, door.node_netns)).or_default();
            building.name.clone_from(&door.node);
            building.netns = door.node_netns;
            building.put(Hallway {
                label: label(door, near),
                role: door.role,
                far: door.id,
                near: near.map(|near| near.id),
            });
        }
        let mut buildings: Vec<Building> = buildings.into_values().collect();
        for building in &mut buildings {
            for halls in [
                &mut building.rooms,
                &mut building.inner,
                &mut building.gates,
            ] {
                halls.sort_by(|a, b| order(a).cmp(&order(b)));
            }
            building.residents = residents(snapshot, building.netns);
        }
        let way = Way::between(&buildings, &shown);
        Self { buildings, way }
    }
}

impl Building {
    /// Everything in it, from the rooms to the gates.
    pub fn halls(&self) -> impl Iterator<Item = &Hallway> {
        self.rooms.iter().chain(&self.inner).chain(&self.gates)
    }

    fn put(&mut self, hallway: Hallway) {
        match hallway.role {
            Role::Pod | Role::Health => self.rooms.push(hallway),
            Role::CiliumHost => self.inner.push(hallway),
            _ => self.gates.push(hallway),
        }
    }
}

impl Hallway {
    /// Its ends, the far one first.
    pub fn ends(&self) -> impl Iterator<Item = DoorId> + use<> {
        [Some(self.far), self.near].into_iter().flatten()
    }
}

/// Names of the pods that are in the network namespace of a node.
pub(in crate::views) fn residents(snapshot: &Snapshot, node: NetNsId) -> Vec<Untrusted> {
    let here = snapshot.pods.iter().filter(|pod| pod.netns == Some(node));
    let mut names: Vec<_> = here.map(Pod::label).collect();
    names.sort();
    names
}

/// More than a node has in its own network, that of a control plane included.
const FEW: usize = 30;

/// Names that can be shown, and how many there are besides.
pub(in crate::views) fn few(names: &[Untrusted]) -> Vec<String> {
    let mut few: Vec<_> = names.iter().take(FEW).map(ToString::to_string).collect();
    if names.len() > FEW {
        few.push(format!("and {} more", names.len() - FEW));
    }
    few
}

fn order(hallway: &Hallway) -> (Role, &Untrusted, u32, DoorId) {
    (
        hallway.role,
        &hallway.label,
        hallway.far.ifindex,
        hallway.far,
    )
}

/// The door that is furthest from the node's middle comes first.
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
