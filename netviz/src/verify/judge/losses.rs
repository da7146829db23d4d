//! Where packets ended.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    causes::{self, SenderError},
    outcomes::{Evidence, OtherReceiver, Outcomes},
    point::{Dropped, Point},
    trail::{Trail, Walk, count},
};
use crate::verify::{Answer, Cause, DropReason, Loss, Refusal, Way};

/// A packet that crosses one door this often goes round in a circle: copies and what encryption
/// injects again are fewer.
const ROUNDS: u32 = 5;

/// The way, the last line and the next one, and the circle.
type LossPoint = (Way, Option<usize>, Option<usize>, Vec<usize>);

/// Packets that ended at one point.
#[derive(Default)]
struct Ended {
    packets: u32,
    /// One of them; `None` if nothing is known of them.
    packet: Option<u32>,
    /// The first and the last of them, if they have numbers of their own.
    ends: Option<(u32, u32)>,
    errors: BTreeSet<SenderError>,
    /// Sent by something on the way, with B's address.
    refusals: BTreeSet<Refusal>,
    drops: Drops,
    /// Who received them in B's place, and how many of them were answered.
    other: Option<OtherReceiver>,
    answered: u32,
}

impl Ended {
    /// Extends the ends to these.
    fn span(&mut self, ends: Option<(u32, u32)>) {
        let known = self.ends.into_iter().chain(ends);
        self.ends = known.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    }
}

/// What ended where.
#[derive(Default)]
struct Points(BTreeMap<LossPoint, Ended>);

impl Points {
    /// Adds a packet that is known by its number.
    fn add_sent(&mut self, trail: &Trail, packet: u32) -> &mut Ended {
        let ended = self.add(trail, packet);
        ended.span(Some((packet, packet)));
        ended
    }

    /// Adds packets that no door saw.
    fn add_unseen(&mut self, trail: &Trail, packets: u32, ends: Option<(u32, u32)>) {
        if packets > 0 {
            let point = (trail.way, None, trail.next(None, None), Vec::new());
            let ended = self.0.entry(point).or_default();
            ended.packets = ended.packets.saturating_add(packets);
            ended.span(ends);
        }
    }

    /// Adds a packet that ended where its walk ends.
    fn add(&mut self, trail: &Trail, packet: u32) -> &mut Ended {
        let walk = trail.walks.get(&packet);
        let (after, circle) = walk.map_or((None, Vec::new()), end);
        let before = trail.next(after, Some(packet));
        let point = (trail.way, after, before, circle);
        let ended = self.0.entry(point).or_default();
        ended.packets = ended.packets.saturating_add(1);
        ended.packet = ended.packet.or(Some(packet));
        ended
    }
}

/// A loss for each point where packets ended; requests first.
pub(super) fn losses(evidence: &Evidence<'_>, outcomes: &Outcomes) -> Vec<Loss> {
    let points = match evidence.observation.found {
        Some(_) => found(evidence, outcomes),
        None => sent(evidence, outcomes),
    };
    let losses = points.0.into_iter();
    losses
        .map(|(point, ended)| loss(evidence, outcomes, point, ended))
        .collect()
}

fn sent(evidence: &Evidence<'_>, outcomes: &Outcomes) -> Points {
    let mut points = Points::default();
    let observation = evidence.observation;
    let known = evidence.packets();
    let unrefused = evidence.unrefused(outcomes);
    for packet in &known {
        let way = if evidence.proxy(*packet).is_some() {
            continue;
        } else if !outcomes.delivered.contains(packet) {
            Way::Request
        } else if observation.one_way
            || outcomes.replied.contains(packet)
            || unrefused.contains(packet)
        {
            continue;
        } else {
            Way::Reply
        };
        let ended = points.add_sent(evidence.trail(way), *packet);
        ended.errors.extend(match observation.answers.get(packet) {
            Some(Answer::Unreachable(_, error, from)) => Some((error.clone(), *from)),
            Some(Answer::Unsent(error)) => Some((error.clone(), None)),
            Some(Answer::Reply(_) | Answer::Refused(..)) | None => None,
        });
        ended
            .refusals
            .extend(match observation.answers.get(packet) {
                Some(Answer::Refused(_, refusal)) => Some(*refusal),
                _ => None,
            });
        ended.drops.add(evidence, *packet, way);
        let answered = matches!(
            observation.answers.get(packet),
            Some(Answer::Reply(_) | Answer::Refused(..))
        );
        if way == Way::Request
            && let Some(other) = evidence.other_receiver(*packet)
        {
            ended.answered = ended.answered.saturating_add(u32::from(answered));
            ended.other = ended.other.or(Some(other));
        }
    }
    let mut unseen = (0..observation.sent).filter(|packet| !known.contains(packet));
    if let Some(first) = unseen.next() {
        let last = unseen.next_back().unwrap_or(first);
        let packets = observation.sent.saturating_sub(count(known.len()));
        points.add_unseen(evidence.trail(Way::Request), packets, Some((first, last)));
    }
    points
}

/// In passive mode, each way for itself.
fn found(evidence: &Evidence<'_>, outcomes: &Outcomes) -> Points {
    let mut points = Points::default();
    for (trail, through) in evidence.ways(outcomes) {
        let packets = trail.walks.keys();
        for packet in packets.filter(|packet| !through.contains(packet)) {
            points.add(trail, *packet);
        }
        let all = evidence.observation.packets(trail.way);
        let unseen = all.saturating_sub(count(trail.walks.len()));
        points.add_unseen(trail, unseen, None);
    }
    if evidence.unanswered(outcomes) {
        let trail = evidence.trail(Way::Reply);
        points.add_unseen(trail, count(outcomes.delivered.len()), None);
    }
    points
}

/// The last line that a packet reached (a delayed copy does not count), and its circle.
fn end(walk: &Walk) -> (Option<usize>, Vec<usize>) {
    let most = walk.times.values().copied().max().unwrap_or_default();
    if most < ROUNDS {
        return (walk.first.last().copied(), Vec::new());
    }
    let rounds = walk.times.iter().filter(|(_, times)| **times > most / 2);
    (walk.last, rounds.map(|(line, _)| *line).collect())
}

fn loss(evidence: &Evidence<'_>, outcomes: &Outcomes, point: LossPoint, ended: Ended) -> Loss {
    let (way, after, before, circle) = point;
    let trail = evidence.trail(way);
    let back = evidence.observation.found.map_or(0, |found| found.back);
    let of = match way {
        Way::Request => evidence.observation.sent,
        Way::Reply if back > 0 => back,
        Way::Reply => count(outcomes.delivered.len()),
    };
    let answered = ended.answered;
    let is_received = |row: Option<usize>| row.is_some() || answered == ended.packets;
    let other = ended.other.filter(|other| is_received(other.row));
    let drops = ended.drops.sorted();
    let drop_reason = drops.first().map(|(drop, _)| drop.clone());
    let refusal = ended.refusals.first();
    let causes = if way == Way::Request && evidence.is_own_address() {
        vec![Cause::OwnAddress]
    } else if let Some(OtherReceiver { row }) = other {
        // Packets that another one received did not end here: nothing else is a cause.
        vec![Cause::OtherReceiver { row, answered }]
    } else if circle.is_empty() {
        let point = Point {
            evidence,
            trail,
            after,
            before,
            packets: ended.packets,
            packet: ended.packet,
        };
        causes::causes(point, drops, ended.errors.first(), refusal)
    } else {
        vec![Cause::Circle]
    };
    Loss {
        way,
        packets: ended.packets,
        of,
        first: ended.ends.map(|(first, _)| first),
        last: ended.ends.map(|(_, last)| last),
        after,
        before,
        circle,
        drop_reason,
        causes,
    }
}

/// Reasons, and how many packets each.
#[derive(Default)]
struct Drops(BTreeMap<Dropped, u32>);

impl Drops {
    /// Adds the drop of a packet after it was last seen: an earlier one is of a copy, or of a packet
    /// that was delivered.
    fn add(&mut self, evidence: &Evidence<'_>, packet: u32, way: Way) {
        let last = |way| {
            let walk = evidence.trail(way).walks.get(&packet)?;
            Some(walk.ended)
        };
        let seen = last(way).or(last(Way::Request)).unwrap_or_default();
        let drops = evidence.observation.drops.iter();
        let behind = drops.filter(|drop| drop.sequence == packet && drop.at >= seen);
        if let Some(first) = behind.min_by_key(|drop| drop.at) {
            let dropped = (first.reason.clone(), first.door);
            *self.0.entry(dropped).or_default() += 1;
        }
    }

    /// All reasons, the most frequent first.
    fn sorted(&self) -> Vec<Dropped> {
        let drops = self.0.iter();
        let counted = |((reason, door), packets): (&Dropped, &u32)| {
            let (reason, packets) = (reason.clone(), *packets);
            (DropReason { packets, ..reason }, *door)
        };
        let mut all: Vec<_> = drops.map(counted).collect();
        all.sort_by_key(|(reason, _)| Reverse(reason.packets));
        all
    }
}
