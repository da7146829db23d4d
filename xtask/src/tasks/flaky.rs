//! `cargo xtask flaky`: runs tests repeatedly.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::tally::Tally;
use crate::{
    collected::{Collected, SKIPPED_VARIABLE},
    process::{log, seconds, side_by_side, step, target},
    programs::{self, AT_A_TIME, Program},
    setup,
};

/// Number of passes in a row after which a test is admitted.
const ADMITTED: u32 = 20;

/// A program and its selected tests.
struct Chosen {
    program: Program,
    functions: Vec<String>,
}

/// Results so far.
#[derive(Default)]
struct Record {
    /// Number of failures of each test.
    failures: BTreeMap<String, u32>,
    /// Tests that were skipped at least once, and why.
    skipped: BTreeMap<String, String>,
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the kernel tests whose name contains one of `filters`, or all, `runs` times, in parallel as in
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
    fs::create_dir_all(directory())?;
    let record = Mutex::new(Record::default());
    for run in 1..=runs {
        side_by_side(&chosen, AT_A_TIME, |it| it.run(&record))
            .into_iter()
            .collect::<Result<()>>()?;
        let failed = lock(&record).failures.len();
        log(format_args!(
            "run {run} of {runs}: {failed} of {tests} tests have failed so far"
        ));
    }
    let Record { failures, skipped } = record.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, times) in &failures {
        println!("{name}: failed in {times} of {runs} runs");
    }
    for (name, reason) in &skipped {
        log(format_args!("skipped: {name}: {reason}"));
    }
    log(format_args!(
        "{tests} tests, {runs} runs each, in {}",
        seconds(start.elapsed())
    ));
    if !failures.is_empty() {
        bail!("{} of {tests} tests failed", failures.len());
    }
    if skipped.len() >= tests {
        bail!("no test was run: {}", summary(&skipped));
    }
    println!("{}", verdict(tests, runs, &skipped));
    Ok(())
}

/// Formats the result; tests that were skipped have not passed.
fn verdict(tests: usize, runs: u32, skipped: &BTreeMap<String, String>) -> String {
    let tests = tests - skipped.len();
    let mut verdict = if runs < ADMITTED {
        format!(
            "{tests} tests passed {runs} times: a test is admitted after {ADMITTED} green runs in a row"
        )
    } else {
        format!("{tests} tests passed {runs} times in a row: admitted")
    };
    if !skipped.is_empty() {
        verdict += "; ";
        verdict += &summary(skipped);
    }
    verdict
}

/// Formats the number of skips, and each reason once.
fn summary(skipped: &BTreeMap<String, String>) -> String {
    let reasons: BTreeSet<_> = skipped.values().map(String::as_str).collect();
    let reasons: Vec<_> = reasons.into_iter().collect();
    format!("{} skipped: {}", skipped.len(), reasons.join("; "))
}

/// Returns the directory of the skip files.
fn directory() -> PathBuf {
    target().join("flaky")
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
    fn run(&self, record: &Mutex<Record>) -> Result<()> {
        let Program { name, path, .. } = &self.program;
        let skips = Collected::begin(&directory().join(format!("{name}.skipped")))?;
        let output = self
            .program
            .command()
            .env(SKIPPED_VARIABLE, &skips.0)
            .arg("--exact")
            .args(&self.functions)
            .output()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut failed = failed(&text);
        if let Some(trouble) = trouble(&text, output.status, self.functions.len()) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            failed.push((
                "the program as a whole".into(),
                format!("{trouble}: {text}{stderr}"),
            ));
        }
        for (function, reason) in skips.skips()? {
            let name = format!("{name}::{function}");
            lock(record).skipped.insert(name, reason);
        }
        for (function, output) in failed {
            let name = format!("{name}::{function}");
            let times = {
                let mut record = lock(record);
                let times = record.failures.entry(name.clone()).or_default();
                *times += 1;
                *times
            };
            // Written after each run, to be read while the tests go on.
            if times == 1 {
                println!("{name} failed for the first time:\n{output}");
            }
        }
        Ok(())
    }
}

/// Returns what is wrong with a run besides failed tests: it was interrupted, or did not execute all
/// selected tests.
fn trouble(text: &str, status: ExitStatus, chosen: usize) -> Option<String> {
    let mut tally = Tally::default();
    text.lines().for_each(|line| tally.read(line));
    let executed = tally.executed();
    if executed != chosen as u64 {
        return Some(format!("{status}, {executed} of {chosen} tests executed"));
    }
    (tally.failed == 0 && !status.success()).then(|| status.to_string())
}

/// Returns the failed tests with their output.
fn failed(text: &str) -> Vec<(String, String)> {
    let names = text.lines().filter_map(super::tally::failed_test);
    let output_of = |name: &str| {
        let head = format!("---- {name} stdout ----\n");
        let from = text.split_once(&head).map_or("no output", |(_, rest)| rest);
        // Up to the output of the next test, or the list of names.
        let end = ["\n---- ", "\nfailures:\n"]
            .iter()
            .filter_map(|mark| from.find(mark))
            .min();
        from[..end.unwrap_or(from.len())].trim_end().to_owned()
    };
    names
        .map(|name| (name.to_owned(), output_of(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn failures_are_reported_with_their_output() {
        let text = "running 3 tests\ntest a ... FAILED\ntest b ... ok\ntest c::d ... FAILED\n\nfailures:\n\n\
                    ---- a stdout ----\nleft: 1\nright: 2\n\n---- c::d stdout ----\nboom\n\n\nfailures:\n    a\n    c::d\n";
        let expected = [("a", "left: 1\nright: 2"), ("c::d", "boom")]
            .map(|(name, output)| (name.to_owned(), output.to_owned()));
        assert_eq!(failed(text), expected);
        assert_eq!(failed("test b ... ok\n"), []);
    }

    #[test]
    fn twenty_passes_admit() {
        let none = BTreeMap::new();
        assert!(verdict(3, 19, &none).contains("after 20 green runs"));
        assert_eq!(
            verdict(3, 20, &none),
            "3 tests passed 20 times in a row: admitted"
        );
    }

    #[test]
    fn skipped_test_is_not_admitted() {
        let skipped = [("a::b", "no tcx"), ("a::c", "no cgroup"), ("d", "no tcx")];
        let skipped = skipped.map(|(name, reason)| (name.to_owned(), reason.to_owned()));
        assert_eq!(
            verdict(5, 20, &skipped.into()),
            "2 tests passed 20 times in a row: admitted; 3 skipped: no cgroup; no tcx"
        );
    }

    #[test]
    fn program_executes_all_selected_tests() {
        let [good, bad] = [0, 101 << 8].map(ExitStatus::from_raw);
        let result = |passed, failed| {
            format!("test result: ok. {passed} passed; {failed} failed; 0 ignored; 0 measured\n")
        };
        assert_eq!(trouble(&result(3, 0), good, 3), None);
        assert_eq!(trouble(&result(2, 1), bad, 3), None);
        // It ended without a result, or a test does not exist.
        for (text, status) in [
            ("running 3 tests\n", good),
            (&result(2, 0), good),
            ("", bad),
        ] {
            assert!(trouble(text, status, 3).is_some(), "{text}");
        }
        assert!(trouble(&result(3, 0), bad, 3).is_some());
    }
}
