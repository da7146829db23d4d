//! `cargo xtask test`: every test of the workspace, and one line that sums them up.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Write},
    panic::resume_unwind,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::{collected::Collected, dist, tally::Tally};
use crate::{
    kernels::{self, Extent},
    machine, mutants,
    process::{cargo, line, say, seconds, step, target},
    programs, setup,
};

/// As `netviz_tests::skip` and `netviz_tests::mangle` call them.
const SKIPPED_VARIABLE: &str = "NETVIZ_SKIPPED";
const FUZZ_VARIABLE: &str = "NETVIZ_FUZZ_SECONDS";
/// For each parser, where time is no object.
const FUZZ_SECONDS: &str = "600";
/// As `faults::flat` calls it: how long pods come and go.
const CHURN_VARIABLE: &str = "NETVIZ_CHURN_SECONDS";
const CHURN_SECONDS: &str = "3600";
/// As `verify_lab::often` calls it: how many in a row, in each mode.
const RUNS_VARIABLE: &str = "NETVIZ_VERIFY_RUNS";
const RUNS: &str = "100";
/// The same: how many pods send to all others.
const PODS_VARIABLE: &str = "NETVIZ_VERIFY_PODS";
const PODS: &str = "100";
/// As `netviz_tests::fault` calls it.
const FAULTS_VARIABLE: &str = "NETVIZ_FAULTS";

/// What takes long, and how long where it may.
const LONG: [(&str, &str); 4] = [
    (FUZZ_VARIABLE, FUZZ_SECONDS),
    (CHURN_VARIABLE, CHURN_SECONDS),
    (RUNS_VARIABLE, RUNS),
    (PODS_VARIABLE, PODS),
];

/// Tests that cargo builds and runs at once.
struct Group {
    name: &'static str,
    select: &'static [&'static str],
    /// Whether there may be none. Elsewhere, nothing executed means that nothing was tested.
    may_be_empty: bool,
}

/// What needs processors and no kernel. netviz is always selected together with its tests: by itself, it
/// would be built once more, with the features that it has alone.
const FIRST: [Group; 3] = [
    Group::new("xtask", &["-p", "xtask"]),
    Group::new("the shared structures", &["-p", "netviz-ebpf", "--lib"]),
    Group::new(
        "user space",
        &["-p", "netviz", "-p", "netviz-tests", "--lib", "--bins"],
    ),
];

/// What waits for the kernel's grace periods for nine tenths of its time.
const THEN: [Group; 2] = [
    Group::new(
        "the kernel",
        &["-p", "netviz", "-p", "netviz-tests", "--test", "*"],
    ),
    Group {
        may_be_empty: true,
        ..Group::new(
            "the documentation",
            &["-p", "netviz", "-p", "netviz-tests", "--doc"],
        )
    },
];

impl Group {
    const fn new(name: &'static str, select: &'static [&'static str]) -> Self {
        Self {
            name,
            select,
            may_be_empty: false,
        }
    }
}

/// Prepares the machine and runs the tests; `args` go to the test programs.
pub(crate) fn run(all: bool, args: &[OsString]) -> Result<()> {
    if !machine::is_root() {
        bail!("the kernel tests make network namespaces and load eBPF programs: run as root");
    }
    setup::run()?;
    if all {
        setup::browser()?;
    }
    tests(all, args)?;
    if all && args.is_empty() {
        mutants::run(&[])?;
    }
    Ok(())
}

/// Runs the tests on a machine that is prepared.
pub(super) fn tests(all: bool, args: &[OsString]) -> Result<()> {
    let start = Instant::now();
    let skipped = Collected::begin(&target().join("skipped.txt"))?;
    let faults = Collected::begin(&target().join("faults.txt"))?;
    let mut tests = Tests {
        all,
        args,
        environment: vec![
            (SKIPPED_VARIABLE, skipped.0.clone().into()),
            (FAULTS_VARIABLE, faults.0.clone().into()),
        ],
        total: Tally::default(),
        broken: Vec::new(),
    };
    if all {
        let long = LONG.iter().filter(|(name, _)| env::var_os(name).is_none());
        let long = long.map(|&(name, value)| (name, value.into()));
        tests.environment.extend(long);
    }
    tests.run(&FIRST)?;
    // What was asked for by name is asked of this machine's kernel.
    if args.is_empty() {
        // Now, with all processors, and not by the first who needs them.
        step("building the test programs", programs::build)?;
        thread::scope(|scope| {
            let beside = scope.spawn(|| beside(all));
            let ran = tests.run(&THEN);
            let beside = beside.join().unwrap_or_else(|panic| resume_unwind(panic));
            tests.take(beside);
            ran
        })?;
    } else {
        tests.run(&THEN)?;
    }
    let Tests {
        mut total,
        mut broken,
        ..
    } = tests;
    if total.executed() == 0 {
        broken.push("no test was executed".into());
    }
    for line in skipped.lines() {
        say(format_args!("skipped: {line}"));
        total.passed = total.passed.saturating_sub(1);
        total.ignored += 1;
    }
    table(&faults.lines());
    report(&total, &broken, start)
}

/// What is run, and what became of it so far.
struct Tests<'a> {
    all: bool,
    args: &'a [OsString],
    environment: Vec<(&'static str, OsString)>,
    total: Tally,
    broken: Vec<String>,
}

impl Tests<'_> {
    fn run(&mut self, groups: &[Group]) -> Result<()> {
        for Group {
            name,
            select,
            may_be_empty,
        } in groups
        {
            let mut command = cargo();
            command
                .envs(self.environment.iter().cloned())
                .arg("test")
                .args(*select)
                .args(["--no-fail-fast", "--"])
                .args(self.all.then_some("--include-ignored"))
                .args(self.args);
            let run = step(format_args!("testing {name}"), || {
                observe(&mut command, &mut io::stdout())
            })?;
            let may_be_empty = *may_be_empty || !self.args.is_empty();
            self.broken.extend(complaint(name, &run, may_be_empty));
            self.total.add(run.tally);
        }
        Ok(())
    }

    fn take(&mut self, beside: Beside) {
        let Beside { binary, kernels } = beside;
        if let Err(error) = binary {
            self.broken.push(format!("the static binary: {error:#}"));
        }
        match kernels {
            Ok(summary) => {
                print!("{}", summary.table);
                for line in &summary.skipped {
                    say(format_args!("skipped: {line}"));
                }
                self.total.add(Tally {
                    passed: summary.passed,
                    failed: summary.failures.len() as u64,
                    ignored: summary.skipped.len() as u64,
                    failures: summary.failures,
                });
            }
            Err(error) => self.broken.push(format!("other kernels: {error:#}")),
        }
    }
}

/// What is done beside the tests of this kernel.
struct Beside {
    /// It is built and starts in an empty root.
    binary: Result<()>,
    kernels: Result<kernels::Summary>,
}

/// Needs nothing but processors, and has them when the tests of this kernel do not want them.
fn beside(all: bool) -> Beside {
    if let Err(error) = machine::give_way() {
        say(format_args!("the tests have company: {error}"));
    }
    let extent = if all { Extent::Whole } else { Extent::Quick };
    Beside {
        binary: dist::in_tests(),
        kernels: step("testing other kernels", || kernels::in_tests(extent)),
    }
}

/// What the tests said of each fault.
fn table(rows: &[String]) {
    if rows.is_empty() {
        return;
    }
    let (scenario, fault) = ("scenario", "fault");
    println!(
        "{scenario:<12} {fault:<58}      sent  received    counted  (* the rest was said not to be)"
    );
    let mut rows = rows.to_vec();
    rows.sort();
    for row in rows {
        println!("{row}");
    }
}

/// One run of cargo, as it ended.
struct Run {
    tally: Tally,
    /// The command line, if cargo ended without success.
    failed: Option<String>,
}

/// Runs cargo, passes its output on line by line and reads along.
fn observe(command: &mut Command, terminal: &mut impl Write) -> Result<Run> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let mut tally = Tally::default();
    for output in BufReader::new(child.stdout.take().context("cargo has no stdout")?).split(b'\n') {
        let output = output?;
        tally.read(&String::from_utf8_lossy(&output));
        // A closed pipe must not end the tests.
        let _ = terminal
            .write_all(&output)
            .and_then(|()| terminal.write_all(b"\n"));
    }
    let status = child.wait()?;
    let failed = (!status.success()).then(|| format!("`{}` failed ({status})", line(command)));
    Ok(Run { tally, failed })
}

/// What is wrong with a run besides the tests that it counted. A filter may leave a run empty.
fn complaint(name: &str, run: &Run, may_be_empty: bool) -> Option<String> {
    let Run { tally, failed } = run;
    match failed {
        Some(failed) if tally.failed == 0 => Some(failed.clone()),
        None if !may_be_empty && tally.executed() == 0 => {
            Some(format!("no test of {name} was executed"))
        }
        _ => None,
    }
}

fn report(total: &Tally, broken: &[String], start: Instant) -> Result<()> {
    let Tally {
        passed,
        failed,
        ignored,
        failures,
    } = total;
    for name in failures {
        say(format_args!("failed: {name}"));
    }
    for complaint in broken {
        say(format_args!("failed: {complaint}"));
    }
    say(format_args!("all of it in {}", seconds(start.elapsed())));
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    if *failed > 0 || !broken.is_empty() {
        bail!("the tests failed: see the lines above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(passed: u64, failed: u64, status: Option<&str>) -> Run {
        let tally = Tally {
            passed,
            failed,
            ..Tally::default()
        };
        Run {
            tally,
            failed: status.map(Into::into),
        }
    }

    #[test]
    fn a_run_that_passed_is_fine() {
        assert_eq!(complaint("x", &run(3, 0, None), false), None);
    }

    #[test]
    fn a_run_without_tests_is_wrong_unless_filtered() {
        let message = complaint("x", &run(0, 0, None), false);
        assert_eq!(message.as_deref(), Some("no test of x was executed"));
        assert_eq!(complaint("x", &run(0, 0, None), true), None);
    }

    #[test]
    fn a_run_that_broke_off_is_wrong_though_no_test_failed() {
        let message = complaint("x", &run(3, 0, Some("cargo failed")), true);
        assert_eq!(message.as_deref(), Some("cargo failed"));
    }

    #[test]
    fn failed_tests_are_named_once() {
        assert_eq!(complaint("x", &run(3, 1, Some("cargo failed")), true), None);
    }

    #[test]
    fn the_output_is_counted_and_the_status_kept() {
        let script = "echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored'; exit 101";
        let mut output = Vec::new();
        let run = observe(Command::new("sh").args(["-c", script]), &mut output).unwrap();
        assert_eq!(
            output,
            b"test result: FAILED. 2 passed; 1 failed; 0 ignored\n"
        );
        assert_eq!((run.tally.passed, run.tally.failed), (2, 1));
        assert!(run.failed.is_some());
    }
}
