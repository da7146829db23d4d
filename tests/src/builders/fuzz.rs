//! Feeds parsers with mutated input, which must never make them panic, hang or use much memory.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};

use crate::builders::random::Random;

/// Names the time for each parser, in seconds.
pub const SECONDS_VARIABLE: &str = "NETVIZ_FUZZ_SECONDS";
/// Names the random seed that a failure prints.
pub const SEED_VARIABLE: &str = "NETVIZ_FUZZ_SEED";

/// Limit of processor time between two checks. Waiting for a processor does not count.
const PATIENCE: Duration = Duration::from_secs(2);

/// Memory limit for inputs of at most 1 MiB: above the total of all parallel tests, and below the
/// size of a parser that expands its input excessively.
const MEMORY: u64 = 1 << 30;
/// Number of inputs between two checks.
const LOOK: u64 = 256;

/// Feeds `parse` with mutated `seeds`, for the time in the environment or briefly.
///
/// # Panics
/// If `parse` panics, or takes too long or too much memory; prints the seed and writes the input.
pub fn feed(what: &str, seeds: &[Vec<u8>], mut parse: impl FnMut(&[u8])) {
    assert!(!seeds.is_empty(), "{what}: no seeds");
    let seed = number(SEED_VARIABLE).unwrap_or(0x6e65_7476_697a);
    let limit = Duration::from_secs(number(SECONDS_VARIABLE).unwrap_or(2));
    let mut random = Random(seed.max(1));
    let start = Instant::now();
    let mut inputs = 0_u64;
    while start.elapsed() < limit {
        let input = mutated(&mut random, seeds);
        let begin = processor_time();
        let outcome = catch_unwind(AssertUnwindSafe(|| parse(&input)));
        let took = processor_time() - begin;
        assert!(
            outcome.is_ok() && took < PATIENCE,
            "{what}: panic or {took:?}, input {inputs} of {SEED_VARIABLE}={seed}: {:?}",
            String::from_utf8_lossy(&input)
        );
        inputs += 1;
        if inputs.is_multiple_of(LOOK) {
            let most = most_memory();
            assert!(
                most < MEMORY,
                "{what}: {most} bytes, of one of {LOOK} inputs up to {inputs} of {SEED_VARIABLE}={seed}"
            );
        }
    }
    println!(
        "{what}: {inputs} inputs in {:?}, {SEED_VARIABLE}={seed}",
        start.elapsed()
    );
    assert!(inputs > 100, "{what}: {inputs} inputs are too few");
}

/// Returns the processor time of this thread.
fn processor_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap())
}

/// Returns the peak memory of this process in bytes.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("VmHWM") * 1024
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Returns one of the seeds with one to eight changes.
fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Random, below: usize| {
        usize::try_from(random.below(below.max(1) as u64)).unwrap_or(0)
    };
    let seed = pick(random, seeds.len());
    let mut bytes = seeds[seed].clone();
    for _ in 0..=random.below(8) {
        let at = pick(random, bytes.len() + 1);
        let to = at + pick(random, bytes.len() + 1 - at);
        match random.below(10) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => {
                let part = bytes[at..to.min(at + 4096)].to_vec();
                let times = pick(random, 8);
                (0..times).for_each(|_| drop(bytes.splice(at..at, part.iter().copied())));
            }
            3 => {
                let other = &seeds[pick(random, seeds.len())];
                let from = pick(random, other.len());
                let part = other[from..].iter().copied();
                drop(bytes.splice(at..to, part));
            }
            // Extreme lengths and numbers.
            4 => {
                const ENDS: [u32; 8] = [0, 1, 3, 0xf, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff];
                let number = ENDS[pick(random, ENDS.len())].to_ne_bytes();
                let width = [1, 2, 4][pick(random, 3)];
                for (byte, new) in bytes[at..].iter_mut().zip(&number[..width]) {
                    *byte = *new;
                }
            }
            5 => {
                const WORDS: [&str; 14] = [
                    "null",
                    "[]",
                    "{}",
                    "-1",
                    "1e999",
                    "18446744073709551616",
                    "\"\\ud800\"",
                    "\"\\u0000\"",
                    "true",
                    "[[[[[[[[",
                    "{\"\":",
                    "\u{202e}",
                    "..",
                    "/",
                ];
                let word = WORDS[pick(random, WORDS.len())].bytes();
                drop(bytes.splice(at..at, word));
            }
            // Deeper than any stack.
            6 if random.once_in(20) => {
                drop(bytes.splice(at..at, std::iter::repeat_n(b'[', 100_000)))
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.below(256) as u8;
                }
            }
        }
        // Longer repetitions are no new input.
        bytes.truncate(1 << 20);
    }
    bytes
}
