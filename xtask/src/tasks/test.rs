//! `cargo xtask test`: all tests of the workspace, and one line with their totals.

use std::{env, ffi::OsString, fs, io, panic::resume_unwind, thread, time::Instant};

use anyhow::{Context as _, Result, bail};

use super::{dist, run::Run, tally::Tally};
use crate::{
    collected::{Collected, SKIPPED_VARIABLE},
    kernels::{self, Extent},
    machine, mutants,
    process::{cargo, log, seconds, side_by_side, step, target},
    programs::{self, AT_A_TIME, Program},
    setup,
};

/// Seconds per parser, for `netviz_tests::builders::fuzz`.
const FUZZ_VARIABLE: &str = "NETVIZ_FUZZ_SECONDS";
const FUZZ_SECONDS: &str = "600";
/// Seconds of pod churn, for `faults::leaks`.
const CHURN_VARIABLE: &str = "NETVIZ_CHURN_SECONDS";
const CHURN_SECONDS: &str = "3600";
/// Number of runs in each mode, for `verify_lab::repeated_runs`.
const RUNS_VARIABLE: &str = "NETVIZ_VERIFY_RUNS";
const RUNS: &str = "100";
/// Number of pods that send to all others, for `verify_lab::repeated_runs`.
const PODS_VARIABLE: &str = "NETVIZ_VERIFY_PODS";
const PODS: &str = "100";
/// Names the file of the fault table, for `netviz_tests::cli::fault_table`.
const FAULTS_VARIABLE: &str = "NETVIZ_FAULTS";

/// Settings of `--all`.
const LONG: [(&str, &str); 4] = [
    (FUZZ_VARIABLE, FUZZ_SECONDS),
    (CHURN_VARIABLE, CHURN_SECONDS),
    (RUNS_VARIABLE, RUNS),
    (PODS_VARIABLE, PODS),
];

/// Extent of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    /// Without slow tests.
    Ordinary,
    /// With the static binary, which takes longest to build.
    Gate,
    /// With slow tests and all other kernels.
    All,
}

/// Tests that cargo builds and runs in one command.
struct Group {
    name: &'static str,
    select: &'static [&'static str],
    /// Whether it may have no test. Otherwise, no executed test is a failure.
    may_be_empty: bool,
}

/// Tests that need no kernel features. netviz is always selected together with netviz-tests; by itself,
/// it would be rebuilt with other features of its dependencies.
const FIRST: [Group; 3] = [
    Group::new("xtask", &["-p", "xtask"]),
    Group::new("the shared structures", &["-p", "netviz-ebpf", "--lib"]),
    Group::new(
        "user space",
        &["-p", "netviz", "-p", "netviz-tests", "--lib", "--bins"],
    ),
];

/// Tests that run after those of this kernel.
const LAST: [Group; 1] = [Group {
    may_be_empty: true,
    ..Group::new(
        "the documentation",
        &["-p", "netviz", "-p", "netviz-tests", "--doc"],
    )
}];

impl Group {
    const fn new(name: &'static str, select: &'static [&'static str]) -> Self {
        Self {
            name,
            select,
            may_be_empty: false,
        }
    }
}

/// Sets the machine up and runs the tests; `args` go to the test programs.
pub(crate) fn run(all: bool, args: &[OsString]) -> Result<()> {
    if !machine::is_root() {
        bail!("not root: the kernel tests create network namespaces and load eBPF programs");
    }
    setup::run()?;
    if all {
        setup::browser()?;
    }
    let amount = if all { Amount::All } else { Amount::Ordinary };
    tests(amount, args)?;
    if all && args.is_empty() {
        mutants::run(&[])?;
    }
    Ok(())
}

/// Runs the tests, after setup.
pub(super) fn tests(amount: Amount, args: &[OsString]) -> Result<()> {
    let start = Instant::now();
    let skipped = Collected::begin(&target().join("skipped.txt"))?;
    let faults = Collected::begin(&target().join("faults.txt"))?;
    let all = amount == Amount::All;
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
    let programs = step("building the test programs", programs::build)?.tests;
    // Named tests run only on this machine's kernel.
    if !args.is_empty() {
        tests.here(programs)?;
    } else {
        let elsewhere = thread::scope(|scope| -> Result<_> {
            let beside = scope.spawn(|| {
                if let Err(error) = machine::give_way() {
                    log(format_args!(
                        "cannot lower the priority of the build: {error}"
                    ));
                }
                Elsewhere::prepare(amount)
            });
            let ran = tests.here(programs);
            let ready = beside.join().unwrap_or_else(|panic| resume_unwind(panic));
            ran.map(|()| ready)
        })?;
        // Afterwards: both need all processors, and both have time limits.
        tests.elsewhere(elsewhere);
    }
    let Tests {
        mut total,
        mut broken,
        ..
    } = tests;
    if total.executed() == 0 {
        broken.push("no test was executed".into());
    }
    for line in skipped.lines()? {
        log(format_args!("skipped: {line}"));
        total.passed = total.passed.saturating_sub(1);
        total.ignored += 1;
    }
    print_faults(&faults.lines()?);
    report(&total, &broken, start)
}

/// A test run and its results so far.
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
                Run::of_cargo(&mut command, &mut io::stdout())
            })?;
            let may_be_empty = *may_be_empty || !self.args.is_empty();
            self.broken.extend(run.complaint(name, may_be_empty));
            self.total.add(run.tally);
        }
        Ok(())
    }

    /// Runs the tests of this kernel, and those that follow.
    fn here(&mut self, programs: Vec<Program>) -> Result<()> {
        self.kernel(programs)?;
        self.run(&LAST)
    }

    /// Runs the tests of this kernel.
    fn kernel(&mut self, mut programs: Vec<Program>) -> Result<()> {
        programs.sort_by_key(Program::rank);
        let directory = target().join("tests");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let what = format!(
            "testing the kernel, {AT_A_TIME} of {} programs at a time",
            programs.len()
        );
        let runs = step(what, || {
            let run = |program: &Program| {
                let log = directory.join(format!("{}.log", program.name));
                let mut command = program.command();
                command
                    .envs(self.environment.iter().cloned())
                    .args(self.all.then_some("--include-ignored"))
                    .args(self.args);
                Run::of_program(&program.name, &mut command, &log, &mut io::stdout())
            };
            let runs = side_by_side(&programs, AT_A_TIME, run);
            runs.into_iter().collect::<Result<Vec<_>>>()
        })?;
        let is_filtered = !self.args.is_empty();
        let mut all = Run::default();
        for (Program { name, .. }, run) in programs.iter().zip(runs) {
            self.broken
                .extend(run.complaint_of_program(name, is_filtered));
            all.tally.add(run.tally);
        }
        self.broken.extend(all.complaint("the kernel", is_filtered));
        self.total.add(all.tally);
        Ok(())
    }

    /// Runs the tests on other kernels.
    fn elsewhere(&mut self, ready: Elsewhere) {
        let Elsewhere { binary, kernels } = ready;
        if let Err(error) = binary {
            self.broken.push(format!("the static binary: {error:#}"));
        }
        match step("testing other kernels", || kernels?.run()) {
            Ok(table) => {
                print!("{table}");
                for line in &table.skipped {
                    log(format_args!("skipped: {line}"));
                }
                self.total.add(Tally {
                    passed: table.passed,
                    failed: table.failures.len() as u64,
                    ignored: table.skipped.len() as u64,
                    failures: table.failures,
                });
            }
            Err(error) => self.broken.push(format!("other kernels: {error:#}")),
        }
    }
}

/// The static binary and other kernels, prepared while the tests of this kernel run.
struct Elsewhere {
    /// Result of its build and check, if requested.
    binary: Result<()>,
    kernels: Result<kernels::Ready>,
}

impl Elsewhere {
    fn prepare(amount: Amount) -> Self {
        let (binary, extent) = match amount {
            Amount::Ordinary => (Ok(()), Extent::Quick),
            Amount::Gate => (dist::in_tests(), Extent::Quick),
            Amount::All => (dist::in_tests(), Extent::Whole),
        };
        Self {
            binary,
            kernels: step("preparing other kernels", || kernels::Ready::get(extent)),
        }
    }
}

/// Prints the table of faults.
fn print_faults(rows: &[String]) {
    if rows.is_empty() {
        return;
    }
    let (scenario, fault) = ("scenario", "fault");
    println!(
        "{scenario:<12} {fault:<58}      sent  received    counted  (* the rest reported as not counted)"
    );
    let mut rows = rows.to_vec();
    rows.sort();
    for row in rows {
        println!("{row}");
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
        log(format_args!("failed: {name}"));
    }
    for complaint in broken {
        log(format_args!("failed: {complaint}"));
    }
    log(format_args!("finished in {}", seconds(start.elapsed())));
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    if *failed > 0 || !broken.is_empty() {
        bail!("the tests failed: see the lines above");
    }
    Ok(())
}
