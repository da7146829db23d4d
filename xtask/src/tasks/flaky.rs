//! `cargo xtask flaky`: whether a test passes every time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{say, seconds, side_by_side, step},
    programs::{self, AT_A_TIME, Program},
    setup,
};

/// A test is admitted after so many green runs in a row.
const ADMITTED: u32 = 20;

/// A program, and those of its tests that were chosen.
struct Chosen {
    program: Program,
    functions: Vec<String>,
}

/// How often each failed.
type Failures = BTreeMap<String, u32>;

fn lock(failures: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the kernel tests whose name contains one of `filters`, or all, so many times, side by side as in
/// the ordinary run.
pub(crate) fn run(runs: u32, filters: &[String]) -> Result<()> {
    let start = Instant::now();
    setup::run()?;
    let programs = step("building the test programs", programs::build)?;
    let chosen = choose(programs.tests, filters)?;
    let tests: usize = chosen.iter().map(|it| it.functions.len()).sum();
    if tests == 0 || runs == 0 {
        bail!("nothing to run: {tests} tests, {runs} runs");
    }
    let failures = Mutex::new(Failures::new());
    for run in 1..=runs {
        side_by_side(&chosen, AT_A_TIME, |it| it.run(&failures))
            .into_iter()
            .collect::<Result<()>>()?;
        let failed = lock(&failures).len();
        say(format_args!(
            "run {run} of {runs}: {failed} of {tests} tests have failed so far"
        ));
    }
    let failures = failures
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for (name, times) in &failures {
        println!("{name}: failed in {times} of {runs} runs");
    }
    say(format_args!(
        "{tests} tests, {runs} runs each, in {}",
        seconds(start.elapsed())
    ));
    if !failures.is_empty() {
        bail!("{} of {tests} tests failed", failures.len());
    }
    println!("{}", verdict(tests, runs));
    Ok(())
}

fn verdict(tests: usize, runs: u32) -> String {
    if runs < ADMITTED {
        return format!(
            "{tests} tests passed {runs} times: a test is admitted after {ADMITTED} green runs in a row"
        );
    }
    format!("{tests} tests passed {runs} times in a row: admitted")
}

fn choose(programs: Vec<Program>, filters: &[String]) -> Result<Vec<Chosen>> {
    let mut all = Vec::new();
    for program in programs {
        let mut functions = program.functions()?;
        functions.retain(|function| {
            programs::is_asked_for(&format!("{}::{function}", program.name), filters)
        });
        if !functions.is_empty() {
            all.push(Chosen { program, functions });
        }
    }
    all.sort_by_key(|it| it.program.rank());
    Ok(all)
}

impl Chosen {
    fn run(&self, failures: &Mutex<Failures>) -> Result<()> {
        let Program { name, path, .. } = &self.program;
        let output = self
            .program
            .command()
            .arg("--exact")
            .args(&self.functions)
            .output()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut failed = failed(&text);
        if failed.is_empty() && !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            failed.push((
                "the program as a whole".into(),
                format!("{}: {text}{said}", output.status),
            ));
        }
        for (function, said) in failed {
            let name = format!("{name}::{function}");
            let times = {
                let mut failures = lock(failures);
                let times = failures.entry(name.clone()).or_default();
                *times += 1;
                *times
            };
            // Not at the end: whoever waits can look into it meanwhile.
            if times == 1 {
                println!("{name} failed for the first time:\n{said}");
            }
        }
        Ok(())
    }
}

/// The tests that failed, each with what it said.
fn failed(text: &str) -> Vec<(String, String)> {
    let names = text.lines().filter_map(super::tally::failed_test);
    let said = |name: &str| {
        let head = format!("---- {name} stdout ----\n");
        let from = text
            .split_once(&head)
            .map_or("it said nothing", |(_, rest)| rest);
        // Up to what the next one said, or the list of the names.
        let end = ["\n---- ", "\nfailures:\n"]
            .iter()
            .filter_map(|mark| from.find(mark))
            .min();
        from[..end.unwrap_or(from.len())].trim_end().to_owned()
    };
    names.map(|name| (name.to_owned(), said(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_with_what_they_said() {
        let text = "running 3 tests\ntest a ... FAILED\ntest b ... ok\ntest c::d ... FAILED\n\nfailures:\n\n\
                    ---- a stdout ----\nleft: 1\nright: 2\n\n---- c::d stdout ----\nboom\n\n\nfailures:\n    a\n    c::d\n";
        let expected = [("a", "left: 1\nright: 2"), ("c::d", "boom")]
            .map(|(name, said)| (name.to_owned(), said.to_owned()));
        assert_eq!(failed(text), expected);
        assert_eq!(failed("test b ... ok\n"), []);
    }

    #[test]
    fn twenty_runs_admit() {
        assert!(verdict(3, 19).contains("after 20 green runs"));
        assert_eq!(verdict(3, 20), "3 tests passed 20 times in a row: admitted");
    }
}
