//! Compares what was expected with what was observed. Pure: the same data give the same verdict,
//! whatever the order of the crossings.

mod backends;
mod causes;
mod detours;
mod lookup;
mod losses;
mod notes;
mod outcomes;
mod point;
mod rows;
mod suspects;
mod trail;

use std::{collections::BTreeMap, time::Duration};

use super::{
    Answer, Cause, Doubt, Expectation, HiddenReason, Kind, Loss, Observation, Place, Probes,
    Protocol, Route, SCHEMA, Verdict, Way,
    expect::{not_expected, remote, unassigned},
};
use crate::model::Cluster;
pub use backends::{BackendPaths, distribute};
use detours::Findings;
use outcomes::{Evidence, Outcomes};
use trail::{Trail, Walk, count};

/// Compares what was observed with the expectation that fits it best.
pub fn judge(
    cluster: &Cluster,
    route: &Route,
    expectations: &[Expectation],
    observation: &Observation,
    probes: Probes,
) -> Verdict {
    let (expectation, trails) = best(expectations, observation);
    let evidence = Evidence {
        cluster,
        route,
        observation,
        trails,
        bytes: probes.bytes,
        is_tcp: probes.protocol == Some(Protocol::Tcp),
    };
    let outcomes = evidence.outcomes();
    let losses = losses::losses(&evidence, &outcomes);
    let findings = findings(&evidence, &outcomes, expectation, &losses);
    let round_trips = round_trips(observation, &outcomes);
    // The reply is shown even if no door saw any.
    let has_reply = !evidence.trail(Way::Reply).walks.is_empty()
        || losses.iter().any(|loss| loss.way == Way::Reply)
        || observation.found.is_none() && !observation.one_way;
    let rows = |way| {
        let lines = evidence.trail(way).lines.iter();
        lines
            .map(|line| rows::row(&evidence, &outcomes, way, line))
            .collect()
    };
    Verdict {
        schema: SCHEMA.into(),
        verdict: kind(&evidence, &losses, &findings),
        test: None,
        from: rows::hop(cluster, &route.from),
        to: rows::hop(cluster, &route.to),
        mode: expectation.map(|expectation| expectation.mode.clone()),
        mode_source: expectation.map(|expectation| expectation.source),
        probes,
        traffic: None,
        sent: observation.sent,
        delivered: count(outcomes.delivered.len()),
        replied: count(outcomes.replied.len()),
        round_trip_microseconds: rows::median(&round_trips),
        round_trip_worst_microseconds: rows::worst(&round_trips),
        request: rows(Way::Request),
        reply: if has_reply {
            rows(Way::Reply)
        } else {
            Vec::new()
        },
        notes: notes::notes(&evidence, &outcomes, expectation, &losses),
        losses,
        detours: findings.detours,
        unclear: findings.unclear,
    }
}

fn trails(expectation: Option<&Expectation>, observation: &Observation) -> [Trail; 2] {
    Way::BOTH.map(|way| Trail::new(way, expectation, observation))
}

/// The expectation with the fewest contradictions; of several, the first, which is the most likely.
fn best<'a>(
    expectations: &'a [Expectation],
    observation: &Observation,
) -> (Option<&'a Expectation>, [Trail; 2]) {
    let judged = if observation.one_way { 1 } else { 2 };
    let tried = expectations.iter().map(|expectation| {
        let trails = trails(Some(expectation), observation);
        let wrong: usize = trails[..judged].iter().map(contradictions).sum();
        let wrong = wrong.saturating_add(expectation.absent.len());
        (wrong, expectation, trails)
    });
    match tried.min_by_key(|(wrong, ..)| *wrong) {
        Some((_, expectation, trails)) => (Some(expectation), trails),
        None => (None, trails(None, observation)),
    }
}

/// Crossed doors that are not on the path, and doors of the path that were bypassed.
fn contradictions(trail: &Trail) -> usize {
    let of = |walk: &Walk| {
        let missing = |line: &usize| trail.requires(*line, walk) && !trail.satisfied(*line, walk);
        let foreign = walk.first.iter().filter(|line| trail.foreign(**line, walk));
        let mut lines = (0..trail.lines.len()).rev();
        let last = lines.find(|line| trail.requires(*line, walk) && trail.satisfied(*line, walk));
        let bypassed = (0..last.unwrap_or_default())
            .filter(|line| trail.lines[*line].hidden.is_none() && missing(line));
        foreign.count() + bypassed.count() + walk.wrapped_otherwise.len()
    };
    trail.walks.values().map(of).sum()
}

/// Packets that are too long are not hidden in fragments.
fn repeats_cause(doubt: &Doubt, losses: &[Loss]) -> bool {
    let fragments = matches!(
        doubt,
        Doubt::Hidden {
            reason: HiddenReason::Fragments { .. },
            ..
        }
    );
    let too_long = |cause: &Cause| matches!(cause, Cause::TooLong { .. });
    fragments && losses.iter().flat_map(|loss| &loss.causes).any(too_long)
}

fn findings(
    evidence: &Evidence<'_>,
    outcomes: &Outcomes,
    expectation: Option<&Expectation>,
    losses: &[Loss],
) -> Findings {
    let mut findings = Findings::default();
    let observation = evidence.observation;
    if evidence.is_nothing() && observation.found.is_some() {
        findings.unclear.push(Doubt::NothingFound);
        return findings;
    }
    if evidence.is_nothing() || evidence.is_unsent() {
        findings.unclear.push(Doubt::NothingSent);
    }
    if !losses.is_empty() {
        findings.unclear.extend(observation.doubts.iter().cloned());
    }
    findings.unclear.extend(proxies(evidence));
    let Some(expectation) = expectation else {
        let (cluster, route) = (evidence.cluster, evidence.route);
        let doubt = not_expected(cluster, route).or_else(|| unassigned(cluster, &route.to));
        findings.unclear.push(doubt.unwrap_or(Doubt::NoExpectation));
        return findings;
    };
    let receivers = evidence.route.receivers().into_iter();
    let remote = receivers.filter_map(|it| remote(evidence.cluster, it));
    findings.unclear.extend(remote);
    let ways = evidence.ways(outcomes);
    for (trail, through) in ways.filter(|(_, through)| !through.is_empty()) {
        let found = detours::findings(trail, through, observation.missed);
        findings.detours.extend(found.detours);
        findings.unclear.extend(found.unclear);
    }
    if !outcomes.delivered.is_empty() {
        findings.detours.extend(expectation.absent.iter().cloned());
    }
    if losses.is_empty() && !findings.detours.is_empty() {
        let unwatched = observation.doubts.iter().filter(|it| is_unwatched(it));
        findings.unclear.extend(unwatched.cloned());
    }
    for doubt in losses.iter().flat_map(|loss| doubts(evidence, loss)) {
        if !findings.unclear.contains(&doubt) {
            findings.unclear.push(doubt);
        }
    }
    findings
        .unclear
        .retain(|doubt| !repeats_cause(doubt, losses));
    findings
}

/// Doors were left out that packets may have crossed.
fn is_unwatched(doubt: &Doubt) -> bool {
    matches!(doubt, Doubt::DoorsNotWatched { .. })
}

/// Connections that proxies answered, by node.
fn proxies(evidence: &Evidence<'_>) -> Vec<Doubt> {
    let mut nodes: BTreeMap<&str, u32> = BTreeMap::new();
    for packet in evidence.packets() {
        if let Some(node) = evidence.proxy(packet) {
            *nodes.entry(node).or_default() += 1;
        }
    }
    let of = evidence.observation.sent;
    let doubt = |(node, packets): (&str, u32)| Doubt::AnsweredByProxy {
        node: node.into(),
        packets,
        of,
    };
    nodes.into_iter().map(doubt).collect()
}

/// Why packets may have got further than they were seen.
fn doubts(evidence: &Evidence<'_>, loss: &Loss) -> Vec<Doubt> {
    let (way, trail) = (loss.way, evidence.trail(loss.way));
    let from = loss.after.map_or(0, |after| after.saturating_add(1));
    let mut doubts = detours::hidden(trail, from..trail.lines.len());
    let crossings = evidence.observation.missed;
    doubts.extend((crossings > 0).then_some(Doubt::Missed { way, crossings }));
    // Packets without a mark are recognised by their addresses, which a service or masquerading
    // translates on the way to an end elsewhere.
    let ends = [&evidence.route.from, &evidence.route.to];
    let elsewhere = ends.into_iter().find(|end| end.place == Place::Elsewhere);
    if let (Some(_), Some(row), Some(end)) = (evidence.observation.found, loss.after, elsewhere) {
        let name = end.name.clone();
        doubts.push(Doubt::MayBeTranslated { way, row, name });
    }
    doubts
}

fn kind(evidence: &Evidence<'_>, losses: &[Loss], findings: &Findings) -> Kind {
    let observation = evidence.observation;
    // A sender that waits for a reply knows that none came, whatever the doors saw.
    let waits = observation.found.is_none() && !observation.one_way;
    let mut receivers = evidence.route.receivers().into_iter();
    let is_remote = receivers.any(|it| remote(evidence.cluster, it).is_some());
    let is_blind = observation.doubts.iter().any(is_unwatched);
    let is_certain = |loss: &Loss| doubts(evidence, loss).is_empty();
    if evidence.is_nothing() || evidence.is_unsent() {
        Kind::Unclear
    } else if !losses.is_empty() {
        let certain = waits || losses.iter().any(is_certain);
        match certain && observation.doubts.is_empty() {
            true => Kind::Lost,
            false => Kind::Unclear,
        }
    } else if !findings.detours.is_empty() && !is_remote && !is_blind {
        Kind::Detour
    } else if !findings.unclear.is_empty() {
        Kind::Unclear
    } else {
        Kind::Verified
    }
}

/// Round trips as the sender measured them, sorted.
fn round_trips(observation: &Observation, outcomes: &Outcomes) -> Vec<Duration> {
    let answers = observation.answers.iter();
    let answers = answers.filter(|(packet, _)| outcomes.replied.contains(packet));
    let times = answers.filter_map(|(_, answer)| match answer {
        Answer::Reply(time) | Answer::Refused(time, _) => Some(*time),
        Answer::Unreachable(..) | Answer::Unsent(_) => None,
    });
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}
