//! `cargo xtask ci`: all checks that a change must pass. Stops at the first failure.

use std::{env::consts::ARCH, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use super::test::{self, Amount};
use crate::{
    machine::{self, BPF_TARGET},
    process::{self, cargo, log, rustup_run, seconds, step, target},
    setup::{self, Toolchain},
};

/// Runs all checks.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    if !machine::is_root() {
        bail!("not root: the kernel tests create network namespaces and load eBPF programs");
    }
    step("rustfmt", format).context("not formatted: run `cargo fmt --all`")?;
    let toolchain = setup::run()?;
    step("clippy, user space", clippy_user_space)?;
    // Separate from user space, where clippy would find two panic handlers.
    step("clippy, eBPF for the host", clippy_ebpf_host)?;
    let mut lint = ebpf_lint(toolchain);
    let name = lint
        .get_args()
        .nth(3)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    step(format_args!("{name}, eBPF for {BPF_TARGET}"), || {
        process::run(&mut lint)
    })?;
    step("rustdoc", rustdoc)?;
    test::tests(Amount::Gate, &[])?;
    log(format_args!(
        "ci: all passed in {}",
        seconds(start.elapsed())
    ));
    Ok(())
}

fn format() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--", "--check"]))
}

fn clippy_user_space() -> Result<()> {
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--workspace",
        "--exclude",
        "netviz-ebpf",
        "--all-targets",
    ]);
    process::run(clippy.args(["--", "-D", "warnings"]))
}

fn clippy_ebpf_host() -> Result<()> {
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "-p",
        "netviz-ebpf",
        "-p",
        "netviz-test-objects",
        "--lib",
        "--bins",
        "--all-features",
    ]);
    process::run(clippy.args(["--", "-D", "warnings"]))
}

/// Returns clippy of the toolchain that builds the eBPF half, or its `check` if it has no clippy.
fn ebpf_lint(toolchain: Toolchain) -> Command {
    let name = toolchain.name();
    let clippy = process::read(rustup_run(name, "cargo").args(["clippy", "--version"]));
    let mut lint = rustup_run(name, "cargo");
    lint.arg(if clippy.is_ok() { "clippy" } else { "check" });
    lint.args([
        "-p",
        "netviz-ebpf",
        "-p",
        "netviz-test-objects",
        "--lib",
        "--bins",
        "--target",
        BPF_TARGET,
    ]);
    // Its own directory: two compilers in one would rebuild each other's output.
    lint.arg("--target-dir").arg(target().join("ebpf-lint"));
    // Selects the kernel structures of this architecture, like aya-build.
    lint.env(
        "CARGO_ENCODED_RUSTFLAGS",
        format!("--cfg=bpf_target_arch=\"{ARCH}\"\x1f-Dwarnings"),
    );
    match toolchain {
        // A stable compiler, of which only aya-ebpf needs an unstable feature.
        Toolchain::Debian => lint.env("RUSTC_BOOTSTRAP", "aya_ebpf"),
        Toolchain::Nightly => lint.args(["-Z", "build-std=core"]),
    };
    lint
}

fn rustdoc() -> Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
