//! Distinguishes interfaces that had the same index in the same namespace, one after the other.
//!
//! Between two scans a pod can go and another come with the same index, even with the same name.
//! Only the notification of the deletion reveals it.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::Discovered;
use crate::{model::DoorId, sys::netns::NetNsId};

/// Longer than a door is shown after it went.
const KEEP: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Generations {
    /// By the identity of the first generation: how many have ended, and when the last did.
    ended: HashMap<DoorId, (u32, Instant)>,
}

impl Generations {
    /// An interface of a node was deleted; `last` has its other end.
    pub(super) fn end(&mut self, netns: NetNsId, ifindex: u32, last: &Discovered) {
        let id = DoorId::new(netns, ifindex);
        self.count(id);
        let mut doors = last.cluster.doors.iter();
        let peer = doors
            .find(|door| first(door.id) == id)
            .map(|door| &door.peer);
        if let Some(Some(peer)) = peer {
            // A pair goes as a whole. If both ends are in this namespace, each has its own notification.
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

    /// Completes the identities in `found`. What was in `last` and is missing now has ended: the two
    /// ends of a pair do not go at the same moment, so a notification may come too late for one.
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
            for other in [&mut door.peer, &mut door.lower].into_iter().flatten() {
                self.complete(&mut other.id);
            }
        }
        self.ended
            .retain(|id, (_, at)| at.elapsed() < KEEP || there.contains(id));
    }

    fn complete(&self, id: &mut DoorId) {
        if let Some((ended, _)) = self.ended.get(&first(*id)) {
            id.generation = *ended;
        }
    }
}

fn first(id: DoorId) -> DoorId {
    DoorId {
        generation: 0,
        ..id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Door, LinkKind, Peer, Role, Side};

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
            kind: Some(LinkKind::Veth),
            peer: Some(Peer {
                id: other,
                interface: None,
            }),
            lower: None,
            macvlan: None,
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

    /// The result of a scan that follows `last`.
    fn rescan(
        generations: &mut Generations,
        mut found: Discovered,
        last: &Discovered,
    ) -> Discovered {
        generations.apply(&mut found, last);
        found
    }

    #[test]
    fn both_ends_of_a_recreated_pair_are_new() {
        let mut generations = Generations::default();
        let mut before = rescan(&mut generations, pair(), &Discovered::default());
        assert_eq!(before, pair());
        for times in 1..=2 {
            generations.end(NetNsId(1), 9, &before);
            let now = rescan(&mut generations, pair(), &before);
            for door in &now.cluster.doors {
                assert_eq!(door.id.generation, times);
            }
            assert_eq!(now.cluster.pairs().len(), 1);
            before = now;
        }
        // The same index in another namespace does not matter.
        generations.end(NetNsId(3), 9, &before);
        assert_eq!(rescan(&mut generations, pair(), &before), before);
    }

    #[test]
    fn end_that_reappears_is_a_new_generation() {
        let mut generations = Generations::default();
        let before = rescan(&mut generations, pair(), &Discovered::default());
        let mut half = pair();
        let eth0 = half.cluster.doors.remove(0).id;
        let half = rescan(&mut generations, half, &before);
        let now = rescan(&mut generations, pair(), &half);
        assert_eq!(now.cluster.doors[0].id.ifindex, eth0.ifindex);
        assert_eq!(now.cluster.doors[0].id.generation, 1);
        assert_eq!(now.cluster.doors[1].id.generation, 0);
        assert_eq!(now.cluster.pairs().len(), 1);
    }
}
