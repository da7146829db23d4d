//! What else to know about a run.

use std::collections::BTreeMap;

use super::{
    outcomes::Evidence,
    reordering,
    trail::{Line, Trail, count},
};
use crate::{
    model::{Direction, Role},
    verify::{
        expect::doors::CILIUM_HOST,
        facts::Note,
        observation::{Answer, Crossing, Observation},
        route::{Expectation, Place, Route},
        verdict::Loss,
    },
};

pub(super) fn notes(
    evidence: &Evidence<'_>,
    expectation: Option<&Expectation>,
    losses: &[Loss],
) -> Vec<Note> {
    let mut notes = expectation.map(|e| e.notes.clone()).unwrap_or_default();
    let observation = evidence.observation;
    let trails = [evidence.request, evidence.reply];
    notes.extend(refused(observation));
    for trail in trails {
        notes.extend(repeated(trail, expectation, losses));
    }
    notes.extend(
        trails
            .iter()
            .filter_map(|trail| reordering::note(evidence, trail)),
    );
    notes.extend(host_not_crossed(evidence).then_some(Note::HostNotCrossed));
    notes.extend(leaves_by_host(evidence).then_some(Note::NotCountedByLink));
    notes.extend(not_sent(observation));
    let crossings = observation.missed;
    notes.extend((crossings > 0).then_some(Note::Missed { crossings }));
    notes.extend(observation.notes.iter().cloned());
    notes
}

fn refused(observation: &Observation) -> Vec<Note> {
    let mut refusals = BTreeMap::<&str, u32>::new();
    for answer in observation.answers.values() {
        if let Answer::Refused(_, refusal) = answer {
            *refusals.entry(refusal).or_default() += 1;
        }
    }
    let refusals = refusals.into_iter().map(|(answer, packets)| Note::Refused {
        packets,
        answer: answer.to_owned(),
    });
    refusals.collect()
}

/// Doors that packets crossed more than once, without those of a circle.
fn repeated(trail: &Trail, expectation: Option<&Expectation>, losses: &[Loss]) -> Vec<Note> {
    let in_circle = |row: usize| {
        let mut losses = losses.iter().filter(|loss| loss.way == trail.way);
        losses.any(|loss| loss.circle.contains(&row))
    };
    let steps = expectation.map_or(&[][..], |e| e.steps(trail.way));
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

/// Popular drawings have `cilium_host` on the path between pods.
fn host_not_crossed(evidence: &Evidence<'_>) -> bool {
    let Route { from, to } = evidence.route;
    let (Place::Pod { .. }, Place::Pod { .. }) = (&from.place, &to.place) else {
        return false;
    };
    let nodes = [from.place.node(), to.place.node()];
    let mut doors = evidence.cluster.doors.iter();
    let exists =
        doors.any(|door| door.role == Role::CiliumHost && nodes.contains(&Some(door.node)));
    let any = evidence.request.walks.len() + evidence.reply.walks.len() > 0;
    let crossed = host_lines(evidence).next().is_some();
    exists && any && !crossed && !evidence.route.is_to_itself()
}

/// Lines at `cilium_host` and `cilium_net` that were crossed.
fn host_lines<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = &'a Line> {
    let lines = evidence.request.lines.iter().chain(&evidence.reply.lines);
    lines.filter(|line| {
        let door = evidence.cluster.door(line.hook.0);
        line.seen > 0 && door.is_some_and(|door| door.role == Role::CiliumHost)
    })
}

/// `cil_from_host` redirects before the transmission, which is what the kernel counts.
fn leaves_by_host(evidence: &Evidence<'_>) -> bool {
    host_lines(evidence).any(|line| {
        let door = evidence.cluster.door(line.hook.0);
        line.hook.1 == Direction::Egress && door.is_some_and(|door| door.interface == CILIUM_HOST)
    })
}

fn not_sent(observation: &Observation) -> Option<Note> {
    let beyond = |crossing: &&Crossing| crossing.sequence >= observation.packets(crossing.way);
    let crossings = count(observation.crossings.iter().filter(beyond).count());
    (crossings > 0).then_some(Note::NotSent { crossings })
}
