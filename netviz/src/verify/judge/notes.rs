//! What else to know about a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use super::{
    outcomes::{Evidence, Outcomes},
    trail::{Line, Trail, count},
};
use crate::{
    model::{CILIUM_HOST, Cluster, Direction, Role},
    verify::{
        Answer, Crossing, DropReason, Expectation, Hook, Loss, Note, Observation, Place, Refusal,
        ReplyKind, expect::doors::node_name,
    },
};

pub(super) fn notes(
    evidence: &Evidence<'_>,
    outcomes: &Outcomes,
    expectation: Option<&Expectation>,
    losses: &[Loss],
) -> Vec<Note> {
    let mut notes = expectation.map(|it| it.notes.clone()).unwrap_or_default();
    let (observation, trails) = (evidence.observation, &evidence.trails);
    notes.extend(refused(evidence, outcomes));
    notes.extend(redirects(evidence));
    for trail in trails {
        notes.extend(repeated(trail, expectation, losses));
    }
    let late = trails.iter().filter_map(|trail| reordered(evidence, trail));
    notes.extend(late);
    notes.extend(cilium_host(evidence));
    notes.extend(not_sent(observation));
    let crossings = observation.missed;
    notes.extend((crossings > 0).then_some(Note::Missed { crossings }));
    notes.extend(observation.notes.iter().cloned());
    notes
}

fn refused(evidence: &Evidence<'_>, outcomes: &Outcomes) -> Vec<Note> {
    let mut refusals = BTreeMap::<Refusal, (u32, bool)>::new();
    for packet in &outcomes.replied {
        if let Some(Answer::Refused(_, refusal)) = evidence.observation.answers.get(packet) {
            let (packets, by_netfilter) = refusals.entry(*refusal).or_default();
            *packets += 1;
            *by_netfilter |= evidence
                .drop_of(*packet)
                .is_some_and(DropReason::is_netfilter);
        }
    }
    let mut limited = count(evidence.unrefused(outcomes).len());
    let refusals = refusals
        .into_iter()
        .map(|(refusal, (packets, by_netfilter))| Note::Refused {
            packets,
            answer: refusal.to_string(),
            limited: match refusal.is_limited() {
                true => mem::take(&mut limited),
                false => 0,
            },
            by_netfilter,
        });
    refusals.collect()
}

fn redirects(evidence: &Evidence<'_>) -> Option<Note> {
    let crossings = evidence.observation.crossings.iter();
    let redirects = crossings.filter(|crossing| crossing.kind == ReplyKind::Redirect);
    let packets: BTreeSet<_> = redirects
        .clone()
        .map(|crossing| crossing.sequence)
        .collect();
    let first = redirects.min_by_key(|crossing| crossing.at)?;
    let door = evidence.cluster.door(first.door)?;
    Some(Note::Redirects {
        packets: count(packets.len()),
        node: node_name(evidence.cluster, door.node).into(),
    })
}

/// Doors that packets crossed more than once, without those of a circle.
fn repeated(trail: &Trail, expectation: Option<&Expectation>, losses: &[Loss]) -> Vec<Note> {
    let in_circle = |row: usize| {
        let mut losses = losses.iter().filter(|loss| loss.way == trail.way);
        losses.any(|loss| loss.circle.contains(&row))
    };
    let steps = expectation.map_or(&[][..], |it| it.steps(trail.way));
    let encrypted = steps.iter().any(|step| step.encryption.is_some());
    let rows = trail.lines.iter().enumerate();
    let rows = rows.filter(|(row, line)| line.repeated > 0 && !in_circle(*row));
    let notes = rows.map(|(row, line)| Note::Repeated {
        way: trail.way,
        row,
        times: line.repeated,
        encrypted,
    });
    notes.collect()
}

/// Popular drawings have `cilium_host` on the path between pods. Where it is, `cil_from_host` redirects
/// before the transmission, which is what the kernel counts.
fn cilium_host(evidence: &Evidence<'_>) -> Option<Note> {
    let cluster = evidence.cluster;
    let lines = evidence.trails.iter().flat_map(|trail| &trail.lines);
    let mut crossed = lines
        .filter(|line| line.seen > 0 && is_host(cluster, line))
        .peekable();
    if crossed.peek().is_some() {
        let leaves = |line: &Line| {
            let door = cluster.door(line.hook.0);
            line.hook.1 == Direction::Egress
                && door.is_some_and(|door| door.interface == CILIUM_HOST)
        };
        return crossed.any(leaves).then_some(Note::NotCountedByLink);
    }
    let route = evidence.route;
    let (Place::Pod { node: a, .. }, Place::Pod { node: b, .. }) =
        (route.from.place, route.to.place)
    else {
        return None;
    };
    let mut doors = cluster.doors.iter();
    let exists = doors.any(|door| door.role == Role::CiliumHost && [a, b].contains(&door.node));
    let any = evidence.trails.iter().any(|trail| !trail.walks.is_empty());
    (exists && any && !route.is_to_itself()).then_some(Note::HostNotCrossed)
}

/// Whether a line is at `cilium_host` or `cilium_net`.
fn is_host(cluster: &Cluster, line: &Line) -> bool {
    let door = cluster.door(line.hook.0);
    door.is_some_and(|door| door.role == Role::CiliumHost)
}

fn not_sent(observation: &Observation) -> Option<Note> {
    let beyond = |crossing: &&Crossing| crossing.sequence >= observation.packets(crossing.way);
    let crossings = count(observation.crossings.iter().filter(beyond).count());
    (crossings > 0).then_some(Note::NotSent { crossings })
}

/// The first door of a way where packets arrived in another order.
fn reordered(evidence: &Evidence<'_>, trail: &Trail) -> Option<Note> {
    let mut lines = trail.lines.iter().enumerate();
    lines.find_map(|(row, line)| {
        let times = times(evidence, trail, line.hook);
        let late = late(times.values().copied());
        (late > 0).then(|| Note::Reordered {
            way: trail.way,
            row,
            packets: count(late),
            of: count(times.len()),
        })
    })
}

/// When each packet first crossed a hook, in the order in which they were sent.
fn times(evidence: &Evidence<'_>, trail: &Trail, hook: Hook) -> BTreeMap<u32, Duration> {
    let mut times = BTreeMap::new();
    let crossings = evidence.observation.crossings.iter().filter(|crossing| {
        crossing.way == trail.way
            && crossing.hook() == hook
            && crossing.sequence < evidence.observation.sent
    });
    for crossing in crossings {
        let first = times.entry(crossing.sequence).or_insert(crossing.at);
        *first = crossing.at.min(*first);
    }
    times
}

/// How many arrived after one of their successors.
fn late(times: impl DoubleEndedIterator<Item = Duration>) -> usize {
    let mut earliest = Duration::MAX;
    let is_late = |time: &Duration| {
        let late = *time > earliest;
        earliest = earliest.min(*time);
        late
    };
    times.rev().filter(is_late).count()
}
