//! Whether compiler and linker fit each other. Only linking a program tells: bpf-linker does not
//! say which LLVM it has, and reads what another one wrote as "Invalid record".

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::Way;
use crate::{
    machine::BPF_TARGET,
    process::{self, rustup_run},
};

/// A program that needs nothing of `core`'s code: with it, linking would take seconds.
const PROGRAM: &str = r#"#![no_std]
#[unsafe(no_mangle)]
#[unsafe(link_section = "classifier")]
pub unsafe extern "C" fn probe(skb: *const u32) -> i32 {
    // SAFETY: never run; the first field of the context is the packet's length.
    unsafe { *skb as i32 }
}
"#;

/// Compiles and links a program.
pub(super) fn run(way: Way) -> Result<()> {
    let toolchain = way.toolchain();
    in_scratch(|dir| {
        process::read(compile(way).current_dir(dir)).with_context(|| {
            format!("{toolchain} does not compile: `rustup toolchain uninstall {toolchain}`, then `cargo xtask setup`")
        })?;
        process::read(link().current_dir(dir)).with_context(|| {
            format!("bpf-linker does not fit {toolchain}: `cargo uninstall bpf-linker`, then `cargo xtask setup`")
        })?;
        Ok(())
    })
}

/// To LLVM's bitcode, with debug information, which is where versions of LLVM differ.
fn compile(way: Way) -> Command {
    let mut rustc = rustup_run(way.toolchain(), "rustc");
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "lib",
        "-O",
        "-C",
        "debuginfo=2",
    ]);
    if way == Way::Debian {
        // nightly has no `core` for BPF before it builds it: there, the host's will do.
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

/// A directory with the program's source, gone afterwards.
fn in_scratch(work: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let dir = env::temp_dir().join(format!("netviz-probe-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let result = fs::write(dir.join("probe.rs"), PROGRAM).map_err(Into::into);
    let result = result.and_then(|()| work(&dir));
    fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    result
}
