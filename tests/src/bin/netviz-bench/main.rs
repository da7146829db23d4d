//! The cost of counting, as a ratio or compared with a goal, one line per figure.
//!
//! Exits with 0 whatever the result, because figures depend on other load. With `--strict`, a
//! missed goal is an error. The ratios are compared with those in `bench.json`, and written there.

mod attaching;
mod counting;
mod figure;
mod flowing;
mod live;
mod matching;
mod record;
mod screen;
mod steady;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use figure::Figure;
use record::Record;

/// A benchmark: its title and its function.
type Bench = (&'static str, fn(&mut dyn FnMut(Figure)) -> Result<()>);

const BENCHES: [Bench; 8] = [
    ("counting", counting::run),
    ("flows", flowing::run),
    ("matching", matching::run),
    ("lab", attaching::lab),
    ("doors", attaching::thousand),
    ("steady", steady::run),
    ("live", live::run),
    ("screen", screen::run),
];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("netviz-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../bench.json"));
    let (earlier, mut record) = (Record::read(&path)?, Record::new()?);
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let strict = arguments.iter().any(|argument| argument == "--strict");
    let wanted = |name: &str| {
        let mut names = arguments.iter().filter(|argument| *argument != "--strict");
        names.clone().next().is_none() || names.any(|wanted| wanted == name)
    };
    let mut missed = false;
    for (_, bench) in BENCHES.iter().filter(|(name, _)| wanted(name)) {
        bench(&mut |figure| {
            missed |= figure.is_missed();
            record.note(&figure);
            println!("{figure}");
        })?;
    }
    record.compare(&earlier);
    record.write(&path, earlier)?;
    Ok(match missed && strict {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}
