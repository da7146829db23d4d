//! `cargo xtask demo`: from a clone to the picture.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use super::build;
use crate::{process::step, setup};

/// Becomes `netviz demo`, with its terminal and its exit code.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run()?;
    let netviz = step("building netviz", || build::binary(&mut build::release()))?;
    let error = Command::new(&netviz).arg("demo").args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", netviz.display()))
}
