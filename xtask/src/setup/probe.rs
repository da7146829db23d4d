//! Checks that compiler and linker match, by linking a program: bpf-linker does not report its LLVM
//! version, and fails on the output of another one with "Invalid record".

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::Toolchain;
use crate::{
    machine::BPF_TARGET,
    process::{self, rustup_run},
};

/// A program that uses no code of `core`, with which linking would take seconds.
const PROGRAM: &str = r#"#![no_std]
#[unsafe(no_mangle)]
#[unsafe(link_section = "classifier")]
pub unsafe extern "C" fn probe(skb: *const u32) -> i32 {
    // SAFETY: never run; the first field of the context is the packet's length.
    unsafe { *skb as i32 }
}
"#;

/// Compiles and links a program.
pub(super) fn run(toolchain: Toolchain) -> Result<()> {
    let name = toolchain.name();
    in_scratch(|dir| {
        process::read(compile(toolchain).current_dir(dir)).with_context(|| {
            format!("{name} does not compile: `rustup toolchain uninstall {name}`, then `cargo xtask setup`")
        })?;
        process::read(link().current_dir(dir)).with_context(|| {
            format!("bpf-linker does not match {name}: `cargo uninstall bpf-linker`, then `cargo xtask setup`")
        })?;
        Ok(())
    })
}

/// Compiles to LLVM bitcode, with debug information, in which versions of LLVM differ.
fn compile(toolchain: Toolchain) -> Command {
    let mut rustc = rustup_run(toolchain.name(), "rustc");
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "lib",
        "-O",
        "-C",
        "debuginfo=2",
    ]);
    if toolchain == Toolchain::Debian {
        // nightly has no prebuilt `core` for BPF; the host's suffices.
        rustc.args(["--target", BPF_TARGET]);
    }
    rustc.args(["--emit", "llvm-bc=probe.bc", "probe.rs"]);
    rustc
}

fn link() -> Command {
    let mut linker = Command::new("bpf-linker");
    linker.args(["--btf", "--export", "probe", "-o", "probe", "probe.bc"]);
    linker
}

/// Runs `work` in a temporary directory with the program's source.
fn in_scratch(work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let dir = env::temp_dir().join(format!("netviz-probe-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let result = fs::write(dir.join("probe.rs"), PROGRAM).map_err(Into::into);
    let result = result.and_then(|()| work(&dir));
    fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    result
}
