//! Builds the eBPF objects with the toolchain that `cargo xtask setup` prepared.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use aya_build::{Package, Toolchain};

/// Name under which `cargo xtask setup` links the distribution's compiler into rustup.
const LINKED: &str = "netviz-bpf";

fn main() {
    println!("cargo::rerun-if-env-changed=PATH");
    match toolchain() {
        Ok(toolchain) => build(toolchain),
        Err(missing) => println!(
            "cargo::error=the eBPF programs cannot be built, {missing}: run `cargo xtask setup` once, it installs what is missing"
        ),
    }
}

fn build(toolchain: &str) {
    if toolchain == LINKED {
        // A stable compiler, and aya-ebpf alone needs an unstable feature of it. With "1",
        // aya-build would ask for build-std, for which there is no source here.
        // SAFETY: a build script has one thread.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf") };
    }
    let package = Package {
        name: "netviz-ebpf",
        root_dir: "../netviz-ebpf",
        ..Package::default()
    };
    if let Err(error) = aya_build::build_ebpf([package], Toolchain::Custom(toolchain)) {
        println!("cargo::error=the eBPF programs cannot be built: {error:#}");
    }
}

/// The first toolchain that can build for BPF, or what is missing.
fn toolchain() -> Result<&'static str, String> {
    if !in_path("bpf-linker") {
        return Err("bpf-linker is not in the PATH".into());
    }
    if sysroot(LINKED).is_some_and(|root| has_bpf_core(&root)) {
        return Ok(LINKED);
    }
    if sysroot("nightly").is_some_and(|root| has_source(&root)) {
        return Ok("nightly");
    }
    Err("there is neither a nightly toolchain with rust-src nor a compiler with core for bpfel-unknown-none".into())
}

fn in_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn sysroot(toolchain: &str) -> Option<PathBuf> {
    let output = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--print", "sysroot"])
        .env_remove("RUSTC")
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

fn has_bpf_core(root: &Path) -> bool {
    root.join("lib/rustlib/bpfel-unknown-none").is_dir()
}

fn has_source(root: &Path) -> bool {
    root.join("lib/rustlib/src/rust/library/core").is_dir()
}
