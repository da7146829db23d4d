//! The parts of the layout, as the JSON form has them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{DoorId, NetNsId, Role, Untrusted};

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
    /// All others: tunnels, encryption, uplinks with their far end.
    pub gates: Vec<Hallway>,
    /// Pods in the node's own network, which have no doors, such as kube-proxy.
    pub residents: Vec<Untrusted>,
}

/// A veth pair, or a single door whose other end is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hallway {
    /// Its title in a drawing.
    pub label: Untrusted,
    /// What it is for.
    pub role: Role,
    /// The outer end; the only end of a single door.
    pub far: DoorId,
    /// The other end.
    pub near: Option<DoorId>,
}

/// The connection between the buildings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Way {
    /// What it is.
    pub kind: WayKind,
    /// The tunnel's protocol, or the network's prefix: `vxlan`, `172.18.0.0/16`.
    pub name: Option<String>,
    /// The door of each connected building, in the order of the buildings.
    pub ends: Vec<WayEnd>,
}

/// A building's door to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WayEnd {
    /// The building's place in `buildings`.
    pub building: usize,
    /// The door.
    pub door: DoorId,
}

/// How nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WayKind {
    /// Packets of pods are encapsulated.
    Tunnel,
    /// Packets of pods cross the network that the nodes' uplinks share.
    Network,
}

impl Building {
    /// Everything in it, from the rooms to the gates.
    pub fn halls(&self) -> impl Iterator<Item = &Hallway> {
        self.rooms.iter().chain(&self.inner).chain(&self.gates)
    }
}

impl Hallway {
    /// Its ends, the far one first.
    pub fn ends(&self) -> impl Iterator<Item = DoorId> + use<> {
        [Some(self.far), self.near].into_iter().flatten()
    }
}

impl Way {
    /// Whether one of a hallway's doors is an end.
    pub(in crate::views) fn begins_at(&self, hallway: &Hallway) -> bool {
        let mut ends = self.ends.iter();
        ends.any(|end| hallway.ends().any(|id| id == end.door))
    }
}
