//! Which packets were delivered, and which were answered.

use std::collections::BTreeSet;

use super::trail::{Trail, Walk};
use crate::{
    model::{Cluster, Direction},
    verify::{Answer, Observation, Place, Route, Way},
};

/// Packets that reached B, and packets that A received an answer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) delivered: BTreeSet<u32>,
    pub(super) replied: BTreeSet<u32>,
}

/// All that a verdict is based on.
pub(super) struct Evidence<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) route: &'a Route,
    pub(super) observation: &'a Observation,
    pub(super) trails: [Trail; 2],
    /// Length of the packets, if they are probes.
    pub(super) bytes: Option<u32>,
}

impl Evidence<'_> {
    pub(super) fn trail(&self, way: Way) -> &Trail {
        &self.trails[way as usize]
    }

    fn walk(&self, way: Way, packet: u32) -> Option<&Walk> {
        self.trail(way).walks.get(&packet)
    }

    /// Each way to judge, with the packets that got through.
    pub(super) fn ways<'a>(
        &'a self,
        outcomes: &'a Outcomes,
    ) -> impl Iterator<Item = (&'a Trail, &'a BTreeSet<u32>)> {
        let ways = self.trails.iter();
        let ways = ways.zip([&outcomes.delivered, &outcomes.replied]);
        ways.take(if self.observation.one_way { 1 } else { 2 })
    }

    pub(super) fn outcomes(&self) -> Outcomes {
        if self.observation.found.is_some() {
            // Each way for itself.
            let [there, back] = Way::BOTH.map(|way| self.trail(way).walks.keys().copied());
            return Outcomes {
                delivered: there.filter(|packet| self.arrived(*packet)).collect(),
                replied: back.filter(|packet| self.returned(*packet)).collect(),
            };
        }
        let packets = self.packets();
        let replied = |packet: &u32| {
            let answer = self.observation.answers.get(packet);
            matches!(answer, Some(Answer::Reply(_) | Answer::Refused(..)))
        };
        let delivered = |packet: &u32| replied(packet) || self.delivered(*packet);
        Outcomes {
            delivered: packets.iter().copied().filter(delivered).collect(),
            replied: packets.iter().copied().filter(replied).collect(),
        }
    }

    /// There was no packet at all.
    pub(super) fn is_nothing(&self) -> bool {
        let mut ways = Way::BOTH.into_iter();
        ways.all(|way| self.observation.packets(way) == 0)
    }

    /// In passive mode: packets that B has to answer arrived, and B sent nothing.
    pub(super) fn unanswered(&self, outcomes: &Outcomes) -> bool {
        let found = self.observation.found;
        let silent = found.is_some_and(|found| found.asked > 0 && found.back == 0);
        let is_here = self.route.to.place != Place::Elsewhere;
        silent && is_here && !self.observation.one_way && !outcomes.delivered.is_empty()
    }

    /// Packets about which anything is known.
    pub(super) fn packets(&self) -> BTreeSet<u32> {
        let answers = self.observation.answers.keys();
        let walks = self.trails.iter().flat_map(|trail| trail.walks.keys());
        let sent = |packet: &u32| *packet < self.observation.sent;
        answers.chain(walks).copied().filter(sent).collect()
    }

    fn returned(&self, packet: u32) -> bool {
        self.walk(Way::Reply, packet).is_some_and(|walk| {
            let trail = self.trail(Way::Reply);
            ended(trail, walk) || entered(self.route.from.place, trail, walk)
        })
    }

    fn delivered(&self, packet: u32) -> bool {
        match self.observation.answers.get(&packet) {
            Some(Answer::Unsent(_)) => false,
            Some(Answer::Unreachable(..)) => self.arrived(packet),
            _ => {
                let reply = self.walk(Way::Reply, packet);
                self.arrived(packet) || reply.is_some_and(|walk| self.is_from_receiver(walk))
            }
        }
    }

    /// Seen at B's last door.
    fn arrived(&self, packet: u32) -> bool {
        let (place, trail) = (self.route.to.place, self.trail(Way::Request));
        // At an end elsewhere nothing is seen but that the packet was sent on its way.
        let expects_nothing = self.observation.one_way || self.observation.found.is_some();
        let visible = place != Place::Elsewhere || expects_nothing;
        let walk = self.walk(Way::Request, packet);
        walk.is_some_and(|walk| visible && ended(trail, walk) || entered(place, trail, walk))
    }

    /// Whether B itself sent a reply: routers on the way send errors, too.
    fn is_from_receiver(&self, walk: &Walk) -> bool {
        let lines = &self.trail(Way::Reply).lines;
        let mut doors = walk.first.iter().map(|line| lines[*line].hook.0);
        match self.route.to.place {
            Place::Pod { netns, .. } => doors.any(|id| {
                let peer = self.cluster.door(id).and_then(|door| door.peer.as_ref());
                let peer = peer.and_then(|peer| peer.id.netns.known());
                id.netns.known() == Some(netns) || peer == Some(netns)
            }),
            Place::Node { node, .. } => {
                doors.any(|id| self.cluster.door(id).is_some_and(|door| door.node == node))
            }
            Place::Elsewhere => true,
        }
    }
}

/// Whether a packet entered a pod by any of its doors.
fn entered(place: Place, trail: &Trail, walk: &Walk) -> bool {
    let mut hooks = walk.first.iter().map(|line| trail.lines[*line].hook);
    place.netns().is_some_and(|netns| {
        hooks.any(|(door, direction)| {
            door.netns.known() == Some(netns) && direction == Direction::Ingress
        })
    })
}

/// Whether a packet reached the last door.
fn ended(trail: &Trail, walk: &Walk) -> bool {
    let end = trail.end().filter(|end| trail.required(*end));
    end.is_some_and(|end| trail.satisfied(end, walk))
}
