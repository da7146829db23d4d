//! Debian's way: rustc 1.96 with `core` for BPF as packages, and bpf-linker built on their LLVM.
//! Needs no nightly and, besides crates.io, no other download than packages.

use std::process::Command;

use anyhow::Result;

use super::{Way, apt, probe};
use crate::{
    machine::{Facts, LINKED, SYSTEM_ROOT},
    process::{self, cargo, step},
};

/// The compiler, `core` for BPF, and what bpf-linker is built on.
const PACKAGES: [&str; 6] = [
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
];
/// The linker's LLVM must be the compiler's: rustc-web 1.96 is built on 22.
const LLVM: &str = "22";
const LINKER: &str = "0.13.0";

/// Installs what is missing of this way.
pub(super) fn install(facts: &Facts) -> Result<()> {
    let Facts { linked, linker, .. } = facts;
    apt::install(&PACKAGES)?;
    if !linked {
        step(
            format_args!("linking {SYSTEM_ROOT} into rustup as {LINKED}"),
            link,
        )?;
    }
    if linker.is_none() || probe::run(Way::Debian).is_err() {
        let what = format!("building bpf-linker {LINKER} on LLVM {LLVM} with cargo, about 90 s");
        step(what, build_linker)?;
    }
    probe::run(Way::Debian)
}

fn link() -> Result<()> {
    process::read(Command::new("rustup").args(["toolchain", "link", LINKED, SYSTEM_ROOT])).map(drop)
}

/// Builds bpf-linker on the LLVM of Debian's compiler, over another one where there is one.
fn build_linker() -> Result<()> {
    let llvm = format!("/usr/lib/llvm-{LLVM}");
    let mut install = cargo();
    install
        .args([
            "install",
            "--quiet",
            "bpf-linker",
            "--version",
            LINKER,
            "--force",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{LLVM}"),
        ])
        .env("LLVM_PREFIX", &llvm)
        .env("RUSTFLAGS", format!("-L native={llvm}/lib"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::run(&mut install)
}
