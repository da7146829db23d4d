//! Waiting: for a condition and with a limit, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::cli::fault_table::is_emulated;

const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// How long something may take that is expected to happen at once.
const LIMIT: Duration = Duration::from_secs(10);
/// What netviz finds out only by looking, every four seconds: never as long as two looks and a half.
const LOOKED: Duration = Duration::from_secs(10);

/// Waits until `done`; false when it was still not so after `limit`.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience(limit);
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

/// Asks until the answer is `expected` or `limit` is over; the last answer, for `assert_eq!`.
pub fn settle<T: PartialEq>(limit: Duration, expected: &T, mut ask: impl FnMut() -> T) -> T {
    let end = Instant::now() + patience(limit);
    loop {
        let answer = ask();
        if answer == *expected || Instant::now() > end {
            return answer;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Tries until it succeeds, or for ten seconds; then the last failure.
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

/// Limits are for a machine that does other things, and longer where the processor is emulated.
#[must_use]
pub fn patience(limit: Duration) -> Duration {
    if is_emulated() { limit * 6 } else { limit }
}

/// Looks again and again until `look` has an answer; the answer, and how long it took.
///
/// # Panics
/// When that was longer than `limit`: with what was seen last, and whether it came at all.
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
                panic!("{what}: only after {took:?}, and {limit:?} is the limit; before: {seen}")
            }
            Err(now) => seen = now.to_string(),
        }
        assert!(
            took < limit * 4,
            "{what}: not even after {took:?}; last: {seen}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// The second within which netviz shows what has changed, on a machine that has nothing else to
/// do; on one that has, as many times longer as there is more to do than it has processors, and twenty times
/// where it is emulated.
#[must_use]
pub fn second() -> Duration {
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

/// The five seconds within which netviz shows what nobody tells it of: as long on a busy machine as [`second`]
/// makes them, but never so long that a netviz which looks seldom would pass.
#[must_use]
pub fn looked() -> Duration {
    let limit = second() * 5;
    if is_emulated() {
        return limit;
    }
    limit.min(LOOKED)
}
