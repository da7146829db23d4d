//! `cargo xtask bench`: what counting costs.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result};

use super::build;
use crate::{
    process::{cargo, run as run_command},
    setup,
};

/// Becomes the benchmark, built as the binary that is released.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run()?;
    // The very binary that is released: what it costs is measured from outside.
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
