//! `cargo xtask setup`: installs and checks what the build and the tests need.
//!
//! The eBPF half needs a compiler with `core` for BPF, and bpf-linker with the same LLVM. Two
//! toolchains have them, see [`Toolchain`]; one that is already installed is preferred.

mod apt;
mod browser;
mod debian;
mod nightly;
mod probe;
mod toolchain;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};

pub(crate) use browser::install as browser;
pub(crate) use toolchain::Toolchain;

use crate::{
    machine::{self, Facts},
    process::{log, seconds},
};
use toolchain::Plan;

/// Programs that the tests start, and the package of each.
const TEST_PROGRAMS: [(&str, &str); 3] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("tcpdump", "tcpdump"),
];

/// Installs what is missing. Returns the toolchain of the eBPF half.
pub(crate) fn run() -> Result<Toolchain> {
    let start = Instant::now();
    let facts = Facts::gather();
    let toolchain = match toolchain::choose(&facts) {
        Plan::Ready(toolchain) => toolchain,
        Plan::Install(toolchains) => install(&toolchains, &facts)?,
        Plan::Impossible(remedy) => bail!("cannot build the eBPF half: {remedy}"),
    };
    let names = check(toolchain)?;
    test_programs();
    log(format_args!(
        "setup: {names}; ready after {}",
        seconds(start.elapsed())
    ));
    Ok(toolchain)
}

/// Installs the first toolchain that works.
fn install(toolchains: &[Toolchain], facts: &Facts) -> Result<Toolchain> {
    for &toolchain in toolchains {
        log(format_args!(
            "setup: installing {toolchain}: {}",
            toolchain.reason(facts)
        ));
        let result = match toolchain {
            Toolchain::Debian => debian::install(facts),
            Toolchain::Nightly => nightly::install(facts),
        };
        match result {
            Ok(()) => return Ok(toolchain),
            Err(error) => log(format_args!("setup: {toolchain} does not work: {error:#}")),
        }
    }
    bail!(
        "cannot build the eBPF half: no toolchain could be installed; fix one of the errors above"
    )
}

/// Returns names and versions of compiler and linker. Probes both on every run, which is fast.
fn check(toolchain: Toolchain) -> Result<String> {
    let linker = Facts::gather()
        .linker
        .context("bpf-linker is installed but not in PATH: add ~/.cargo/bin to PATH")?;
    let name = toolchain.name();
    let compiler = machine::compiler(name).with_context(|| {
        format!("{name} has no working rustc: `rustup toolchain uninstall {name}`, then `cargo xtask setup`")
    })?;
    probe::run(toolchain)?;
    Ok(format!(
        "the eBPF half is built with {toolchain} ({compiler}, {linker})"
    ))
}

/// Installs what only the tests need. A failure is reported, but is no error.
fn test_programs() {
    if let Err(error) = programs(&TEST_PROGRAMS) {
        log(format_args!("setup: some tests will not run: {error:#}"));
    }
}

/// Installs the packages of missing programs.
pub(crate) fn programs(wanted: &[(&str, &'static str)]) -> Result<()> {
    let missing = wanted
        .iter()
        .filter(|(program, _)| machine::find(program).is_none());
    let mut packages: Vec<_> = missing.map(|&(_, package)| package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    apt::install(&packages).with_context(|| format!("cannot install {}", packages.join(" and ")))
}
