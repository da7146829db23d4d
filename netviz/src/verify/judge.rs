//! What follows from expected and observed. Pure: the same data give the same verdict, in whatever
//! order the crossings come.

pub(crate) mod causes;
mod detours;
mod drops;
mod losses;
mod names;
mod notes;
mod outcomes;
mod reordering;
mod trail;

use std::time::Duration;

use super::{
    expect::{not_expected, unassigned},
    observation::{Answer, Observation, Way},
    route::{Expectation, Route},
    verdict::{Kind, Loss, Probes, SCHEMA, Verdict},
};
use crate::model::Cluster;
use detours::Findings;
pub use names::label;
use outcomes::{Evidence, Outcomes};
use trail::Trail;

/// Protocol of probes that were not sent but found.
pub const PASSIVE: &str = "passive";

/// Compares what was observed with the expectation that fits it best, and says what follows.
#[must_use]
pub fn judge(
    cluster: &Cluster,
    route: &Route,
    expectations: &[Expectation],
    observation: &Observation,
    probes: Probes,
) -> Verdict {
    let fitting = best(expectations, observation);
    let (expectation, [request, reply]) = match fitting {
        Some((expectation, courses)) => (Some(expectation), courses),
        None => (None, courses(None, observation)),
    };
    let evidence = Evidence {
        cluster,
        route,
        observation,
        request: &request,
        reply: &reply,
    };
    let outcomes = evidence.outcomes();
    let case = Case {
        evidence: &evidence,
        outcomes: &outcomes,
        expectation,
    };
    let losses = losses::losses(&evidence, &outcomes);
    let findings = case.findings(&losses);
    let round_trips = round_trips(observation);
    let no_reply = reply.walks.is_empty() && !evidence.asks_for_reply(&losses);
    Verdict {
        schema: SCHEMA.into(),
        verdict: case.kind(&losses, &findings),
        from: names::hop(cluster, &route.from),
        to: names::hop(cluster, &route.to),
        mode: expectation.map(|expectation| expectation.mode.clone()),
        mode_source: expectation.map(|expectation| expectation.source),
        probes,
        traffic: None,
        sent: observation.sent,
        delivered: losses::count(outcomes.delivered.len()),
        replied: losses::count(outcomes.replied.len()),
        round_trip_microseconds: median(&round_trips),
        round_trip_worst_microseconds: round_trips.last().map(|time| microseconds(*time)),
        request: names::rows(cluster, &request),
        reply: if no_reply {
            Vec::new()
        } else {
            names::rows(cluster, &reply)
        },
        notes: notes::notes(&evidence, expectation, &losses),
        losses,
        detours: findings.detours,
        unclear: findings.unclear,
    }
}

fn courses(expectation: Option<&Expectation>, observation: &Observation) -> [Trail; 2] {
    notes::WAYS.map(|way| Trail::new(way, expectation, observation))
}

/// The expectation that is contradicted the least; of several, the likeliest, which comes first.
fn best<'a>(
    expectations: &'a [Expectation],
    observation: &Observation,
) -> Option<(&'a Expectation, [Trail; 2])> {
    let tried = expectations.iter().map(|expectation| {
        let courses = courses(Some(expectation), observation);
        let judged = if observation.one_way {
            &courses[..1]
        } else {
            &courses[..]
        };
        let contradictions = judged.iter().map(contradictions).sum::<usize>();
        (
            contradictions.saturating_add(expectation.absent.len()),
            expectation,
            courses,
        )
    });
    let best = tried.min_by_key(|(contradictions, ..)| *contradictions);
    best.map(|(_, expectation, courses)| (expectation, courses))
}

/// Doors crossed that are not on the path, and doors of the path passed by on the way to later ones.
fn contradictions(course: &Trail) -> usize {
    let of = |walk: &trail::Walk| {
        let foreign = walk
            .first
            .iter()
            .filter(|line| course.foreign(**line))
            .count();
        let lines = 0..course.lines.len();
        let last = lines
            .rev()
            .find(|line| course.required(*line) && course.satisfied(*line, walk));
        let passed = (0..last.unwrap_or_default()).filter(|line| {
            course.required(*line)
                && course.lines[*line].hidden.is_none()
                && !course.satisfied(*line, walk)
        });
        foreign + passed.count() + walk.wrapped_otherwise.len()
    };
    course.walks.values().map(of).sum()
}

/// Everything that the verdict in one word depends on.
struct Case<'a> {
    evidence: &'a Evidence<'a>,
    outcomes: &'a Outcomes,
    expectation: Option<&'a Expectation>,
}

impl Case<'_> {
    fn findings(&self, losses: &[Loss]) -> Findings {
        let mut findings = Findings::default();
        let evidence = self.evidence;
        let observation = evidence.observation;
        if evidence.is_nothing() {
            let nothing = match observation.found {
                Some(_) => format!(
                    "no packet between {} and {} was seen: wait longer (--for), or send some (without --passive)",
                    evidence.route.from.name, evidence.route.to.name
                ),
                None => "nothing was sent".into(),
            };
            findings.unclear.push(nothing);
            if observation.found.is_some() {
                return findings;
            }
        }
        if !losses.is_empty() {
            findings.unclear.extend(observation.doubts.iter().cloned());
        }
        let Some(expectation) = self.expectation else {
            findings.unclear.push(self.nothing_expected());
            return findings;
        };
        self.compare(&mut findings);
        if !self.outcomes.delivered.is_empty() {
            findings.detours.extend(expectation.absent.iter().cloned());
        }
        for loss in losses {
            findings.unclear.extend(self.doubts(loss));
        }
        let mut said = std::collections::BTreeSet::new();
        findings
            .unclear
            .retain(|sentence| said.insert(sentence.clone()));
        findings
    }

    fn compare(&self, findings: &mut Findings) {
        let (evidence, outcomes) = (self.evidence, self.outcomes);
        let missed = evidence.observation.missed;
        let mut ways = vec![(evidence.request, &outcomes.delivered)];
        if !evidence.observation.one_way {
            ways.push((evidence.reply, &outcomes.replied));
        }
        for (course, through) in ways.into_iter().filter(|(_, through)| !through.is_empty()) {
            let found = detours::findings(evidence.cluster, course, through, missed);
            findings.detours.extend(found.detours);
            findings.unclear.extend(found.unclear);
        }
    }

    fn nothing_expected(&self) -> String {
        let (cluster, route) = (self.evidence.cluster, self.evidence.route);
        let why = not_expected(cluster, route).or_else(|| unassigned::nobody(cluster, &route.to));
        why.unwrap_or_else(|| "no path is known to compare with; name the mode (--mode)".into())
    }

    /// Why it may not have been lost there: hidden doors behind that place, crossings not kept.
    fn doubts(&self, loss: &Loss) -> Vec<String> {
        let evidence = self.evidence;
        let course = match loss.way {
            Way::Request => evidence.request,
            Way::Reply => evidence.reply,
        };
        let hidden = course.hidden_after(loss.after);
        let hidden = detours::unseen_doors(evidence.cluster, course, hidden).into_iter();
        let missed = evidence.observation.missed;
        let missed = (missed > 0).then(|| {
            let way = detours::name(loss.way);
            format!("{way}: {missed} crossings could not be kept, so that packets may have come further than was seen; send fewer, or slower")
        });
        let translated = evidence.may_be_translated(course, loss);
        hidden.chain(missed).chain(translated).collect()
    }

    fn kind(&self, losses: &[Loss], findings: &Findings) -> Kind {
        let observation = self.evidence.observation;
        // Who waits for an answer knows that none came, whatever the doors saw of it.
        let certain = observation.found.is_none() && !observation.one_way;
        if self.evidence.is_nothing() {
            Kind::Unclear
        } else if !losses.is_empty() {
            let sure = certain || losses.iter().any(|loss| self.doubts(loss).is_empty());
            let sure = sure && observation.doubts.is_empty();
            if sure { Kind::Lost } else { Kind::Unclear }
        } else if !findings.detours.is_empty() {
            Kind::Detour
        } else if !findings.unclear.is_empty() {
            Kind::Unclear
        } else {
            Kind::Verified
        }
    }
}

/// The median round trip, as the sender measured it.
/// Round trips as the sender measured them, sorted.
fn round_trips(observation: &Observation) -> Vec<Duration> {
    let times = observation
        .answers
        .values()
        .filter_map(|answer| match answer {
            Answer::Reply(time) | Answer::Refused(time, _) => Some(*time),
            Answer::Unreachable(..) | Answer::Unsent(_) => None,
        });
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}

/// The median of sorted times, in microseconds.
fn median(sorted: &[Duration]) -> Option<f64> {
    let middle = sorted.get(sorted.len() / 2)?;
    let below = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(microseconds(*below), microseconds(*middle)))
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
