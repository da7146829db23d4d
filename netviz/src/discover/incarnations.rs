//! Tells interfaces apart that had one index in one namespace after another.
//!
//! Between two looks a pod can go and another one come under the same index, with the same name
//! even. Only the notification of the deletion tells.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::Discovered;
use crate::model::{DoorId, NetNsId};

/// Longer than anybody remembers a door that has gone.
const MEMORY: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Incarnations {
    /// By the identity of the first incarnation: how many have ended, and when the last did.
    ended: HashMap<DoorId, (u32, Instant)>,
}

impl Incarnations {
    /// An interface of a node was deleted; `last` tells what stood at its other end.
    pub(super) fn end(&mut self, netns: NetNsId, ifindex: u32, last: &Discovered) {
        let id = DoorId::new(netns, ifindex);
        self.count(id);
        let mut doors = last.cluster.doors.iter();
        let peer = doors
            .find(|door| first(door.id) == id)
            .map(|door| &door.peer);
        if let Some(Some(peer)) = peer {
            // The pair goes as one. Both ends may be in this namespace, and are told one by one.
            if peer.id.space != id.space {
                self.count(first(peer.id));
            }
        }
    }

    fn count(&mut self, id: DoorId) {
        let now = Instant::now();
        let (ended, at) = self.ended.entry(id).or_insert((0, now));
        *ended += 1;
        *at = now;
    }

    /// Completes the identities of what was found.
    pub(super) fn apply(&mut self, found: &mut Discovered) {
        for door in &mut found.cluster.doors {
            self.complete(&mut door.id);
            if let Some(peer) = &mut door.peer {
                self.complete(&mut peer.id);
            }
        }
        let there: std::collections::HashSet<_> = found
            .cluster
            .doors
            .iter()
            .map(|door| first(door.id))
            .collect();
        self.ended
            .retain(|id, (_, at)| at.elapsed() < MEMORY || there.contains(id));
    }

    fn complete(&self, id: &mut DoorId) {
        if let Some((ended, _)) = self.ended.get(&first(*id)) {
            id.incarnation = *ended;
        }
    }
}

fn first(id: DoorId) -> DoorId {
    DoorId {
        incarnation: 0,
        ..id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Door, Peer, Role, Side};

    fn pair() -> Discovered {
        let (node, pod) = (NetNsId(1), NetNsId(2));
        let door = |own, other| Door {
            id: own,
            node: 0,
            side: Side::Node,
            role: Role::Pod,
            interface: "lxc".into(),
            pod: None,
            namespace: None,
            kind: Some("veth".into()),
            peer: Some(Peer {
                id: other,
                interface: None,
            }),
            addresses: Vec::new(),
            mac: None,
            mtu: None,
            link_state: None,
            netns_cookie: None,
            problem: None,
        };
        let (lxc, eth0) = (DoorId::new(node, 9), DoorId::new(pod, 8));
        let mut found = Discovered::default();
        found.cluster.doors = vec![door(eth0, lxc), door(lxc, eth0)];
        found
    }

    #[test]
    fn both_ends_of_a_pair_that_came_again_are_new() {
        let mut incarnations = Incarnations::default();
        let mut before = pair();
        incarnations.apply(&mut before);
        assert_eq!(before, pair());
        for times in 1..=2 {
            incarnations.end(NetNsId(1), 9, &before);
            let mut now = pair();
            incarnations.apply(&mut now);
            for door in &now.cluster.doors {
                assert_eq!(door.id.incarnation, times);
            }
            assert_eq!(now.cluster.corridors().len(), 1);
            before = now;
        }
        // A stranger of that index elsewhere is none of it.
        incarnations.end(NetNsId(3), 9, &before);
        let mut now = pair();
        incarnations.apply(&mut now);
        assert_eq!(now, before);
    }
}
