//! Times as a verdict shows them.

use std::time::Duration;

/// The median of sorted times, in microseconds.
pub(super) fn median(sorted: &[Duration]) -> Option<f64> {
    let middle = sorted.get(sorted.len() / 2)?;
    let below = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(microseconds(*below), microseconds(*middle)))
}

/// The longest of sorted times, in microseconds.
pub(super) fn worst(sorted: &[Duration]) -> Option<f64> {
    sorted.last().map(|time| microseconds(*time))
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
