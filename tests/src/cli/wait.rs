//! Waiting for a condition, with a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

/// What netviz finds out only by looking, every four seconds: never as long as two looks and a half.
const LOOKED: Duration = Duration::from_secs(10);

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
    if crate::fault::is_emulated() {
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
    if crate::fault::is_emulated() {
        return limit;
    }
    limit.min(LOOKED)
}
