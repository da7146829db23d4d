//! `cargo xtask bench`: what counting costs.

use std::{ffi::OsString, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result};

use crate::{process::cargo, setup};

/// Becomes the benchmark, built for release.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run()?;
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
