//! What became of each packet.

use std::collections::BTreeSet;

use super::{
    names::label,
    trail::{Trail, Walk},
};
use crate::{
    model::{Cluster, Direction, DoorId},
    verify::{
        observation::{Answer, Observation, Way},
        route::{Place, Route},
        verdict::Loss,
    },
};

/// Who came to B, and who of them A got an answer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) delivered: BTreeSet<u32>,
    pub(super) replied: BTreeSet<u32>,
}

/// What the outcomes are read from.
pub(super) struct Evidence<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) route: &'a Route,
    pub(super) observation: &'a Observation,
    pub(super) request: &'a Trail,
    pub(super) reply: &'a Trail,
}

impl Evidence<'_> {
    pub(super) fn outcomes(&self) -> Outcomes {
        if self.observation.found.is_some() {
            return self.found();
        }
        let replied = self
            .packets()
            .into_iter()
            .filter(|packet| self.replied(*packet));
        let replied: BTreeSet<_> = replied.collect();
        let delivered = self.packets().into_iter();
        let delivered =
            delivered.filter(|packet| replied.contains(packet) || self.delivered(*packet));
        Outcomes {
            delivered: delivered.collect(),
            replied,
        }
    }

    /// Nothing was sent, and so nobody waits: each way for itself.
    fn found(&self) -> Outcomes {
        let there = self.request.walks.keys().copied();
        let back = self.reply.walks.keys().copied();
        Outcomes {
            delivered: there.filter(|packet| self.arrived(*packet)).collect(),
            replied: back.filter(|packet| self.came_back(*packet)).collect(),
        }
    }

    /// There was no packet at all.
    pub(super) fn is_nothing(&self) -> bool {
        let ways = [Way::Request, Way::Reply];
        ways.iter().all(|way| self.observation.packets(*way) == 0)
            || self.observation.found.is_none() && self.observation.sent == 0
    }

    /// Whether the way back is to be shown, even where nothing was seen of it.
    pub(super) fn asks_for_reply(&self, losses: &[Loss]) -> bool {
        let lost = losses.iter().any(|loss| loss.way == Way::Reply);
        lost || self.observation.found.is_none() && !self.observation.one_way
    }

    /// Packets without a mark are known by their addresses alone, which a service's translation or
    /// a masquerade changes: somebody elsewhere may be reached under others.
    pub(super) fn may_be_translated(&self, course: &Trail, loss: &Loss) -> Option<String> {
        let Route { from, to } = self.route;
        let ends = [from, to];
        let strange = ends.into_iter().find(|end| end.place == Place::Elsewhere);
        let name = &strange.filter(|_| self.observation.found.is_some())?.name;
        let last = course.lines.get(loss.after?)?;
        let door = label(self.cluster, last.hook);
        Some(format!(
            "{}: whoever stands behind {door} may have translated the addresses, and then packets are not known any more; if {name} is a service, name the pod behind it, or send probes (without --passive)",
            super::detours::name(loss.way)
        ))
    }

    /// Packets that were there anyway arrived, some of them had to be answered, and B said nothing.
    pub(super) fn unanswered(&self, outcomes: &Outcomes) -> bool {
        let found = self.observation.found;
        let silent = found.is_some_and(|found| found.asked > 0 && found.back == 0);
        let is_here = self.route.to.place != Place::Elsewhere;
        silent && is_here && !self.observation.one_way && !outcomes.delivered.is_empty()
    }

    /// Packets of which anything is known.
    pub(super) fn packets(&self) -> BTreeSet<u32> {
        let answers = self.observation.answers.keys();
        let walks = self.request.walks.keys().chain(self.reply.walks.keys());
        let sent = |packet: &u32| *packet < self.observation.sent;
        answers.chain(walks).copied().filter(sent).collect()
    }

    fn replied(&self, packet: u32) -> bool {
        match self.observation.answers.get(&packet) {
            Some(Answer::Reply(_) | Answer::Refused(..)) => true,
            Some(Answer::Unreachable(..) | Answer::Unsent(_)) => false,
            None => false,
        }
    }

    fn came_back(&self, packet: u32) -> bool {
        let walk = self.reply.walks.get(&packet);
        walk.is_some_and(|walk| {
            ended(self.reply, walk) || self.entered(&self.route.from.place, self.reply, walk)
        })
    }

    fn delivered(&self, packet: u32) -> bool {
        let answer = self.observation.answers.get(&packet);
        if matches!(answer, Some(Answer::Unsent(_))) {
            return false;
        }
        let arrived = self.arrived(packet);
        let refused = matches!(answer, Some(Answer::Unreachable(..)));
        arrived
            || !refused
                && self
                    .reply
                    .walks
                    .get(&packet)
                    .is_some_and(|walk| self.spoke(walk))
    }

    /// Seen at B's last door.
    fn arrived(&self, packet: u32) -> bool {
        let request = self.request.walks.get(&packet);
        let to = &self.route.to.place;
        // Of one who is elsewhere nothing is seen but that it was sent on its way.
        let asks_nobody = self.observation.one_way || self.observation.found.is_some();
        let visible = *to != Place::Elsewhere || asks_nobody;
        request.is_some_and(|walk| {
            visible && ended(self.request, walk) || self.entered(to, self.request, walk)
        })
    }

    /// Came in by any door of a pod.
    fn entered(&self, place: &Place, course: &Trail, walk: &Walk) -> bool {
        let Place::Pod { netns, .. } = place else {
            return false;
        };
        let hooks = walk.first.iter().map(|line| course.lines[*line].hook);
        let into = |(door, direction): (DoorId, Direction)| {
            door.netns.known() == Some(*netns) && direction == Direction::Ingress
        };
        hooks.into_iter().any(into)
    }

    /// Whether it was B that said something: errors come from routers on the way, too.
    fn spoke(&self, walk: &Walk) -> bool {
        let mut doors = walk.first.iter().map(|line| self.reply.lines[*line].hook.0);
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

/// Whether a packet came to the last door of its way.
fn ended(course: &Trail, walk: &Walk) -> bool {
    let end = course.end().filter(|end| course.required(*end));
    end.is_some_and(|end| course.satisfied(end, walk))
}
