//! What became of each packet.

use std::collections::BTreeSet;

use super::{
    super::{Answer, Observation, Place, Route},
    course::{Course, Walk},
};
use crate::model::{Cluster, Direction, DoorId};

/// Who came to B, and who of them A got an answer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Fates {
    pub(super) delivered: BTreeSet<u32>,
    pub(super) replied: BTreeSet<u32>,
}

/// What the fates are read from.
pub(super) struct Evidence<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) route: &'a Route,
    pub(super) observation: &'a Observation,
    /// Nothing was sent: there is no sender who could say what came back.
    pub(super) passive: bool,
    pub(super) request: &'a Course,
    pub(super) reply: &'a Course,
}

impl Evidence<'_> {
    pub(super) fn fates(&self) -> Fates {
        let replied = self
            .packets()
            .into_iter()
            .filter(|packet| self.replied(*packet));
        let replied: BTreeSet<_> = replied.collect();
        let delivered = self.packets().into_iter();
        let delivered =
            delivered.filter(|packet| replied.contains(packet) || self.delivered(*packet));
        Fates {
            delivered: delivered.collect(),
            replied,
        }
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
            None => self.passive && self.came_back(packet),
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
        let request = self.request.walks.get(&packet);
        let to = &self.route.to.place;
        // Of one who is elsewhere nothing is seen but that it was sent on its way.
        let visible = *to != Place::Elsewhere || self.observation.one_way;
        let arrived = request.is_some_and(|walk| {
            visible && ended(self.request, walk) || self.entered(to, self.request, walk)
        });
        let refused = matches!(answer, Some(Answer::Unreachable(..)));
        arrived
            || !refused
                && self
                    .reply
                    .walks
                    .get(&packet)
                    .is_some_and(|walk| self.spoke(walk))
    }

    /// Came in by any door of a pod.
    fn entered(&self, place: &Place, course: &Course, walk: &Walk) -> bool {
        let Place::Pod { netns, .. } = place else {
            return false;
        };
        let hooks = walk.first.iter().map(|line| course.lines[*line].hook);
        let into = |(door, direction): (DoorId, Direction)| {
            door.space.known() == Some(*netns) && direction == Direction::Ingress
        };
        hooks.into_iter().any(into)
    }

    /// Whether it was B that said something: errors come from routers on the way, too.
    fn spoke(&self, walk: &Walk) -> bool {
        let mut doors = walk.first.iter().map(|line| self.reply.lines[*line].hook.0);
        match self.route.to.place {
            Place::Pod { netns, .. } => doors.any(|id| {
                let peer = self.cluster.door(id).and_then(|door| door.peer.as_ref());
                let peer = peer.and_then(|peer| peer.id.space.known());
                id.space.known() == Some(netns) || peer == Some(netns)
            }),
            Place::Node { node, .. } => {
                doors.any(|id| self.cluster.door(id).is_some_and(|door| door.node == node))
            }
            Place::Elsewhere => true,
        }
    }
}

/// Whether a packet came to the last door of its way.
fn ended(course: &Course, walk: &Walk) -> bool {
    let end = course.end().filter(|end| course.required(*end));
    end.is_some_and(|end| course.satisfied(end, walk))
}
