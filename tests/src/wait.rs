//! Waiting: for a condition and with a limit, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::fault::is_emulated;

const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// How long something may take that is expected to happen at once.
const LIMIT: Duration = Duration::from_secs(10);

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
