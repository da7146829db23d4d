//! `cargo xtask setup`: what the build and the tests need, installed and checked.
//!
//! The eBPF half needs a compiler with `core` for BPF, and bpf-linker with the same LLVM. There are
//! two ways to them, see [`Way`]; whichever is there already is taken.

mod apt;
mod debian;
mod nightly;
mod probe;
mod way;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};

pub(crate) use way::Way;

use crate::{
    machine::{self, Facts},
    process::{say, seconds},
};
use way::Plan;

/// Programs that the tests start, with the package that has each.
const TEST_PROGRAMS: [(&str, &str); 3] = [
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("tcpdump", "tcpdump"),
];

/// Installs what is missing, and says how the eBPF half is built here.
pub(crate) fn run() -> Result<Way> {
    let start = Instant::now();
    let facts = Facts::gather();
    let way = match way::choose(&facts) {
        Plan::Ready(way) => way,
        Plan::Install(ways) => install(&ways, &facts)?,
        Plan::Impossible(remedy) => bail!("the eBPF half cannot be built here: {remedy}"),
    };
    let names = check(way)?;
    test_programs();
    say(format_args!(
        "setup: {names}; ready after {}",
        seconds(start.elapsed())
    ));
    Ok(way)
}

/// Takes the first way that leads to the end.
fn install(ways: &[Way], facts: &Facts) -> Result<Way> {
    for &way in ways {
        say(format_args!("setup: taking {way}, {}", way.reason(facts)));
        let result = match way {
            Way::Debian => debian::install(facts),
            Way::Nightly => nightly::install(facts),
        };
        match result {
            Ok(()) => return Ok(way),
            Err(error) => say(format_args!("setup: {way} does not work here: {error:#}")),
        }
    }
    bail!("the eBPF half cannot be built here, there is no other way: remedy what is said above")
}

/// What is there now, by name and version. Both are tried out each time: it takes no time.
fn check(way: Way) -> Result<String> {
    let linker = Facts::gather()
        .linker
        .context("bpf-linker is installed but not in the PATH: add ~/.cargo/bin to the PATH")?;
    let toolchain = way.toolchain();
    let compiler = machine::compiler(toolchain).with_context(|| {
        format!("{toolchain} has no working rustc: `rustup toolchain uninstall {toolchain}`, then `cargo xtask setup`")
    })?;
    probe::run(way)?;
    Ok(format!(
        "the eBPF half is built with {way} ({compiler}, {linker})"
    ))
}

/// The tests need them, the build does not: what cannot be installed is said, and is no error.
fn test_programs() {
    if let Err(error) = programs(&TEST_PROGRAMS) {
        say(format_args!("setup: some tests will not run: {error:#}"));
    }
}

/// Installs the packages of those programs that are not there.
pub(crate) fn programs(wanted: &[(&str, &'static str)]) -> Result<()> {
    let missing = wanted
        .iter()
        .filter(|(program, _)| machine::find(program).is_none());
    let mut packages: Vec<_> = missing.map(|&(_, package)| package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    apt::install(&packages)
        .with_context(|| format!("{} cannot be installed", packages.join(" and ")))
}
