//! Where packets ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    causes,
    drops::Drops,
    outcomes::{Evidence, Outcomes},
    trail::{Trail, Walk, count},
};
use crate::verify::{
    expect::unassigned,
    facts::Cause,
    observation::{Answer, Way},
    route::Place,
    verdict::Loss,
};

/// A packet that crosses one door this often goes round in a circle: copies and what encryption
/// injects again are fewer.
const ROUNDS: u32 = 5;

/// The way, the last line, and the circle.
type LossPoint = (Way, Option<usize>, Vec<usize>);

/// Packets that ended at one point.
#[derive(Default)]
struct Ended {
    packets: u32,
    errors: BTreeSet<(String, Option<IpAddr>)>,
    drops: Drops,
}

/// A loss for each point where packets ended; requests first.
pub(super) fn losses(evidence: &Evidence<'_>, outcomes: &Outcomes) -> Vec<Loss> {
    let points = match evidence.observation.found {
        Some(_) => found(evidence, outcomes),
        None => sent(evidence, outcomes),
    };
    let points = points.into_iter();
    points
        .map(|(point, ended)| loss(evidence, outcomes, point, ended))
        .collect()
}

fn sent(evidence: &Evidence<'_>, outcomes: &Outcomes) -> BTreeMap<LossPoint, Ended> {
    let mut points = BTreeMap::<LossPoint, Ended>::new();
    let known = evidence.packets();
    for packet in &known {
        let trail = if !outcomes.delivered.contains(packet) {
            evidence.request
        } else if evidence.observation.one_way || outcomes.replied.contains(packet) {
            continue;
        } else {
            evidence.reply
        };
        let (after, circle) = trail.walks.get(packet).map_or((None, Vec::new()), end);
        let ended = points.entry((trail.way, after, circle)).or_default();
        ended.packets = ended.packets.saturating_add(1);
        let answer = evidence.observation.answers.get(packet);
        ended.errors.extend(answer.and_then(error));
        ended.drops.add(evidence, *packet, trail.way);
    }
    let unseen = evidence.observation.sent.saturating_sub(count(known.len()));
    if unseen > 0 {
        let ended = points.entry((Way::Request, None, Vec::new())).or_default();
        ended.packets = ended.packets.saturating_add(unseen);
    }
    points
}

/// In passive mode, each way for itself.
fn found(evidence: &Evidence<'_>, outcomes: &Outcomes) -> BTreeMap<LossPoint, Ended> {
    let mut points = BTreeMap::<LossPoint, Ended>::new();
    let mut ended = |point, packets: u32| {
        let ended = points.entry(point).or_default();
        ended.packets = ended.packets.saturating_add(packets);
    };
    for (trail, through) in evidence.ways(outcomes) {
        let walks = trail.walks.iter();
        for (_, walk) in walks.filter(|(packet, _)| !through.contains(packet)) {
            let (after, circle) = end(walk);
            ended((trail.way, after, circle), 1);
        }
        let all = evidence.observation.packets(trail.way);
        let unseen = all.saturating_sub(count(trail.walks.len()));
        if unseen > 0 {
            ended((trail.way, None, Vec::new()), unseen);
        }
    }
    if evidence.unanswered(outcomes) {
        let packets = count(outcomes.delivered.len());
        ended((Way::Reply, None, Vec::new()), packets);
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

fn error(answer: &Answer) -> Option<(String, Option<IpAddr>)> {
    match answer {
        Answer::Unreachable(_, error, from) => Some((error.clone(), *from)),
        Answer::Unsent(error) => Some((error.clone(), None)),
        Answer::Reply(_) | Answer::Refused(..) => None,
    }
}

fn loss(evidence: &Evidence<'_>, outcomes: &Outcomes, point: LossPoint, ended: Ended) -> Loss {
    let (way, after, circle) = point;
    let trail = evidence.trail(way);
    let of = match way {
        Way::Request => evidence.observation.sent,
        Way::Reply => {
            let found = evidence.observation.found;
            let back = found.map(|found| found.back).filter(|back| *back > 0);
            back.unwrap_or_else(|| count(outcomes.delivered.len()))
        }
    };
    let before = trail.next(after);
    let drops = ended.drops.sorted();
    let drop_reason = drops.first().cloned();
    let errors = ended.errors.into_iter();
    let mut causes: Vec<_> = drops
        .into_iter()
        .map(|drop| Cause::KernelDrop { drop })
        .collect();
    causes.extend(errors.map(|(error, from)| Cause::Error { error, from }));
    if circle.is_empty() {
        causes.extend(place(evidence, trail, after, before));
    } else {
        causes.push(Cause::Circle);
    }
    causes.extend(causes::at(evidence, trail, after, before));
    Loss {
        way,
        packets: ended.packets,
        of,
        after,
        before,
        circle,
        drop_reason,
        causes,
    }
}

/// What the place itself means.
fn place(
    evidence: &Evidence<'_>,
    trail: &Trail,
    after: Option<usize>,
    before: Option<usize>,
) -> Option<Cause> {
    let to = &evidence.route.to;
    if trail.way == Way::Reply && after.is_none() {
        let hidden = before.is_some_and(|line| trail.lines[line].hidden.is_some());
        let row = evidence.request.end().filter(|_| !hidden)?;
        return Some(Cause::NoReply { row });
    }
    let row = after.filter(|_| before.is_none())?;
    match (trail.way, &to.place) {
        (Way::Request, Place::Elsewhere) if unassigned(evidence.cluster, to).is_some() => {
            Some(Cause::NoSuchAddress)
        }
        (Way::Request, Place::Elsewhere) => Some(Cause::LeftSight { row }),
        (Way::Request, _) => None,
        (Way::Reply, _) => Some(Cause::ReplyNotReceived { row }),
    }
}
