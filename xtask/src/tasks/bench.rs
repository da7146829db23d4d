//! `cargo xtask bench`: what counting costs.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result};

use super::build;
use crate::{
    process::{cargo, run as run_command},
    setup,
};

/// Becomes the benchmark, built for release.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run()?;
    // The very binary that is released: what it costs is measured from outside.
    run_command(&mut build::release())?;
    let mut bench = cargo();
    bench.args([
        "run",
        "--release",
        "-p",
        "netviz-tests",
        "--bin",
        "netviz-bench",
        "--",
    ]);
    Err(bench.args(args).exec()).context("cannot start cargo")
}
