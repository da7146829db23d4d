//! Times for people: RFC 3339, in the reader's time zone with its offset.

use jiff::{Timestamp, tz::TimeZone};

/// `2026-12-01T12:04:31+01:00` for the time of a snapshot; the text itself if it is no time.
#[must_use]
pub fn local_time(taken_at: &str, zone: &TimeZone) -> String {
    formatted(taken_at, zone, "%Y-%m-%dT%H:%M:%S%:z").unwrap_or_else(|| taken_at.to_owned())
}

/// `12:04:31+01:00`
pub(in crate::views) fn clock(taken_at: &str, zone: &TimeZone) -> Option<String> {
    formatted(taken_at, zone, "%H:%M:%S%:z")
}

fn formatted(taken_at: &str, zone: &TimeZone, format: &str) -> Option<String> {
    let taken: Timestamp = taken_at.parse().ok()?;
    let local = taken.to_zoned_datetime(zone.clone());
    Some(local.strftime(format).to_string())
}
