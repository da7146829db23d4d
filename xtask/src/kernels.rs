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

use std::{
    collections::VecDeque,
    env::consts::ARCH,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

pub(crate) use release::Release;

use crate::{
    process::{say, seconds, step, target},
    programs, setup,
    tasks::dist,
};
use console::Report;
use package::Kernel;
use scenario::Scenario;

/// Programs that this needs, with the package that has each.
const PROGRAMS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("strip", "binutils"),
];

/// Guests that run at a time: each has two processors, and emulates them.
const AT_A_TIME: usize = 2;

/// Runs the scenarios whose name contains one of `filters`, or all of them, on `releases`.
pub(crate) fn run(releases: &[Release], filters: &[String]) -> Result<()> {
    let start = Instant::now();
    if ARCH != "x86_64" {
        bail!(
            "Debian's kernels for x86_64 run the test programs of an x86_64 machine: this is {ARCH}"
        );
    }
    setup::run()?;
    setup::programs(&PROGRAMS)?;
    let kernels = releases
        .iter()
        .map(|&release| {
            package::kernel(release).with_context(|| format!("Linux {release} cannot be had"))
        })
        .collect::<Result<Vec<_>>>()?;
    let programs = step("building the test programs", programs::build)?;
    let released = dist::build()?;
    let scenarios = scenario::all(&programs, filters)?;
    if scenarios.is_empty() {
        bail!("no scenario has {} in its name", filters.join(" or "));
    }
    let base = image::base(&programs, &released, &scenarios)?;
    let reports = side_by_side(&kernels, |kernel| boot(kernel, &base, &scenarios));
    let table = table::draw(&kernels, &scenarios, &reports);
    print!("{table}");
    say(format_args!(
        "kernels: {} in {}",
        names(releases),
        seconds(start.elapsed())
    ));
    if !table.good() {
        bail!(
            "a kernel did not pass: see the table; what its guest said is in target/kernels/NAME/console.log"
        );
    }
    Ok(())
}

/// The directory of downloads, images and logs.
fn directory() -> PathBuf {
    target().join("kernels")
}

fn names(releases: &[Release]) -> String {
    let names: Vec<_> = releases.iter().map(ToString::to_string).collect();
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

/// Works on all of `kernels`, [`AT_A_TIME`], and gives the results in their order.
fn side_by_side(kernels: &[Kernel], work: impl Fn(&Kernel) -> Report + Sync) -> Vec<Report> {
    let queue: Mutex<VecDeque<_>> = Mutex::new(kernels.iter().enumerate().collect());
    let done = Mutex::new(Vec::new());
    let lock = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(kernels.len()) {
            scope.spawn(|| {
                while let Some((place, kernel)) = lock() {
                    let report = work(kernel);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((place, report));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|&(place, _)| place);
    done.into_iter().map(|(_, report)| report).collect()
}
