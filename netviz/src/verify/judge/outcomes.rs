//! Which packets were delivered, and which were answered.

use std::collections::BTreeSet;

use super::trail::{Trail, Walk};
use crate::{
    model::{Cluster, Direction, Door, Role, Side},
    verify::{
        Answer, DropReason, Observation, Party, Place, Route, Way,
        expect::{doors::node_name, remote},
    },
};

/// Packets that reached B, and packets that A received an answer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    pub(super) delivered: BTreeSet<u32>,
    pub(super) replied: BTreeSet<u32>,
}

/// Who received a packet in B's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OtherReceiver {
    /// The line by which it entered another pod, if one saw it.
    pub(super) row: Option<usize>,
}

/// All that a verdict is based on.
pub(super) struct Evidence<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) route: &'a Route,
    pub(super) observation: &'a Observation,
    pub(super) trails: [Trail; 2],
    /// Length of the packets, if they are probes.
    pub(super) bytes: Option<u32>,
    /// The probes are SYNs.
    pub(super) is_tcp: bool,
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
        let replied = |packet: &u32| match self.observation.answers.get(packet) {
            Some(Answer::Reply(_)) => self.other_receiver(*packet).is_none(),
            Some(Answer::Refused(..)) => {
                !self.is_refused_on_the_way(*packet) && self.other_receiver(*packet).is_none()
            }
            Some(Answer::Unreachable(..) | Answer::Unsent(_)) | None => false,
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

    /// The sender could send none of its packets.
    pub(super) fn is_unsent(&self) -> bool {
        let answers = &self.observation.answers;
        let unsent = |answer: &Answer| matches!(answer, Answer::Unsent(_));
        let sent = self.observation.sent as usize;
        sent > 0 && answers.len() == sent && answers.values().all(unsent)
    }

    /// In passive mode: packets that B has to answer arrived, and B sent nothing.
    pub(super) fn unanswered(&self, outcomes: &Outcomes) -> bool {
        let found = self.observation.found;
        let silent = found.is_some_and(|found| found.asked > 0 && found.back == 0);
        let is_here = self.route.to.place != Place::Elsewhere;
        silent && is_here && !self.observation.one_way && !outcomes.delivered.is_empty()
    }

    /// Who should receive a packet.
    fn receiver(&self, packet: u32) -> &Party {
        self.route.receiver(Some(packet))
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
            _ => self.arrived(packet) || self.has_left_receiver(packet),
        }
    }

    /// Whether B itself was seen sending a reply.
    fn has_left_receiver(&self, packet: u32) -> bool {
        let reply = self.walk(Way::Reply, packet);
        reply.is_some_and(|walk| walk.kind.is_answer() && self.is_from_receiver(walk))
    }

    /// Whether a packet was refused before it reached B: a firewall can send a reset with B's address.
    pub(super) fn is_refused_on_the_way(&self, packet: u32) -> bool {
        let trail = self.trail(Way::Request);
        let is_visible = self.receiver(packet).place.netns().is_some()
            && self.observation.missed == 0
            && trail.walks.contains_key(&packet)
            && trail
                .end(Some(packet))
                .is_some_and(|end| trail.lines[end].hidden.is_none());
        is_visible && !self.arrived(packet) && !self.has_left_receiver(packet)
    }

    /// Packets that B received and did not refuse, as it refused others: the kernel limits the rate of
    /// ICMP errors.
    pub(super) fn unrefused(&self, outcomes: &Outcomes) -> BTreeSet<u32> {
        let answers = &self.observation.answers;
        let refused = |packet: &u32| match answers.get(packet) {
            Some(Answer::Refused(_, refusal)) => refusal.is_limited(),
            _ => false,
        };
        let reason = |packet| self.drop_of(packet).and_then(|drop| drop.reason.as_deref());
        let refused = outcomes.replied.iter().filter(|packet| refused(packet));
        let known: Vec<_> = refused.map(|packet| reason(*packet)).collect();
        let replies = &self.trail(Way::Reply).walks;
        let is_unrefused = |packet: &u32| {
            // What drops it is what dropped a refused one.
            !answers.contains_key(packet)
                && !replies.contains_key(packet)
                && known.contains(&reason(*packet))
        };
        let delivered = outcomes.delivered.iter().copied();
        delivered.filter(is_unrefused).collect()
    }

    /// Why the kernel dropped a packet after it reached B.
    pub(super) fn drop_of(&self, packet: u32) -> Option<&DropReason> {
        let arrived = self.walk(Way::Request, packet).map(|walk| walk.ended);
        let drops = self.observation.drops.iter();
        let mut behind = drops.filter(|drop| drop.sequence == packet && Some(drop.at) >= arrived);
        let known = behind.find(|drop| drop.reason.reason.is_some());
        known.map(|drop| &drop.reason)
    }

    /// Whether a packet went to somebody else than B, whose answer is not B's: with B's address, as another
    /// cluster's pod or a sandbox that was left behind may have, or in B's place, as a proxy.
    pub(super) fn other_receiver(&self, packet: u32) -> Option<OtherReceiver> {
        if self.is_own_address() {
            return Some(OtherReceiver { row: None });
        }
        let walk = self.walk(Way::Request, packet)?;
        if self.arrived(packet) || self.has_left_receiver(packet) {
            return None;
        }
        // A refusal may be a firewall's, on the way.
        let answer = self.observation.answers.get(&packet);
        let is_refused = matches!(answer, Some(Answer::Refused(..)));
        let trail = self.trail(Way::Request);
        let to = self.receiver(packet);
        let ends = [self.route.from.place.netns(), to.place.netns()];
        let is_other = |line: &&usize| {
            let (id, direction) = trail.lines[**line].hook;
            let door = self.cluster.door(id);
            door.is_some_and(|door| door.side == Side::Pod && direction == Direction::Ingress)
                && !ends.contains(&id.netns.known())
        };
        let row = walk.first.iter().rev().find(is_other).copied();
        match to.place {
            Place::Pod { .. } | Place::Node { .. } => (row.is_some()
                || !is_refused && self.is_end_visible(packet))
            .then_some(OtherReceiver { row }),
            Place::Elsewhere if remote(self.cluster, to).is_some() => {
                row.map(|_| OtherReceiver { row })
            }
            // A service, whose pod is not known, or the world.
            Place::Elsewhere => None,
        }
    }

    /// The node where a proxy answered a SYN in B's place: the SYN did not leave the node, and nobody else was
    /// seen receiving it.
    pub(super) fn proxy(&self, packet: u32) -> Option<&str> {
        let answer = self.observation.answers.get(&packet);
        let is_connected = self.is_tcp && matches!(answer, Some(Answer::Reply(_)));
        if !is_connected || self.is_own_address() {
            return None;
        }
        self.other_receiver(packet).filter(|it| it.row.is_none())?;
        let line = self.walk(Way::Request, packet)?.last?;
        let (id, direction) = self.trail(Way::Request).lines[line].hook;
        let door = self.cluster.door(id)?;
        let is_outward = matches!(door.role, Role::Uplink | Role::Overlay);
        let left = door.side == Side::Host || is_outward && direction == Direction::Egress;
        (!left).then(|| node_name(self.cluster, door.node))
    }

    /// Whether A, which is not B, has B's address: its packets do not leave it.
    pub(super) fn is_own_address(&self) -> bool {
        let Route {
            from, to, hairpin, ..
        } = self.route;
        // A node may have the addresses of services itself.
        let is_pod = to.place != Place::Elsewhere || remote(self.cluster, to).is_some();
        let is_other = is_pod && !hairpin && !self.route.is_to_itself();
        let Some(address) = to.address.filter(|_| is_other) else {
            return false;
        };
        let is_senders = |door: &Door| match from.place {
            Place::Pod { netns, .. } => door.id.netns.known() == Some(netns),
            Place::Node { node, .. } => door.node == node && door.side == Side::Node,
            Place::Elsewhere => false,
        };
        let mut doors = self.cluster.doors.iter();
        doors.any(|door| is_senders(door) && door.has(address))
    }

    /// Whether a packet that reaches B is seen at its last door.
    fn is_end_visible(&self, packet: u32) -> bool {
        let (trail, packet) = (self.trail(Way::Request), Some(packet));
        let end = trail
            .end(packet)
            .filter(|end| trail.required(*end, packet) && self.is_of_receiver(*end, packet));
        end.is_some_and(|end| trail.lines[end].hidden.is_none()) && self.observation.missed == 0
    }

    /// Whether a line of the request is at B.
    fn is_of_receiver(&self, line: usize, packet: Option<u32>) -> bool {
        let id = self.trail(Way::Request).lines[line].hook.0;
        match self.route.receiver(packet).place {
            Place::Pod { netns, .. } => id.netns.known() == Some(netns),
            Place::Node { node, .. } => self.cluster.door(id).is_some_and(|it| it.node == node),
            Place::Elsewhere => true,
        }
    }

    /// Seen at B's last door.
    fn arrived(&self, packet: u32) -> bool {
        let (place, trail) = (self.receiver(packet).place, self.trail(Way::Request));
        // At an end elsewhere nothing is seen but that the packet was sent on its way.
        let expects_nothing = self.observation.one_way || self.observation.found.is_some();
        let visible = place != Place::Elsewhere || expects_nothing;
        let walk = self.walk(Way::Request, packet);
        // Where no door of a node is known, the last that is known may be another node's.
        let is_end = match place {
            Place::Node { .. } => {
                let end = trail.end(Some(packet));
                end.is_some_and(|end| self.is_of_receiver(end, Some(packet)))
            }
            Place::Pod { .. } | Place::Elsewhere => true,
        };
        let visible = visible && is_end;
        walk.is_some_and(|walk| visible && ended(trail, walk) || entered(place, trail, walk))
    }

    /// Whether a reply left B: routers on the way send errors, too.
    fn is_from_receiver(&self, walk: &Walk) -> bool {
        let lines = &self.trail(Way::Reply).lines;
        let mut hooks = walk.first.iter().map(|line| lines[*line].hook);
        match self.receiver(walk.packet).place {
            // A may be the same pod.
            Place::Pod { netns, .. } => hooks.any(|(id, direction)| match direction {
                Direction::Egress => id.netns.known() == Some(netns),
                Direction::Ingress => {
                    let peer = self.cluster.door(id).and_then(|door| door.peer.as_ref());
                    peer.is_some_and(|peer| peer.id.netns.known() == Some(netns))
                }
            }),
            Place::Node { node, .. } => {
                hooks.any(|(id, _)| self.cluster.door(id).is_some_and(|door| door.node == node))
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
    let end = trail.end(Some(walk.packet));
    let end = end.filter(|end| trail.requires(*end, walk));
    end.is_some_and(|end| trail.satisfied(end, walk))
}
