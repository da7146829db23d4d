//! The cost of counting, as a ratio or compared with a goal, one line per figure.
//!
//! Exits with 0 whatever the result, because figures depend on other load. With `--strict`, a
//! missed goal is an error.

mod attaching;
mod counting;
mod figure;
mod live;
mod matching;
mod screen;
mod steady;

use std::process::ExitCode;

use anyhow::Result;
use figure::Figure;

/// A benchmark: its title and its function.
type Bench = (&'static str, fn(&mut dyn FnMut(Figure)) -> Result<()>);

const BENCHES: [Bench; 7] = [
    ("counting", counting::run),
    ("matching", matching::run),
    ("lab", attaching::lab),
    ("doors", attaching::thousand),
    ("steady", steady::run),
    ("live", live::run),
    ("screen", screen::run),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let strict = arguments.iter().any(|argument| argument == "--strict");
    let wanted = |name: &str| {
        let mut names = arguments.iter().filter(|argument| *argument != "--strict");
        names.clone().next().is_none() || names.any(|wanted| wanted == name)
    };
    let mut missed = false;
    for (_, bench) in BENCHES.iter().filter(|(name, _)| wanted(name)) {
        let result = bench(&mut |figure| {
            missed |= figure.is_missed();
            println!("{figure}");
        });
        if let Err(error) = result {
            eprintln!("netviz-bench: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    if missed && strict {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
