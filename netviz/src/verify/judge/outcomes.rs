//! Which packets were delivered, and which were answered.

use std::collections::BTreeSet;

use super::trail::{Trail, Walk};
use crate::{
    model::{Cluster, Direction},
    verify::{
        facts::Doubt,
        observation::{Answer, Hook, Observation, Way},
        route::{Place, Route},
        verdict::Loss,
    },
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
    pub(super) request: &'a Trail,
    pub(super) reply: &'a Trail,
}

impl Evidence<'_> {
    pub(super) fn trail(&self, way: Way) -> &Trail {
        match way {
            Way::Request => self.request,
            Way::Reply => self.reply,
        }
    }

    /// Each way to judge, with the packets that got through.
    pub(super) fn ways<'a>(
        &'a self,
        outcomes: &'a Outcomes,
    ) -> impl Iterator<Item = (&'a Trail, &'a BTreeSet<u32>)> {
        let reply = (!self.observation.one_way).then_some((self.reply, &outcomes.replied));
        [(self.request, &outcomes.delivered)]
            .into_iter()
            .chain(reply)
    }

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

    /// In passive mode, each way for itself.
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
        let mut ways = Way::BOTH.into_iter();
        ways.all(|way| self.observation.packets(way) == 0)
    }

    /// Whether to show the reply even if no door saw any.
    pub(super) fn asks_for_reply(&self, losses: &[Loss]) -> bool {
        let lost = losses.iter().any(|loss| loss.way == Way::Reply);
        lost || self.observation.found.is_none() && !self.observation.one_way
    }

    /// Packets without a mark are recognised by their addresses, which a service or masquerading
    /// translates on the way to an end elsewhere.
    pub(super) fn may_be_translated(&self, trail: &Trail, loss: &Loss) -> Option<Doubt> {
        let Route { from, to } = self.route;
        let ends = [from, to];
        let elsewhere = ends.into_iter().find(|end| end.place == Place::Elsewhere)?;
        self.observation.found?;
        trail.lines.get(loss.after?)?;
        Some(Doubt::MayBeTranslated {
            way: loss.way,
            row: loss.after?,
            name: elsewhere.name.clone(),
        })
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
        let walks = self.request.walks.keys().chain(self.reply.walks.keys());
        let sent = |packet: &u32| *packet < self.observation.sent;
        answers.chain(walks).copied().filter(sent).collect()
    }

    fn replied(&self, packet: u32) -> bool {
        let answer = self.observation.answers.get(&packet);
        matches!(answer, Some(Answer::Reply(_) | Answer::Refused(..)))
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
        // At an end elsewhere nothing is seen but that the packet was sent on its way.
        let expects_nothing = self.observation.one_way || self.observation.found.is_some();
        let visible = *to != Place::Elsewhere || expects_nothing;
        request.is_some_and(|walk| {
            visible && ended(self.request, walk) || self.entered(to, self.request, walk)
        })
    }

    /// Whether a packet entered a pod by any of its doors.
    fn entered(&self, place: &Place, trail: &Trail, walk: &Walk) -> bool {
        let Place::Pod { netns, .. } = place else {
            return false;
        };
        let hooks = walk.first.iter().map(|line| trail.lines[*line].hook);
        let into = |(door, direction): Hook| {
            door.netns.known() == Some(*netns) && direction == Direction::Ingress
        };
        hooks.into_iter().any(into)
    }

    /// Whether B itself sent something: routers on the way send errors, too.
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

/// Whether a packet reached the last door.
fn ended(trail: &Trail, walk: &Walk) -> bool {
    let end = trail.end().filter(|end| trail.required(*end));
    end.is_some_and(|end| trail.satisfied(end, walk))
}
