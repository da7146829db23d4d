//! The JSON lines of `verify --watch`, and their schema.

use std::io;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::why;
use crate::{
    model::{Direction, Untrusted},
    verify::{Change, History, Kind, Outage, PathHook, Verdict},
    views::{
        json::{schema_of, write_line},
        verdict::json::value,
    },
};

/// Name and version of this form.
pub const SCHEMA: &str = "netviz.watch/1";

/// One line: what happened, and when it was noticed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    /// `netviz.watch/1`.
    schema: &'static str,
    /// When it was noticed (RFC 3339).
    at: String,
    /// What happened.
    event: Event,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
enum Event {
    /// The first verdict, or one with another word than the last one.
    Verdict {
        /// As `netviz schema verdict` describes it.
        #[schemars(schema_with = "object")]
        verdict: Value,
    },
    /// Packets get through by other hooks.
    Path {
        /// Crossed now, and not before.
        new: Vec<Hook>,
        /// Crossed before, and not now.
        gone: Vec<Hook>,
    },
    /// An end is not there.
    Waiting {
        /// For what.
        reason: String,
    },
    /// Packets get through again.
    Outage {
        /// The outage that is over.
        outage: OutageForm,
    },
    /// The end of the watch.
    Summary {
        /// All rounds.
        summary: Box<Summary>,
    },
}

fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// A hook on the path.
#[derive(Debug, Serialize, JsonSchema)]
struct Hook {
    /// Name of the node.
    node: Untrusted,
    /// Name of the interface.
    interface: Untrusted,
    /// The hook.
    direction: Direction,
}

/// From the first packet that was lost to the first one that got through again.
#[derive(Debug, Serialize, JsonSchema)]
struct OutageForm {
    /// When the first packet was sent that was lost (RFC 3339).
    begin: String,
    /// When the first packet was sent that got through again; `null` if none has.
    end: Option<String>,
    /// The length, so far if it has not ended.
    seconds: f64,
    /// How many packets were lost.
    lost: u64,
    /// Of how many, from the first to the last one that was lost.
    sent: u64,
    /// The cause in a sentence; `null` if it is unknown.
    cause: Option<String>,
}

/// All rounds.
#[derive(Debug, Serialize, JsonSchema)]
struct Summary {
    /// When the first packet was sent (RFC 3339).
    begin: Option<String>,
    /// How long packets were sent.
    seconds: f64,
    /// How many rounds.
    rounds: u64,
    /// The worst verdict; waiting for an end counts as lost. `null` without any.
    worst: Option<Kind>,
    /// Packets sent.
    sent: u64,
    /// Packets that were lost.
    lost: u64,
    /// The share of packets that got through, from 0 to 1, rounded down.
    availability: Option<f64>,
    /// Median of the rounds' median round trips, in microseconds.
    round_trip_microseconds: Option<f64>,
    /// The longest round trip.
    round_trip_worst_microseconds: Option<f64>,
    /// How often the path changed.
    path_changes: u64,
    /// How many outages.
    outages: u64,
    /// How long they lasted in all.
    outage_seconds: f64,
    /// The latest outages.
    latest_outages: Vec<OutageForm>,
}

/// The schema.
#[must_use]
pub fn schema() -> Value {
    schema_of::<Line>()
}

/// A change in one line; `verdict` is the latest.
///
/// # Errors
/// When it cannot be written.
pub fn change(change: &Change, verdict: &Verdict, now: Timestamp) -> io::Result<Vec<u8>> {
    let event = match change {
        Change::Verdict => Event::Verdict {
            verdict: value(verdict)?,
        },
        Change::Path { new, gone } => Event::Path {
            new: hooks(new),
            gone: hooks(gone),
        },
        Change::Over(outage) => Event::Outage {
            outage: form(outage, now),
        },
    };
    line(event, now)
}

/// An end is not there.
///
/// # Errors
/// When it cannot be written.
pub fn waiting(why: &str, now: Timestamp) -> io::Result<Vec<u8>> {
    let reason = why.to_owned();
    line(Event::Waiting { reason }, now)
}

/// The summary in one line.
///
/// # Errors
/// When it cannot be written.
pub fn totals(history: &History, now: Timestamp) -> io::Result<Vec<u8>> {
    let (outages, seconds) = history.total(now);
    let summary = Summary {
        begin: history.begin.map(|begin| begin.to_string()),
        seconds: milliseconds(history.seconds(now)),
        rounds: history.rounds,
        worst: history.worst,
        sent: history.sent,
        lost: history.lost,
        availability: history
            .availability()
            .map(|share| (share * 1e6).floor() / 1e6),
        round_trip_microseconds: history.median_round_trip(),
        round_trip_worst_microseconds: history.worst_round_trip,
        path_changes: history.path_changes,
        outages,
        outage_seconds: milliseconds(seconds),
        latest_outages: history.outages().map(|outage| form(outage, now)).collect(),
    };
    let summary = Box::new(summary);
    line(Event::Summary { summary }, now)
}

fn line(event: Event, now: Timestamp) -> io::Result<Vec<u8>> {
    let line = Line {
        schema: SCHEMA,
        at: now.to_string(),
        event,
    };
    let mut out = Vec::new();
    write_line(&line, &mut out)?;
    Ok(out)
}

fn hooks(hooks: &[PathHook]) -> Vec<Hook> {
    let hook = |(node, interface, direction): &PathHook| Hook {
        node: node.clone(),
        interface: interface.clone(),
        direction: *direction,
    };
    hooks.iter().map(hook).collect()
}

fn form(outage: &Outage, now: Timestamp) -> OutageForm {
    OutageForm {
        begin: outage.begin.to_string(),
        end: outage.end.map(|end| end.to_string()),
        seconds: milliseconds(outage.seconds(now)),
        lost: outage.lost,
        sent: outage.of,
        cause: why(&outage.why),
    }
}

/// Seconds, rounded to milliseconds.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
