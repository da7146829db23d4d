//! Checks a verdict against the expectations of a test.

use std::time::Duration;

use super::{
    PlannedPair,
    file::{DoorPattern, Limits, Test},
};
use crate::{
    model::safe,
    verify::{CrossingRow, Kind, TestResult, Verdict},
};

/// Compares a verdict with what is expected of its pair.
pub fn check(pair: &PlannedPair, verdict: &Verdict) -> TestResult {
    let Test {
        name,
        expect,
        doors: wanted,
        round_trip: Limits { median, worst },
        ..
    } = &*pair.test;
    let (kind, got) = (verdict.verdict, verdict.verdict.word());
    let wrong = match (expect, wanted) {
        // The list is the expected path, whatever the routing mode.
        (None, Some(_)) => {
            let (delivered, sent) = (verdict.delivered, verdict.sent);
            let failed = kind == Kind::Unclear || delivered < sent;
            failed.then(|| format!("got {got}, {delivered} of {sent} delivered"))
        }
        _ => {
            let expected = expect.unwrap_or(Kind::Verified);
            let word = expected.word();
            (kind != expected).then(|| format!("expected {word}, got {got}"))
        }
    };
    let why = wrong
        .or_else(|| doors(wanted.as_deref()?, verdict))
        .or_else(|| slow("median", *median, verdict.round_trip_microseconds))
        .or_else(|| slow("worst", *worst, verdict.round_trip_worst_microseconds));
    TestResult {
        name: name.as_ref().map(|name| name.value.as_str().into()),
        passed: why.is_none(),
        why,
    }
}

/// Compares the crossed doors of the request with the list.
fn doors(wanted: &[DoorPattern], verdict: &Verdict) -> Option<String> {
    let rows = verdict.request.iter();
    let crossed: Vec<&CrossingRow> = rows.filter(|row| row.seen > Some(0)).collect();
    let mut places = 0..wanted.len().max(crossed.len());
    let place = places.find(|place| match (wanted.get(*place), crossed.get(*place)) {
        (Some(wanted), Some(row)) => !wanted.fits(row.direction, row.interface.raw()),
        _ => true,
    })?;
    let expected = match wanted.get(place) {
        Some(door) => format!("{} {}", door.direction.sign(), safe(&door.pattern)),
        None => "no more door".into(),
    };
    let got = match crossed.get(place) {
        Some(row) => {
            let sign = row.direction.sign();
            format!("{sign} {} on {} was crossed", row.interface, row.node)
        }
        None => "no more door was crossed".into(),
    };
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
