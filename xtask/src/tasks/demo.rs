//! `cargo xtask demo`: builds netviz and runs `netviz demo`.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use super::build;
use crate::{process::step, setup};

/// Executes `netviz demo`.
pub(crate) fn run(args: &[OsString]) -> Result<()> {
    setup::run()?;
    let netviz = step("building netviz", || build::binary(&mut build::release()))?;
    let error = Command::new(&netviz).arg("demo").args(args).exec();
    Err(error).with_context(|| format!("cannot start {}", netviz.display()))
}
