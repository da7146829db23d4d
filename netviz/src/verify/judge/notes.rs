//! What else there is to say.

use std::{collections::BTreeMap, iter};

use super::{names::label, outcomes::Evidence, trail::Trail};
use crate::{
    model::{Cluster, Direction, Role},
    verify::{
        expect::doors::CILIUM_HOST,
        observation::{Answer, Observation, Way},
        route::{Expectation, Place, Route},
        verdict::Loss,
    },
};

pub(super) fn notes(
    evidence: &Evidence<'_>,
    expectation: Option<&Expectation>,
    losses: &[Loss],
) -> Vec<String> {
    let said = expectation.map(|e| e.notes.clone()).unwrap_or_default();
    let observation = evidence.observation;
    let mut notes = said;
    notes.extend(refused(observation, &evidence.route.to.name));
    for course in [evidence.request, evidence.reply] {
        notes.extend(repeated(evidence.cluster, course, expectation, losses));
    }
    notes.extend(super::reordering::notes(evidence));
    notes.extend(not_crossed(evidence));
    notes.extend(counted_otherwise(evidence));
    notes.extend(numbers(observation));
    notes.extend(observation.notes.iter().cloned());
    notes
}

/// B is there, and says no: delivered all the same.
fn refused(observation: &Observation, to: &str) -> Vec<String> {
    let mut words = BTreeMap::<&str, u32>::new();
    for answer in observation.answers.values() {
        if let Answer::Refused(_, said) = answer {
            *words.entry(said).or_default() += 1;
        }
    }
    let say = |(said, packets): (&str, u32)| {
        format!(
            "{to} is there and refused {packets} of {}: {said}",
            observation.sent
        )
    };
    words.into_iter().map(say).collect()
}

/// Packets that were seen at one door more than once, but for those that went round in a circle.
fn repeated(
    cluster: &Cluster,
    course: &Trail,
    expectation: Option<&Expectation>,
    losses: &[Loss],
) -> Vec<String> {
    let round = |line: usize| {
        let mut losses = losses.iter().filter(|loss| loss.way == course.way);
        losses.any(|loss| loss.circle.contains(&line))
    };
    let encrypted = expectation.is_some_and(|e| {
        e.steps(course.way)
            .iter()
            .any(|step| step.unreadable.is_some())
    });
    let why = if encrypted {
        "as encryption does, which puts packets in again"
    } else {
        "a copy, or a packet that was put in again"
    };
    let again = course.lines.iter().enumerate();
    let again = again.filter(|(index, line)| line.repeated > 0 && !round(*index));
    let say = |(_, line): (usize, &super::trail::Line)| {
        let door = label(cluster, line.hook);
        format!(
            "{door} was crossed {} times again by the same packets: {why}",
            line.repeated
        )
    };
    again.map(say).collect()
}

/// Popular drawings have `cilium_host` on the way from pod to pod.
fn not_crossed(evidence: &Evidence<'_>) -> Option<String> {
    let Route { from, to } = evidence.route;
    let (
        Place::Pod {
            node: a,
            netns: here,
        },
        Place::Pod {
            node: b,
            netns: there,
        },
    ) = (&from.place, &to.place)
    else {
        return None;
    };
    let doors = evidence.cluster.doors.iter();
    let mut devices =
        doors.filter(|door| door.role == Role::CiliumHost && (door.node == *a || door.node == *b));
    let crossed = evidence.request.walks.len() + evidence.reply.walks.len() > 0;
    let any = host_lines(evidence).next().is_some();
    (here != there && crossed && devices.next().is_some() && !any)
        .then(|| format!("{CILIUM_HOST} was not crossed"))
}

/// Lines at `cilium_host` and `cilium_net` that were crossed.
fn host_lines<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = &'a super::trail::Line> {
    let lines = evidence.request.lines.iter().chain(&evidence.reply.lines);
    lines.filter(|line| {
        let door = evidence.cluster.door(line.hook.0);
        line.seen > 0 && door.is_some_and(|door| door.role == Role::CiliumHost)
    })
}

/// `cil_from_host` redirects before the transmission, which is what the kernel counts.
fn counted_otherwise(evidence: &Evidence<'_>) -> Option<String> {
    let mut lines = host_lines(evidence);
    let out = lines.any(|line| {
        let door = evidence.cluster.door(line.hook.0);
        line.hook.1 == Direction::Egress && door.is_some_and(|door| door.interface == CILIUM_HOST)
    });
    out.then(|| {
        format!("`ip -s link` does not count what crosses {CILIUM_HOST} ▲: cil_from_host redirects it before it is sent")
    })
}

fn numbers(observation: &Observation) -> Vec<String> {
    let beyond = |crossing: &&crate::verify::observation::Crossing| {
        crossing.sequence >= observation.packets(crossing.way)
    };
    let foreign = observation.crossings.iter().filter(beyond).count();
    let foreign = (foreign > 0)
        .then(|| format!("{foreign} crossings of packets that were not sent are left out"));
    let missed = observation.missed;
    let missed = (missed > 0).then(|| {
        format!(
            "{missed} crossings were seen and could not be kept: the numbers are too low by so many"
        )
    });
    iter::empty().chain(foreign).chain(missed).collect()
}

/// Both ways, in order.
pub(super) const WAYS: [Way; 2] = [Way::Request, Way::Reply];
