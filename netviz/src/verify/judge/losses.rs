//! Where packets ended.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    drops::Drops,
    names::{label, labels},
    outcomes::{Evidence, Outcomes},
    trail::{Trail, Walk},
};
use crate::verify::{
    expect::unassigned,
    observation::{Answer, Way},
    route::Place,
    verdict::Loss,
};

/// So often a packet is seen at one door only if it goes round: copies and what encryption puts in
/// again are fewer.
const ROUNDS: u32 = 5;

/// A way, the last line, and the circle.
type LossPoint = (Way, Option<usize>, Vec<usize>);

/// What ended in one spot.
#[derive(Default)]
struct Ended {
    packets: u32,
    words: BTreeSet<String>,
    drops: Drops,
}

/// Packets that ended at different places, each with its own loss; the way there first.
pub(super) fn losses(evidence: &Evidence<'_>, outcomes: &Outcomes) -> Vec<Loss> {
    let spots = spots(evidence, outcomes);
    let loss = |(spot, ended): (LossPoint, Ended)| loss(evidence, outcomes, spot, ended);
    spots.into_iter().map(loss).collect()
}

fn spots(evidence: &Evidence<'_>, outcomes: &Outcomes) -> BTreeMap<LossPoint, Ended> {
    if evidence.observation.found.is_some() {
        return found(evidence, outcomes);
    }
    let mut spots = BTreeMap::<LossPoint, Ended>::new();
    let known = evidence.packets();
    for packet in &known {
        let course = if !outcomes.delivered.contains(packet) {
            evidence.request
        } else if evidence.observation.one_way || outcomes.replied.contains(packet) {
            continue;
        } else {
            evidence.reply
        };
        let (after, circle) = course.walks.get(packet).map_or((None, Vec::new()), end);
        let ended = spots.entry((course.way, after, circle)).or_default();
        ended.packets = ended.packets.saturating_add(1);
        ended
            .words
            .extend(words(evidence.observation.answers.get(packet)));
        ended.drops.add(evidence, *packet, course.way);
    }
    let known = u32::try_from(known.len()).unwrap_or(u32::MAX);
    let unseen = evidence.observation.sent.saturating_sub(known);
    if unseen > 0 {
        let ended = spots.entry((Way::Request, None, Vec::new())).or_default();
        ended.packets = ended.packets.saturating_add(unseen);
    }
    spots
}

/// Of packets that were there anyway, each way for itself.
fn found(evidence: &Evidence<'_>, outcomes: &Outcomes) -> BTreeMap<LossPoint, Ended> {
    let observation = evidence.observation;
    let mut spots = BTreeMap::<LossPoint, Ended>::new();
    let mut ended = |spot, packets: u32| {
        let ended = spots.entry(spot).or_default();
        ended.packets = ended.packets.saturating_add(packets);
    };
    let mut ways = vec![(evidence.request, &outcomes.delivered)];
    if !observation.one_way {
        ways.push((evidence.reply, &outcomes.replied));
    }
    for (course, through) in ways {
        let walks = course.walks.iter();
        for (_, walk) in walks.filter(|(packet, _)| !through.contains(packet)) {
            let (after, circle) = end(walk);
            ended((course.way, after, circle), 1);
        }
        let all = observation.packets(course.way);
        let unseen = all.saturating_sub(count(course.walks.len()));
        if unseen > 0 {
            ended((course.way, None, Vec::new()), unseen);
        }
    }
    if evidence.unanswered(outcomes) {
        ended(
            (Way::Reply, None, Vec::new()),
            count(outcomes.delivered.len()),
        );
    }
    spots
}

/// The last line that a packet came to (a copy that lags behind does not count), and its circle.
fn end(walk: &Walk) -> (Option<usize>, Vec<usize>) {
    let most = walk.times.values().copied().max().unwrap_or_default();
    if most < ROUNDS {
        return (walk.first.last().copied(), Vec::new());
    }
    let rounds = walk.times.iter().filter(|(_, times)| **times > most / 2);
    (walk.last, rounds.map(|(line, _)| *line).collect())
}

fn words(answer: Option<&Answer>) -> Option<String> {
    match answer? {
        Answer::Unreachable(_, words) | Answer::Unsent(words) => Some(words.clone()),
        Answer::Reply(_) | Answer::Refused(..) => None,
    }
}

fn loss(evidence: &Evidence<'_>, outcomes: &Outcomes, spot: LossPoint, ended: Ended) -> Loss {
    let (way, after, circle) = spot;
    let (course, of) = match way {
        Way::Request => (evidence.request, evidence.observation.sent),
        Way::Reply => {
            let found = evidence.observation.found;
            let back = found.map(|found| found.back).filter(|back| *back > 0);
            let of = back.unwrap_or_else(|| count(outcomes.delivered.len()));
            (evidence.reply, of)
        }
    };
    let before = course.next(after);
    let mut causes: Vec<_> = ended.drops.sentences().collect();
    causes.extend(ended.words);
    causes.extend(cause(evidence, course, after, before, &circle));
    Loss {
        way,
        packets: ended.packets,
        of,
        after,
        before,
        circle,
        drop_reason: ended.drops.most(),
        causes,
    }
}

/// What the place itself says.
fn cause(
    evidence: &Evidence<'_>,
    course: &Trail,
    after: Option<usize>,
    before: Option<usize>,
    circle: &[usize],
) -> Option<String> {
    let to = &evidence.route.to;
    if !circle.is_empty() {
        let doors = labels(evidence.cluster, course, circle);
        return Some(format!(
            "it went round in a circle until its TTL ended: {doors}"
        ));
    }
    if course.way == Way::Reply && after.is_none() {
        let hidden = before.is_some_and(|line| course.lines[line].hidden.is_some());
        let last = evidence.request.end().filter(|_| !hidden)?;
        let door = label(evidence.cluster, evidence.request.lines[last].hook);
        return Some(format!(
            "it reached {door}, and nothing came back out of {}: nobody listens there, or the process is down",
            to.name
        ));
    }
    let last = after.filter(|_| before.is_none())?;
    let door = label(evidence.cluster, course.lines[last].hook);
    match (course.way, &to.place) {
        (Way::Request, Place::Elsewhere) if unassigned::nobody(evidence.cluster, to).is_some() => {
            Some(format!("no interface has the address of {}", to.name))
        }
        (Way::Request, Place::Elsewhere) => Some(format!(
            "it left by {door}, and nothing came back: what is beyond cannot be seen from here"
        )),
        (Way::Request, _) => None,
        (Way::Reply, _) => Some(format!(
            "it came back by {door}, and the sender got nothing in time: something in {} ended it, or it was too late",
            evidence.route.from.name
        )),
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
