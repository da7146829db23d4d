//! Waits for a condition with a limit, never for a fixed time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::cli::fault_table::is_emulated;

const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Limit for events that are expected to happen at once.
const LIMIT: Duration = Duration::from_secs(10);
/// Limit for changes that netviz finds only by its scan every four seconds: two and a half scans.
const LOOKED: Duration = Duration::from_secs(10);

/// Waits until `done` returns true; false at the `limit`.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + extended(limit);
    loop {
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Repeats `ask` until it returns `expected` or `limit` is over. Returns the last answer, for
/// `assert_eq!`.
pub fn settle<T: PartialEq>(limit: Duration, expected: &T, mut ask: impl FnMut() -> T) -> T {
    let end = Instant::now() + extended(limit);
    loop {
        let answer = ask();
        if answer == *expected || Instant::now() > end {
            return answer;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Repeats until it succeeds, for at most ten seconds; then returns the last error.
pub fn wait_for<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let until = Instant::now() + LIMIT;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(failed) if Instant::now() > until => return Err(failed),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Extends a limit, which allows for other load, on an emulated processor.
#[must_use]
pub fn extended(limit: Duration) -> Duration {
    if is_emulated() { limit * 6 } else { limit }
}

/// Repeats `look` until it returns a value. Returns the value and the time that took.
///
/// # Panics
/// If that takes longer than `limit`; prints the last error, and whether the value came at all.
pub fn until<T, E: std::fmt::Display>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, E>,
) -> (T, Duration) {
    let start = Instant::now();
    let mut seen = String::new();
    loop {
        let answer = look();
        let took = start.elapsed();
        match answer {
            Ok(answer) if took <= limit => return (answer, took),
            Ok(_) => {
                panic!("{what}: took {took:?}, limit {limit:?}; last: {seen}")
            }
            Err(now) => seen = now.to_string(),
        }
        assert!(
            took < limit * 4,
            "{what}: not within {took:?}; last: {seen}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the one second within which netviz shows a change on an idle machine; on a loaded one,
/// multiplied by load per processor, and twenty times as long on an emulated one.
#[must_use]
pub fn notify_limit() -> Duration {
    if is_emulated() {
        return Duration::from_secs(20);
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load
        .split(' ')
        .next()
        .and_then(|load| load.parse::<f64>().ok());
    let processors = thread::available_parallelism().map_or(1, usize::from) as f64;
    Duration::from_secs(1).mul_f64((load.unwrap_or(0.0) / processors).max(1.0))
}

/// Returns the five seconds within which netviz shows changes without a notification; extended like
/// [`notify_limit`], but never so long that a netviz which scans too rarely would pass.
#[must_use]
pub fn scan_limit() -> Duration {
    let limit = notify_limit() * 5;
    if is_emulated() {
        return limit;
    }
    limit.min(LOOKED)
}
