//! `cargo xtask mutants`: each invariant is broken on purpose, in a copy of the tree, and a test has
//! to notice. A mutant that survives shows a test that is missing.

mod patch;
mod tree;

use std::{fs, process::Stdio, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    collected::{Collected, SKIPPED_VARIABLE},
    process::{self, cargo, root, say, seconds, step, target},
    programs, setup,
};
use patch::Mutant;
use tree::Tree;

/// Where the mutants are.
const DIRECTORY: &str = "tests/mutants";

/// What the tests made of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// Every test that it names failed, twice in a row.
    Caught,
    /// These did not.
    Survived(Vec<String>),
    /// Nobody can tell; why.
    Broken(String),
}

/// Tries the mutants whose name contains one of `filters`, or all.
pub(crate) fn run(filters: &[String]) -> Result<()> {
    let start = Instant::now();
    setup::run()?;
    let mut mutants = all()?;
    mutants.retain(|mutant| programs::is_asked_for(&mutant.name, filters));
    if mutants.is_empty() {
        bail!("no mutant in {DIRECTORY} is called so");
    }
    // Before anything is built.
    mutants
        .iter()
        .try_for_each(|mutant| tree::applies(&root(), mutant))?;
    let tree = Tree::new(target().join("mutants"));
    sound(&tree, &mutants)?;
    let mut fates = Vec::new();
    for mutant in &mutants {
        let fate = step(format_args!("mutant {}", mutant.name), || {
            tried(&tree, mutant)
        })?;
        fates.push((mutant, fate));
    }
    tree.restore()?;
    report(&fates, start)
}

/// All mutants by name.
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

/// Every test that is to catch something passes where nothing is broken: else it would prove
/// nothing by failing. Of one that is skipped here, nothing is known: the mutants say so that need it.
fn sound(tree: &Tree, mutants: &[Mutant]) -> Result<()> {
    tree.restore()?;
    let mut tests: Vec<_> = mutants.iter().flat_map(|it| it.tests.clone()).collect();
    tests.sort();
    tests.dedup();
    step(
        format_args!("the {} tests, nothing broken", tests.len()),
        || {
            for test in &tests {
                let outcome = outcome(tree, test)?;
                if !matches!(outcome, Outcome::Passed | Outcome::Skipped(_)) {
                    bail!("{test} does not pass where nothing is broken: {outcome:?}");
                }
            }
            Ok(())
        },
    )
}

fn tried(tree: &Tree, mutant: &Mutant) -> Result<Fate> {
    tree.restore()?;
    if let Err(error) = tree.apply(mutant) {
        return Ok(Fate::Broken(format!("{error:#}")));
    }
    let mut passed = Vec::new();
    for test in &mutant.tests {
        match last_of_two(|| outcome(tree, test))? {
            Outcome::Failed => {}
            Outcome::Passed => passed.push(test.clone()),
            Outcome::Skipped(why) => {
                return Ok(Fate::Broken(format!("{test} is skipped here: {why}")));
            }
            Outcome::NotRun(why) => return Ok(Fate::Broken(why)),
        }
    }
    Ok(if passed.is_empty() {
        Fate::Caught
    } else {
        Fate::Survived(passed)
    })
}

/// A test that fails is run again, and what becomes of it then is what counts: once, it may fail for
/// another reason than the mutant.
fn last_of_two(mut outcome: impl FnMut() -> Result<Outcome>) -> Result<Outcome> {
    match outcome()? {
        Outcome::Failed => outcome(),
        other => Ok(other),
    }
}

/// What became of one test.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// This machine cannot run it, which the harness calls passed; why.
    Skipped(String),
    /// Not built, or not there.
    NotRun(String),
}

/// Builds and runs one test, `file::function` or, for one of netviz's own, `lib::path`.
fn outcome(tree: &Tree, test: &str) -> Result<Outcome> {
    let (file, function) = test
        .split_once("::")
        .with_context(|| format!("{test} is not file::function"))?;
    let mut command = cargo();
    command.args(["test", "--quiet", "-p", "netviz", "-p", "netviz-tests"]);
    match file {
        "lib" => command.arg("--lib"),
        // With a test of netviz's own, cargo builds the program that the tests start.
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
                error.unwrap_or("there is no such test")
            ))
        }
    }
}

fn report(fates: &[(&Mutant, Fate)], start: Instant) -> Result<()> {
    let (mut survivors, mut broken) = (0, 0);
    for (mutant, fate) in fates {
        let Mutant {
            name,
            invariant,
            breaks,
            tests,
            ..
        } = mutant;
        match fate {
            Fate::Caught => println!(
                "caught    {invariant}  {name}: {breaks} ({})",
                tests.join(", ")
            ),
            Fate::Survived(tests) => {
                survivors += 1;
                println!(
                    "SURVIVED  {invariant}  {name}: {breaks}; {} passed",
                    tests.join(", ")
                );
            }
            Fate::Broken(why) => {
                broken += 1;
                println!("BROKEN    {invariant}  {name}: {why}");
            }
        }
    }
    say(format_args!(
        "{} mutants in {}",
        fates.len(),
        seconds(start.elapsed())
    ));
    println!("{survivors} of {} mutants survived", fates.len());
    if survivors + broken > 0 {
        bail!("{survivors} mutants survived, {broken} could not be tried");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "test result: ok. 0 passed; 0 failed; 0 ignored\n";

    #[test]
    fn a_test_has_to_run_for_its_result_to_count() {
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
    fn a_test_that_is_skipped_has_not_passed() {
        let skipped = || Some("no tcx".to_owned());
        let passed = "test result: ok. 1 passed; 0 failed; 0 ignored\n";
        let outcome = read("a::b", passed, "", skipped());
        assert_eq!(outcome, Outcome::Skipped("no tcx".into()));
        // It failed all the same.
        let failed = "test result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        assert_eq!(read("a::b", failed, "", skipped()), Outcome::Failed);
    }

    #[test]
    fn one_failure_is_no_catch() {
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

    /// A patch that does not apply any more breaks nothing, and so proves nothing.
    #[test]
    fn every_mutant_applies_and_names_a_test() {
        let mutants = all().unwrap();
        for mutant in &mutants {
            tree::applies(&root(), mutant).unwrap();
            for test in &mutant.tests {
                assert!(
                    programs::is_test(test),
                    "{}: there is no {test}",
                    mutant.name
                );
            }
        }
        for invariant in 1..=6 {
            let broken = mutants.iter().any(|mutant| mutant.invariant == invariant);
            assert!(broken, "no mutant breaks invariant {invariant}");
        }
    }
}
