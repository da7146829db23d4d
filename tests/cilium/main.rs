//! netviz on a running Cilium, in each of its modes; [`netviz_tests::cilium::cilium_lab`] describes
//! the requirements.
//!
//! A custom harness, because the tests know only at run time whether Cilium is available. Without
//! it they are skipped, counted as skipped, and reported with the reason.

mod doors;
mod names;
mod restart;
mod service;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use netviz_tests::cilium::cilium_lab::{self, CiliumLab, Mode};

/// A test on a running cluster. The next test may get the same cluster.
type Test = fn(&CiliumLab) -> Result<()>;

const TESTS: [(&str, Test); 8] = [
    ("doors_match_measured_counts", doors::match_measured_counts),
    ("names_from_the_agent", names::from_the_agent),
    ("names_from_the_api", names::from_the_api),
    ("agent_restart_during_a_run", restart::during_a_run),
    ("verify_complete_paths", verify::complete_paths),
    ("verify_tcp_service", service::translated_in_sockets),
    ("verify_policy_drop", verify::policy_drop),
    ("verify_during_agent_restarts", verify::agent_restarts),
];

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    match cilium_lab::send_if_asked(&args) {
        Ok(None) => {}
        Ok(Some(answered)) => {
            println!("{answered}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    }
    let mut arguments = Arguments::from_args();
    // There is only one cluster.
    arguments.test_threads = Some(1);
    let directory = cilium_lab::directory();
    if directory.is_none() {
        // `--include-ignored` must not run what cannot run.
        arguments.include_ignored = false;
        if !arguments.list {
            println!(
                "skipped: {} is not set, so there is no running Cilium to test on",
                cilium_lab::VARIABLE
            );
        }
    }
    let cluster = Arc::new(Cluster::new(directory));
    let conclusion = libtest_mimic::run(&arguments, trials(&cluster));
    cluster.down();
    conclusion.exit_code()
}

fn trials(cluster: &Arc<Cluster>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for mode in Mode::ALL {
        for (name, test) in TESTS {
            let here = Arc::clone(cluster);
            let name = format!("{}::{name}", mode.oracle.replace('-', "_"));
            let run = move || {
                here.with(mode, test)
                    .map_err(|error| Failed::from(format!("{error:#}")))
            };
            trials.push(Trial::test(name, run).with_ignored_flag(cluster.directory.is_none()));
        }
    }
    trials
}

/// The only cluster, in the mode of the last test.
struct Cluster {
    directory: Option<PathBuf>,
    up: Mutex<Option<CiliumLab>>,
}

impl Cluster {
    fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            up: Mutex::new(None),
        }
    }

    fn with(&self, mode: Mode, test: Test) -> Result<()> {
        let directory: &Path = self.directory.as_deref().unwrap_or(Path::new("."));
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        if up.as_ref().is_none_or(|cilium| cilium.mode != mode) {
            *up = None;
            *up = Some(CiliumLab::up(directory, mode)?);
        }
        up.as_ref().map_or(Ok(()), test)
    }

    fn down(&self) {
        *self.up.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
