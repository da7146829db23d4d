//! Tells interfaces apart that had one index in one namespace after another.
//!
//! Between two looks a pod can go and another one come under the same index, with the same name
//! even. Only the notification of the deletion tells.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::Discovered;
use crate::{model::DoorId, sys::netns::NetNsId};

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
            if peer.id.netns != id.netns {
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

    /// Completes the identities of what was found; what was in `last` and is not there now has
    /// ended. A pair does not go at once, so that the deletion of one end is not always told
    /// while the other is still known.
    pub(super) fn apply(&mut self, found: &mut Discovered, last: &Discovered) {
        let ids = |of: &Discovered| -> HashSet<DoorId> {
            let doors = of.cluster.doors.iter();
            doors.map(|door| first(door.id)).collect()
        };
        let there = ids(found);
        for gone in ids(last).difference(&there) {
            self.count(*gone);
        }
        for door in &mut found.cluster.doors {
            self.complete(&mut door.id);
            if let Some(peer) = &mut door.peer {
                self.complete(&mut peer.id);
            }
        }
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
            named_by: None,
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

    /// What a look finds after the one that found `last`.
    fn look(
        incarnations: &mut Incarnations,
        mut found: Discovered,
        last: &Discovered,
    ) -> Discovered {
        incarnations.apply(&mut found, last);
        found
    }

    #[test]
    fn both_ends_of_a_pair_that_came_again_are_new() {
        let mut incarnations = Incarnations::default();
        let mut before = look(&mut incarnations, pair(), &Discovered::default());
        assert_eq!(before, pair());
        for times in 1..=2 {
            incarnations.end(NetNsId(1), 9, &before);
            let now = look(&mut incarnations, pair(), &before);
            for door in &now.cluster.doors {
                assert_eq!(door.id.incarnation, times);
            }
            assert_eq!(now.cluster.pairs().len(), 1);
            before = now;
        }
        // A stranger of that index elsewhere is none of it.
        incarnations.end(NetNsId(3), 9, &before);
        assert_eq!(look(&mut incarnations, pair(), &before), before);
    }

    #[test]
    fn an_end_that_was_not_there_for_a_moment_is_new() {
        let mut incarnations = Incarnations::default();
        let before = look(&mut incarnations, pair(), &Discovered::default());
        let mut half = pair();
        let eth0 = half.cluster.doors.remove(0).id;
        let half = look(&mut incarnations, half, &before);
        let now = look(&mut incarnations, pair(), &half);
        assert_eq!(now.cluster.doors[0].id.ifindex, eth0.ifindex);
        assert_eq!(now.cluster.doors[0].id.incarnation, 1);
        assert_eq!(now.cluster.doors[1].id.incarnation, 0);
        assert_eq!(now.cluster.pairs().len(), 1);
    }
}
