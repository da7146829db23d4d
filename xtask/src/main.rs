//! Tasks of the workspace; `cargo xtask help` lists them.
//!
//! The crate does not depend on netviz, so that it builds before [`setup`] has installed the eBPF
//! toolchain.

mod collected;
mod kernels;
mod machine;
mod mutants;
mod process;
mod programs;
mod setup;
mod tasks;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;
use clap::Parser;

/// Builds, tests and releases netviz.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Install and check what the build and the tests need
    Setup,
    /// Build netviz and run its demo; needs no cluster
    Demo {
        /// Arguments for `netviz demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run all tests (as root)
    Test {
        /// Include slow tests and those that need a browser (installs it)
        #[arg(long)]
        all: bool,
        /// Filter and options for the test programs
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run the kernel tests and the demo on Debian's kernels in QEMU
    Kernels {
        /// Kernels [default: all]
        #[arg(value_enum)]
        releases: Vec<kernels::Release>,
        /// Run only scenarios whose name contains TEXT; may be repeated
        #[arg(long, value_name = "TEXT")]
        only: Vec<String>,
        /// Skip scenarios that take minutes in emulation; default kernels: 6.1 and 6.12
        #[arg(long)]
        quick: bool,
    },
    /// Run tests repeatedly; a test is admitted after 20 passes in a row
    Flaky {
        /// Number of runs
        runs: u32,
        /// Run only tests whose name, such as `attach::sigterm`, contains one of these
        filters: Vec<String>,
    },
    /// Break each invariant on purpose and check that a test fails
    Mutants {
        /// Run only mutants whose name contains one of these
        filters: Vec<String>,
    },
    /// Build the static binary into target/dist and check it
    Dist,
    /// Run all checks that a change must pass
    Ci,
    /// Run the benchmark (as root)
    Bench {
        /// Arguments for the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup => setup::run().map(drop),
        Task::Demo { args } => tasks::demo::run(&args),
        Task::Test { all, args } => tasks::test::run(all, &args),
        Task::Kernels {
            releases,
            only,
            quick: false,
        } => {
            let releases = kernels::Release::asked_for(releases, kernels::Release::all());
            kernels::run(&releases, &only, kernels::Extent::Whole)
        }
        Task::Kernels { releases, only, .. } => {
            let releases = kernels::Release::asked_for(releases, &kernels::Release::OFTEN);
            kernels::run(&releases, &only, kernels::Extent::Quick)
        }
        Task::Flaky { runs, filters } => tasks::flaky::run(runs, &filters),
        Task::Mutants { filters } => mutants::run(&filters),
        Task::Dist => tasks::dist::run(),
        Task::Ci => tasks::ci::run(),
        Task::Bench { args } => tasks::bench::run(&args),
    }
}
