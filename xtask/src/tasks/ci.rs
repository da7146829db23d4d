//! `cargo xtask ci`: the one gate. Stops at the first thing that is wrong.

use std::{env::consts::ARCH, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use super::test::{self, Amount};
use crate::{
    machine::{self, BPF_TARGET},
    process::{self, cargo, rustup_run, say, seconds, step, target},
    setup::{self, Way},
};

/// Runs the gate.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    if !machine::is_root() {
        bail!("the kernel tests make network namespaces and load eBPF programs: run as root");
    }
    step("rustfmt", format).context("not formatted, run `cargo fmt --all`")?;
    let way = setup::run()?;
    step("clippy, user space", clippy_user_space)?;
    // Apart from user space: in one run, clippy would meet two panic handlers.
    step("clippy, eBPF for the host", clippy_ebpf_host)?;
    let mut lint = ebpf_lint(way);
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
    say(format_args!(
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

/// Clippy with the toolchain that builds the eBPF half, or the compiler alone where it has none.
fn ebpf_lint(way: Way) -> Command {
    let toolchain = way.toolchain();
    let clippy = process::read(rustup_run(toolchain, "cargo").args(["clippy", "--version"]));
    let mut lint = rustup_run(toolchain, "cargo");
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
    // Another compiler: in a directory of its own, so that neither undoes the other's work.
    lint.arg("--target-dir").arg(target().join("ebpf-lint"));
    // As aya-build sets it, for the structures of the kernel on this machine.
    lint.env(
        "CARGO_ENCODED_RUSTFLAGS",
        format!("--cfg=bpf_target_arch=\"{ARCH}\"\x1f-Dwarnings"),
    );
    match way {
        // A stable compiler, and aya-ebpf alone needs an unstable feature of it.
        Way::Debian => lint.env("RUSTC_BOOTSTRAP", "aya_ebpf"),
        Way::Nightly => lint.args(["-Z", "build-std=core"]),
    };
    lint
}

fn rustdoc() -> Result<()> {
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}
