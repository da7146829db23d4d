//! Tasks of the workspace: `cargo xtask help` lists them.
//!
//! The crate does not depend on netviz, so that it builds on a machine on which the eBPF half
//! cannot be built yet: [`setup`] is what changes that.

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

/// Everything that is done with the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Installs what the build and the tests need, and checks it
    Setup,
    /// Builds netviz and shows its demo: no cluster needed
    Demo {
        /// Arguments for `netviz demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs every test (as root)
    Test {
        /// Also the tests that take long, or a browser (which is installed)
        #[arg(long)]
        all: bool,
        /// Filter and options for the test programs
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs the kernel tests and the demo on Debian's kernels in QEMU
    Kernels {
        /// Kernels; all without
        #[arg(value_enum)]
        releases: Vec<kernels::Release>,
        /// Only scenarios whose name contains this; may be given several times
        #[arg(long, value_name = "TEXT")]
        only: Vec<String>,
        /// 6.1 and 6.12 alone where none is named, without what takes minutes in emulation
        #[arg(long)]
        quick: bool,
    },
    /// Runs tests many times in a row: one is admitted after 20 green runs
    Flaky {
        /// How many times
        runs: u32,
        /// Only tests whose name, such as `attach::sigterm`, contains one of these
        filters: Vec<String>,
    },
    /// Breaks each invariant on purpose, and checks that a test notices
    Mutants {
        /// Only mutants whose name contains one of these
        filters: Vec<String>,
    },
    /// Builds the one static binary into target/dist, and checks it
    Dist,
    /// Everything that a change has to pass
    Ci,
    /// Runs the benchmark (as root)
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
