//! Doors that are shown for a while after their interface was removed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    model::{Cluster, Door, DoorId},
    sys::netns::NetNsId,
};

/// How long a door is shown after it went.
const SHOW_GONE: Duration = Duration::from_secs(20);

/// Doors that went a moment ago.
#[derive(Default)]
pub(super) struct GoneDoors(HashMap<DoorId, Gone>);

struct Gone {
    /// With its last names: a source forgets a pod as soon as it is gone.
    door: Door,
    node: NetNsId,
    since: Instant,
}

impl GoneDoors {
    /// Adds the doors of `before` that `now` does not have.
    pub(super) fn update(&mut self, before: &Cluster, now: &Cluster) {
        for door in &before.doors {
            // A placeholder of an unreachable door has not gone: the door was reached.
            if now.door(door.id).is_none() && door.id.netns.known().is_some() {
                let gone = Gone {
                    door: door.clone(),
                    node: before.nodes[door.node].netns,
                    since: Instant::now(),
                };
                self.0.insert(door.id, gone);
            }
        }
        self.0.retain(|id, _| now.door(*id).is_none());
    }

    /// The cluster with the doors that went a moment ago; `None` when there are none.
    pub(super) fn added_to(&mut self, cluster: &Cluster) -> Option<Cluster> {
        self.0.retain(|_, gone| gone.since.elapsed() < SHOW_GONE);
        if self.0.is_empty() {
            return None;
        }
        let mut cluster = cluster.clone();
        let mut gone: Vec<_> = self.0.values().collect();
        gone.sort_by_key(|gone| gone.door.id);
        for Gone { door, node, .. } in gone {
            // Nodes come and go as well, so the index of this one may differ.
            let Some(node) = cluster.nodes.iter().position(|other| other.netns == *node) else {
                continue;
            };
            let last = cluster.doors.iter().rposition(|other| other.node == node);
            let door = Door {
                node,
                ..door.clone()
            };
            cluster.doors.insert(last.map_or(0, |last| last + 1), door);
        }
        Some(cluster)
    }
}
