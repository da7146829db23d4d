//! Debian's packages: rustc 1.96 with `core` for BPF and bpf-linker built on their LLVM. Needs no nightly, and
//! downloads only packages and crates.

use std::process::Command;

use anyhow::Result;

use super::{Toolchain, apt, probe};
use crate::{
    machine::{Facts, LINKED, SYSTEM_ROOT},
    process::{self, cargo, step},
};

/// The compiler, `core` for BPF, and the libraries of bpf-linker.
const PACKAGES: [&str; 6] = [
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
];
/// The LLVM of the linker must be that of the compiler: rustc-web 1.96 has 22.
const LLVM: &str = "22";
const LINKER: &str = "0.13.0";

/// Installs the missing parts of this toolchain.
pub(super) fn install(facts: &Facts) -> Result<()> {
    let Facts { linked, linker, .. } = facts;
    apt::install(&PACKAGES)?;
    if !linked {
        step(
            format_args!("linking {SYSTEM_ROOT} into rustup as {LINKED}"),
            link,
        )?;
    }
    if linker.is_none() || probe::run(Toolchain::Debian).is_err() {
        let what = format!("building bpf-linker {LINKER} on LLVM {LLVM} with cargo, about 90 s");
        step(what, build_linker)?;
    }
    probe::run(Toolchain::Debian)
}

fn link() -> Result<()> {
    process::read(Command::new("rustup").args(["toolchain", "link", LINKED, SYSTEM_ROOT])).map(drop)
}

/// Builds bpf-linker on the LLVM of Debian's compiler, and replaces an installed one.
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
