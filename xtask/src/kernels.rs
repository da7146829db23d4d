//! `cargo xtask kernels`: the kernel tests and the demo on Debian's kernels, each booted in QEMU.
//!
//! What runs in a guest are the very test programs of the ordinary run, with the C library that
//! they were linked with, and the released netviz, in an initramfs that has nothing else. A test
//! file that is added under `tests/tests` runs there by itself.

mod archive;
mod console;
mod guest;
mod image;
mod modules;
mod package;
mod release;
mod scenario;
mod table;

use std::{env::consts::ARCH, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail};

pub(crate) use release::Release;
pub(crate) use table::Table;

use crate::{
    process::{say, seconds, side_by_side, step, target},
    programs, setup,
    tasks::dist::{self, Progress},
};
use console::Report;
use package::Kernel;
use scenario::Scenario;

/// Programs that this needs, with the package that has each.
const PROGRAMS: [(&str, &str); 7] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("setpriv", "util-linux"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("strip", "binutils"),
];

/// Guests that run at a time: each has two processors, and emulates them.
const AT_A_TIME: usize = 2;

/// Which scenarios are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Those that do not take minutes.
    Quick,
    /// All.
    Whole,
}

/// Runs the scenarios whose name contains one of `filters`, or all of them, on `releases`.
pub(crate) fn run(releases: &[Release], filters: &[String], extent: Extent) -> Result<()> {
    setup::run()?;
    prepare()?;
    let kernels = releases
        .iter()
        .map(|&release| have(release))
        .collect::<Result<Vec<_>>>()?;
    let table = on(&kernels, filters, extent)?;
    print!("{table}");
    if !table.failures.is_empty() {
        bail!(
            "a kernel did not pass: see the table; what its guest said is in target/kernels/NAME/console.log"
        );
    }
    Ok(())
}

/// Runs them as a part of all tests. A kernel that cannot be had, for want of a network, is said to be
/// skipped, and why.
pub(crate) fn in_tests(extent: Extent) -> Result<Table> {
    let releases = match extent {
        Extent::Quick => Release::OFTEN.to_vec(),
        Extent::Whole => Release::all().to_vec(),
    };
    let mut missing = Vec::new();
    let mut trouble = prepare().err();
    let mut kernels = Vec::new();
    for release in releases {
        // One mirror has them all: where it is out of reach, it is not waited for again.
        if trouble.is_none() {
            match have(release) {
                Ok(kernel) => kernels.push(kernel),
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = &trouble {
            missing.push(format!("all scenarios on Linux {release}: {error:#}"));
        }
    }
    let mut table = match kernels.as_slice() {
        [] => Table::default(),
        kernels => on(kernels, &[], extent)?,
    };
    table.skipped.extend(missing);
    Ok(table)
}

/// What the emulator needs.
fn prepare() -> Result<()> {
    if ARCH != "x86_64" {
        bail!(
            "Debian's kernels for x86_64 run the test programs of an x86_64 machine: this is {ARCH}"
        );
    }
    setup::programs(&PROGRAMS)
}

fn have(release: Release) -> Result<Kernel> {
    package::kernel(release).with_context(|| format!("Linux {release} cannot be had"))
}

/// Runs them on kernels that are there.
fn on(kernels: &[Kernel], filters: &[String], extent: Extent) -> Result<Table> {
    let start = Instant::now();
    let programs = step("building the test programs", programs::build)?;
    let released = dist::build(Progress::Shown)?;
    let mut scenarios = scenario::all(&programs, filters)?;
    if extent == Extent::Quick {
        let all = scenarios.len();
        scenarios.retain(Scenario::is_quick);
        let left_out = all - scenarios.len();
        say(format_args!(
            "{left_out} scenarios that take long are left to `cargo xtask kernels`"
        ));
    }
    if scenarios.is_empty() {
        bail!("no scenario has {} in its name", filters.join(" or "));
    }
    let base = image::base(&programs, &released, &scenarios)?;
    let reports = side_by_side(kernels, AT_A_TIME, |kernel| boot(kernel, &base, &scenarios));
    let table = table::draw(kernels, &scenarios, &reports);
    say(format_args!(
        "kernels: {} in {}",
        names(kernels),
        seconds(start.elapsed())
    ));
    Ok(table)
}

/// The directory of downloads, images and logs.
fn directory() -> PathBuf {
    target().join("kernels")
}

fn names(kernels: &[Kernel]) -> String {
    let names: Vec<_> = kernels.iter().map(|it| it.release.to_string()).collect();
    names.join(", ")
}

/// One kernel, from its image to what its console said.
fn boot(kernel: &Kernel, base: &image::Base, scenarios: &[Scenario]) -> Report {
    let work = || {
        let initrd = image::build(kernel, base)?;
        guest::run(kernel, &initrd, scenarios)
    };
    let what = format!("Linux {} ({})", kernel.release, kernel.version);
    step(what, work).unwrap_or_else(Report::broken)
}
