//! rustup's nightly with the source of `core`, and a released bpf-linker. Every download has a time
//! limit: a closed network must not hang.

use std::{env, env::consts::ARCH, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::{Toolchain, probe};
use crate::{
    machine::{Facts, NIGHTLY, cargo_bin},
    process::{cargo, log, run_within, seconds, step},
};

/// For a few megabytes.
const SMALL: Duration = Duration::from_secs(60);
/// For a whole toolchain, or for a build from source.
const LARGE: Duration = Duration::from_secs(600);
const RELEASES: &str = "https://github.com/aya-rs/bpf-linker/releases/latest/download";

/// Installs the missing parts of this toolchain; the linker first, which closed networks refuse.
pub(super) fn install(facts: &Facts) -> Result<()> {
    let Facts {
        linker,
        nightly,
        nightly_source,
        apt,
        ..
    } = facts;
    if linker.is_none() {
        let limit = seconds(SMALL);
        let what = format!("downloading the release of bpf-linker (limit {limit})");
        step(what, released_linker).or_else(|error| {
            if *apt {
                // A build needs the newest LLVM libraries; Debian's packages certainly match.
                return Err(error);
            }
            log(format_args!("setup: {error:#}"));
            let what = format!("building bpf-linker with cargo (limit {})", seconds(LARGE));
            step(what, built_linker)
        })?;
    }
    if *nightly && !nightly_source {
        let what = format!("adding rust-src to nightly (limit {})", seconds(SMALL));
        step(what, add_source)?;
    } else if !nightly {
        let what = format!(
            "installing nightly with rust-src (limit {})",
            seconds(LARGE)
        );
        step(what, install_toolchain)?;
    }
    probe::run(Toolchain::Nightly)
}

fn add_source() -> Result<()> {
    let mut rustup = Command::new("rustup");
    run_within(
        SMALL,
        rustup.args(["component", "add", "rust-src", "--toolchain", NIGHTLY]),
    )
}

fn install_toolchain() -> Result<()> {
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", NIGHTLY, "--no-self-update"]);
    run_within(
        LARGE,
        rustup.args(["--profile", "minimal", "--component", "rust-src"]),
    )
}

fn released_linker() -> Result<()> {
    let bin = cargo_bin().context("neither CARGO_HOME nor HOME is set")?;
    let archive = env::temp_dir().join(format!("bpf-linker-{}.tar.zst", std::process::id()));
    let result = download(&archive).and_then(|()| {
        let mut tar = Command::new("tar");
        tar.arg("--zstd")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(&bin)
            .arg("bpf-linker");
        run_within(SMALL, &mut tar)
    });
    // Absent if the download failed.
    let _ = fs::remove_file(&archive);
    result
}

fn download(archive: &Path) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args([
        "--fail",
        "--silent",
        "--show-error",
        "--location",
        "--connect-timeout",
        "10",
    ]);
    curl.arg("--output").arg(archive);
    curl.arg(format!(
        "{RELEASES}/bpf-linker-{ARCH}-unknown-linux-musl.tar.zst"
    ));
    run_within(SMALL, &mut curl)
}

fn built_linker() -> Result<()> {
    run_within(LARGE, cargo().args(["install", "--quiet", "bpf-linker"]))
}
