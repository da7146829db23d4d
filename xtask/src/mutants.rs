//! `cargo xtask mutants`: breaks each invariant on purpose, in a copy of the tree; a test must fail. A
//! mutant that survives shows a missing test.

mod patch;
mod tree;

use std::{fs, process::Stdio, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    collected::{Collected, SKIPPED_VARIABLE},
    process::{self, cargo, log, root, seconds, step, target},
    programs, setup,
};
use patch::Mutant;
use tree::Tree;

/// Directory of the mutants.
const DIRECTORY: &str = "tests/mutants";

/// Result of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Every named test failed, twice in a row.
    Caught,
    /// These tests passed.
    Survived(Vec<String>),
    /// Could not be tried; why.
    Broken(String),
}

/// Runs the mutants whose name contains one of `filters`, or all.
pub(crate) fn run(filters: &[String]) -> Result<()> {
    let start = Instant::now();
    setup::run()?;
    let mut mutants = all()?;
    mutants.retain(|mutant| programs::is_asked_for(&mutant.name, filters));
    if mutants.is_empty() {
        bail!("no mutant in {DIRECTORY} matches");
    }
    // Fail before anything is built.
    mutants
        .iter()
        .try_for_each(|mutant| tree::applies(&root(), mutant))?;
    let tree = Tree::new(target().join("mutants"));
    check_unbroken(&tree, &mutants)?;
    let mut verdicts = Vec::new();
    for mutant in &mutants {
        let verdict = step(format_args!("mutant {}", mutant.name), || {
            run_mutant(&tree, mutant)
        })?;
        verdicts.push((mutant, verdict));
    }
    tree.restore()?;
    report(&verdicts, start)
}

/// Reads all mutants, sorted by name.
fn all() -> Result<Vec<Mutant>> {
    let directory = root().join(DIRECTORY);
    let mut mutants = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {DIRECTORY}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "patch") {
            let text = fs::read_to_string(&path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            mutants
                .push(Mutant::read(&name, &text).with_context(|| format!("{}", path.display()))?);
        }
    }
    mutants.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mutants)
}

/// Checks that every test passes without a mutant; otherwise its failure would prove nothing. A skipped
/// test is reported with the mutants that name it.
fn check_unbroken(tree: &Tree, mutants: &[Mutant]) -> Result<()> {
    tree.restore()?;
    let mut tests: Vec<_> = mutants.iter().flat_map(|it| it.tests.clone()).collect();
    tests.sort();
    tests.dedup();
    step(
        format_args!("the {} tests without a mutant", tests.len()),
        || {
            for test in &tests {
                let outcome = outcome(tree, test)?;
                if !matches!(outcome, Outcome::Passed | Outcome::Skipped(_)) {
                    bail!("{test} does not pass without a mutant: {outcome:?}");
                }
            }
            Ok(())
        },
    )
}

fn run_mutant(tree: &Tree, mutant: &Mutant) -> Result<Verdict> {
    tree.restore()?;
    if let Err(error) = tree.apply(mutant) {
        return Ok(Verdict::Broken(format!("{error:#}")));
    }
    let mut passed = Vec::new();
    for test in &mutant.tests {
        match last_of_two(|| outcome(tree, test))? {
            Outcome::Failed => {}
            Outcome::Passed => passed.push(test.clone()),
            Outcome::Skipped(why) => {
                return Ok(Verdict::Broken(format!("{test} is skipped here: {why}")));
            }
            Outcome::NotRun(why) => return Ok(Verdict::Broken(why)),
        }
    }
    Ok(if passed.is_empty() {
        Verdict::Caught
    } else {
        Verdict::Survived(passed)
    })
}

/// Runs a failed test again and returns the second outcome: a single failure may have another cause
/// than the mutant.
fn last_of_two(mut outcome: impl FnMut() -> Result<Outcome>) -> Result<Outcome> {
    match outcome()? {
        Outcome::Failed => outcome(),
        other => Ok(other),
    }
}

/// Result of one test.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// This machine cannot run it, which the harness counts as passed; why.
    Skipped(String),
    /// Not built, or no such test.
    NotRun(String),
}

/// Builds and runs one test, `file::function`, or `lib::path` for one in netviz.
fn outcome(tree: &Tree, test: &str) -> Result<Outcome> {
    let (file, function) = test
        .split_once("::")
        .with_context(|| format!("{test} is not file::function"))?;
    let mut command = cargo();
    command.args(["test", "--quiet", "-p", "netviz", "-p", "netviz-tests"]);
    match file {
        "lib" => command.arg("--lib"),
        // An integration test of netviz makes cargo build the binary that the tests start.
        _ => command.args(["--test", file, "--test", "start"]),
    };
    command.args(["--no-fail-fast", "--", "--exact", function]);
    tree.enter(&mut command);
    let skipped = Collected::begin(&tree.skipped())?;
    command.env(SKIPPED_VARIABLE, &skipped.0);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", process::line(&command)))?;
    Ok(read(
        test,
        &String::from_utf8_lossy(&output.stdout),
        &String::from_utf8_lossy(&output.stderr),
        skipped.skips()?.into_values().next(),
    ))
}

fn read(test: &str, stdout: &str, stderr: &str, skipped: Option<String>) -> Outcome {
    let count = |word: &str| {
        let results = stdout
            .lines()
            .filter_map(|line| line.strip_prefix("test result: "));
        results
            .filter(|line| line.contains(&format!(" 1 {word};")))
            .count()
    };
    match (count("passed"), count("failed")) {
        (1, 0) => skipped.map_or(Outcome::Passed, Outcome::Skipped),
        (0, 1) => Outcome::Failed,
        _ => {
            let error = stderr.lines().find(|line| line.starts_with("error"));
            Outcome::NotRun(format!(
                "{test} was not run: {}",
                error.unwrap_or("no such test")
            ))
        }
    }
}

fn report(verdicts: &[(&Mutant, Verdict)], start: Instant) -> Result<()> {
    let (mut survivors, mut broken) = (0, 0);
    for (mutant, verdict) in verdicts {
        let Mutant {
            name,
            invariant,
            breaks,
            tests,
            ..
        } = mutant;
        match verdict {
            Verdict::Caught => println!(
                "caught    {invariant}  {name}: {breaks} ({})",
                tests.join(", ")
            ),
            Verdict::Survived(tests) => {
                survivors += 1;
                println!(
                    "SURVIVED  {invariant}  {name}: {breaks}; {} passed",
                    tests.join(", ")
                );
            }
            Verdict::Broken(why) => {
                broken += 1;
                println!("BROKEN    {invariant}  {name}: {why}");
            }
        }
    }
    log(format_args!(
        "{} mutants in {}",
        verdicts.len(),
        seconds(start.elapsed())
    ));
    println!("{survivors} of {} mutants survived", verdicts.len());
    if survivors + broken > 0 {
        bail!("{survivors} mutants survived, {broken} could not be run");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "test result: ok. 0 passed; 0 failed; 0 ignored\n";

    #[test]
    fn only_a_test_that_ran_counts() {
        let passed = format!("{NONE}test result: ok. 1 passed; 0 failed; 0 ignored\n");
        let failed = format!("{NONE}test result: FAILED. 0 passed; 1 failed; 0 ignored\n");
        let read = |stdout: &str, stderr: &str| read("a::b", stdout, stderr, None);
        assert_eq!(read(&passed, ""), Outcome::Passed);
        assert_eq!(read(&failed, "error: test failed"), Outcome::Failed);
        assert!(matches!(read(NONE, ""), Outcome::NotRun(_)));
        let error = read("", "warning: x\nerror[E0425]: cannot find value\n");
        assert_eq!(
            error,
            Outcome::NotRun("a::b was not run: error[E0425]: cannot find value".into())
        );
    }

    #[test]
    fn skipped_test_has_not_passed() {
        let skipped = || Some("no tcx".to_owned());
        let passed = "test result: ok. 1 passed; 0 failed; 0 ignored\n";
        let outcome = read("a::b", passed, "", skipped());
        assert_eq!(outcome, Outcome::Skipped("no tcx".into()));
        // A failure counts nevertheless.
        let failed = "test result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        assert_eq!(read("a::b", failed, "", skipped()), Outcome::Failed);
    }

    #[test]
    fn single_failure_is_no_catch() {
        let last = |outcomes: &[bool]| {
            let mut outcomes = outcomes.iter().map(|passed| match passed {
                true => Outcome::Passed,
                false => Outcome::Failed,
            });
            let last = last_of_two(|| outcomes.next().context("run once more"));
            (last.unwrap(), outcomes.count())
        };
        assert_eq!(last(&[false, false, true]), (Outcome::Failed, 1));
        assert_eq!(last(&[false, true]), (Outcome::Passed, 0));
        assert_eq!(last(&[true, false]), (Outcome::Passed, 1));
    }

    /// A patch that does not apply breaks nothing, and so proves nothing.
    #[test]
    fn every_mutant_applies_and_names_a_test() {
        let mutants = all().unwrap();
        for mutant in &mutants {
            tree::applies(&root(), mutant).unwrap();
            for test in &mutant.tests {
                assert!(programs::is_test(test), "{}: no test {test}", mutant.name);
            }
        }
        for invariant in 1..=6 {
            let broken = mutants.iter().any(|mutant| mutant.invariant == invariant);
            assert!(broken, "no mutant breaks invariant {invariant}");
        }
    }
}
