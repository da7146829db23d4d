//! `cargo xtask bench`: the cost of counting.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result};

use super::build;
use crate::{
    process::{cargo, run as run_command},
    setup,
};

/// Executes the benchmark, built with the profile of the release.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run()?;
    // The released binary, whose cost is measured from outside.
    run_command(&mut build::small())?;
    let mut bench = cargo();
    bench.args([
        "run",
        "--profile",
        "small",
        "-p",
        "netviz-tests",
        "--bin",
        "netviz-bench",
        "--",
    ]);
    Err(bench.args(args).exec()).context("cannot start cargo")
}
