//! Checks a verdict against the expectations of a test.

use std::time::Duration;

use super::{PlannedPair, file::DoorPattern};
use crate::{
    model::safe,
    verify::verdict::{CrossingRow, Kind, Verdict},
};

/// The result of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it passed.
    pub passed: bool,
    /// Why it failed.
    pub why: Option<String>,
}

/// Compares a verdict with what is expected of its pair.
#[must_use]
pub fn check(pair: &PlannedPair, verdict: &Verdict) -> Outcome {
    let wanted = &pair.wanted;
    let wrong = match (wanted.verdict, &wanted.doors) {
        (Some(expected), _) => kind(expected, verdict),
        (None, None) => kind(Kind::Verified, verdict),
        // The list is the expected path, whatever the routing mode.
        (None, Some(_)) => delivered(verdict),
    };
    let wrong = wrong
        .or_else(|| doors(wanted.doors.as_deref()?, verdict))
        .or_else(|| {
            let limit = wanted.round_trip.median;
            slow("median", limit, verdict.round_trip_microseconds)
        })
        .or_else(|| {
            let limit = wanted.round_trip.worst;
            slow("worst", limit, verdict.round_trip_worst_microseconds)
        });
    Outcome {
        passed: wrong.is_none(),
        why: wrong,
    }
}

fn kind(expected: Kind, verdict: &Verdict) -> Option<String> {
    (verdict.verdict != expected).then(|| {
        format!(
            "expected {}, got {}",
            expected.word(),
            verdict.verdict.word()
        )
    })
}

fn delivered(verdict: &Verdict) -> Option<String> {
    (verdict.verdict == Kind::Unclear || verdict.delivered < verdict.sent).then(|| {
        format!(
            "got {}, {} of {} delivered",
            verdict.verdict.word(),
            verdict.delivered,
            verdict.sent
        )
    })
}

/// Compares the crossed doors of the request with the list.
fn doors(wanted: &[DoorPattern], verdict: &Verdict) -> Option<String> {
    let crossed: Vec<&CrossingRow> = verdict
        .request
        .iter()
        .filter(|row| row.seen.is_some_and(|seen| seen > 0))
        .collect();
    let place = (0..wanted.len().max(crossed.len())).find(|place| {
        match (wanted.get(*place), crossed.get(*place)) {
            (Some(wanted), Some(row)) => !wanted.fits(row.direction, row.interface.raw()),
            _ => true,
        }
    })?;
    let expected = wanted.get(place).map_or_else(
        || "no more door".to_owned(),
        |door| format!("{} {}", door.direction.sign(), safe(&door.pattern)),
    );
    let got = crossed.get(place).map_or_else(
        || "no more door was crossed".to_owned(),
        |row| {
            let sign = row.direction.sign();
            format!("{sign} {} on {} was crossed", row.interface, row.node)
        },
    );
    Some(format!("door {}: expected {expected}, {got}", place + 1))
}

fn slow(which: &str, limit: Option<Duration>, took: Option<f64>) -> Option<String> {
    let limit = limit?.as_secs_f64() * 1e6;
    match took {
        Some(took) if took <= limit => None,
        Some(took) => Some(format!(
            "the {which} round trip took {took:.1} us; the limit is {limit:.1} us"
        )),
        None => Some(format!(
            "no round trip was measured; the limit of its {which} is {limit:.1} us"
        )),
    }
}
