//! What is there: nodes and their doors.

use serde::Serialize;

use super::{Corridor, Datapath, Disagreement, Door, DoorId, NetNsId, Pod};

/// A node: one network namespace with Cilium's devices in it, or the one that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Node {
    /// Hostname, or the best that can be said.
    pub name: String,
    /// Its namespace.
    pub netns: NetNsId,
    /// Whether it holds `cilium_host`.
    pub cilium: bool,
    /// Addresses of its uplinks.
    pub addresses: Vec<String>,
    /// Address ranges of its pods, by the nearest source that has them.
    pub pod_cidrs: Vec<String>,
    /// How its packets are routed, as the agent says.
    pub datapath: Option<Datapath>,
}

/// How one source of names fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct SourceStatus {
    /// `kernel`, …
    pub name: String,
    /// `ok`, or what was wrong.
    pub status: String,
}

/// All that was found, in the order in which it is shown: node by node, corridor by corridor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Doors.
    pub doors: Vec<Door>,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
    /// Where the names come from.
    pub sources: Vec<SourceStatus>,
    /// Pods that a source has a name for.
    pub pods: Vec<Pod>,
    /// Where the sources do not agree.
    pub disagreements: Vec<Disagreement>,
    /// Interfaces of pods were left out because that was asked for: what is not here may be there.
    pub partial: bool,
}

impl Cluster {
    /// The door with this identity.
    #[must_use]
    pub fn door(&self, id: DoorId) -> Option<&Door> {
        self.doors.iter().find(|door| door.id == id)
    }

    /// All pairs of doors that name each other, each once, in the order of their first door.
    #[must_use]
    pub fn corridors(&self) -> Vec<Corridor> {
        let known: std::collections::HashMap<_, _> =
            self.doors.iter().map(|door| (door.id, door)).collect();
        let names_back =
            |far: &Door, near: &Door| far.peer.as_ref().is_some_and(|peer| peer.id == near.id);
        let mut seen = std::collections::HashSet::new();
        let mut corridors = Vec::new();
        for door in &self.doors {
            let Some(far) = door.peer.as_ref().and_then(|peer| known.get(&peer.id)) else {
                continue;
            };
            if names_back(far, door) && seen.insert(door.id) && seen.insert(far.id) {
                corridors.push(Corridor {
                    first: door.id,
                    second: far.id,
                });
            }
        }
        corridors
    }
}
