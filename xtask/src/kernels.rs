//! `cargo xtask kernels`: the kernel tests and the demo on Debian's kernels, booted in QEMU.
//!
//! A guest runs the test programs of the ordinary run and netviz, with the C library that they are
//! linked with, in an initramfs. A new test file under `tests/tests` runs there automatically.

mod archive;
mod console;
mod guest;
mod image;
mod modules;
mod package;
mod release;
mod scenario;
mod table;
mod unavailable;

use std::{env::consts::ARCH, path::PathBuf, time::Instant};

use anyhow::{Context as _, Error, Result, bail};

pub(crate) use release::Release;
pub(crate) use table::Table;

use crate::{
    machine,
    process::{log, seconds, side_by_side, step, target},
    programs, setup,
    tasks::dist::{self, Progress},
};
use console::Report;
use package::Kernel;
use scenario::Scenario;
use unavailable::{Unavailable, from_apt, is_unavailable};

/// Required programs, and the package of each.
const PROGRAMS: [(&str, &str); 7] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("setpriv", "util-linux"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("strip", "binutils"),
];

/// Guests that run at once; each emulates two processors.
const AT_A_TIME: usize = 2;

/// Which scenarios run, and with which netviz the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Those that do not take minutes, with the netviz of the tests.
    Quick,
    /// All, with the static binary, which takes longer to build than all tests.
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
        bail!("a kernel did not pass: see the table, and target/kernels/NAME/console.log");
    }
    Ok(())
}

/// Kernels for a test run.
pub(crate) struct Ready {
    extent: Extent,
    had: Gathered<Kernel>,
}

impl Ready {
    /// Fetches the kernels. One that is unavailable, because there is no network, is skipped with the
    /// reason; any other error is a failure.
    pub(crate) fn get(extent: Extent) -> Result<Self> {
        let releases = match extent {
            Extent::Quick => &Release::OFTEN,
            Extent::Whole => Release::all(),
        };
        let had = match prepare() {
            Ok(()) => gather(releases, package::is_cached, have),
            Err(error) if is_unavailable(&error) => Gathered::nothing(releases, &error),
            Err(error) => return Err(error),
        };
        Ok(Self { extent, had })
    }

    /// Runs the scenarios.
    pub(crate) fn run(self) -> Result<Table> {
        let Self { extent, had } = self;
        let mut table = match had.kernels.as_slice() {
            [] => Table::default(),
            kernels => on(kernels, &[], extent)?,
        };
        table.skipped.extend(had.skipped);
        table.failures.extend(had.failures);
        Ok(table)
    }
}

/// Available kernels, and why the others are not.
struct Gathered<K> {
    kernels: Vec<K>,
    skipped: Vec<String>,
    failures: Vec<String>,
}

impl<K> Gathered<K> {
    /// All of them are unavailable.
    fn nothing(releases: &[Release], error: &Error) -> Self {
        Self {
            kernels: Vec::new(),
            skipped: releases.iter().map(|&it| without(it, error)).collect(),
            failures: Vec::new(),
        }
    }
}

/// Formats what is skipped without a kernel.
fn without(release: Release, error: &Error) -> String {
    format!("all scenarios on Linux {release}: {error:#}")
}

/// Fetches the kernels one by one.
fn gather<K>(
    releases: &[Release],
    is_cached: impl Fn(Release) -> bool,
    have: impl Fn(Release) -> Result<K>,
) -> Gathered<K> {
    let mut gathered = Gathered {
        kernels: Vec::new(),
        skipped: Vec::new(),
        failures: Vec::new(),
    };
    let mut trouble: Option<Error> = None;
    for &release in releases {
        // All come from one mirror: if it is unavailable, do not wait for it again.
        if let Some(error) = trouble.as_ref().filter(|_| !is_cached(release)) {
            gathered.skipped.push(without(release, error));
            continue;
        }
        match have(release) {
            Ok(kernel) => gathered.kernels.push(kernel),
            Err(error) if is_unavailable(&error) => {
                gathered.skipped.push(without(release, &error));
                trouble = Some(error);
            }
            Err(error) => gathered.failures.push(without(release, &error)),
        }
    }
    gathered
}

/// Installs what the emulator needs.
///
/// # Errors
/// [`Unavailable`] if the machine or its network cannot provide it.
fn prepare() -> Result<()> {
    if ARCH != "x86_64" {
        bail!(Unavailable(format!(
            "Debian's kernels are for x86_64; this machine is {ARCH}"
        )));
    }
    let what = "cannot install what the emulator needs".to_owned();
    setup::programs(&PROGRAMS).map_err(|error| match machine::find("apt-get") {
        Some(_) => from_apt(error, what),
        None => error.context(Unavailable(what)),
    })
}

fn have(release: Release) -> Result<Kernel> {
    package::kernel(release).with_context(|| format!("cannot fetch Linux {release}"))
}

/// Runs the scenarios on available kernels.
fn on(kernels: &[Kernel], filters: &[String], extent: Extent) -> Result<Table> {
    let start = Instant::now();
    let programs = step("building the test programs", programs::build)?;
    let netviz = match extent {
        Extent::Quick => programs
            .netviz
            .clone()
            .context("cargo built no netviz for the tests")?,
        Extent::Whole => dist::build(Progress::Shown)?,
    };
    let mut scenarios = scenario::all(&programs, filters)?;
    if extent == Extent::Quick {
        let all = scenarios.len();
        scenarios.retain(Scenario::is_quick);
        let left_out = all - scenarios.len();
        log(format_args!(
            "skipping {left_out} slow scenarios; `cargo xtask kernels` runs them"
        ));
    }
    if scenarios.is_empty() {
        bail!("no scenario name contains {}", filters.join(" or "));
    }
    let base = image::base(&programs, &netviz, &scenarios)?;
    let reports = side_by_side(kernels, AT_A_TIME, |kernel| boot(kernel, &base, &scenarios));
    let table = table::draw(kernels, &scenarios, &reports);
    log(format_args!(
        "kernels: {} in {}",
        names(kernels),
        seconds(start.elapsed())
    ));
    Ok(table)
}

/// Returns the directory of downloads, images and logs.
fn directory() -> PathBuf {
    target().join("kernels")
}

fn names(kernels: &[Kernel]) -> String {
    let names: Vec<_> = kernels.iter().map(|it| it.release.to_string()).collect();
    names.join(", ")
}

/// Number of boots of a kernel that dies before its first scenario, as one did in the emulator
/// (`guest::ACCELERATOR`).
const BOOTS: usize = 3;

/// Builds the image of a kernel, boots it and reads its console.
fn boot(kernel: &Kernel, base: &image::Base, scenarios: &[Scenario]) -> Report {
    let work = || {
        let initrd = image::build(kernel, base)?;
        let mut report = guest::run(kernel, &initrd, scenarios)?;
        for _ in 1..BOOTS {
            if !report.is_stillborn() {
                break;
            }
            log(format_args!(
                "Linux {} died before its first scenario ({}): booting again",
                kernel.release,
                report.log.join("; ")
            ));
            report = guest::run(kernel, &initrd, scenarios)?;
        }
        Ok(report)
    };
    let what = format!("Linux {} ({})", kernel.release, kernel.version);
    step(what, work).unwrap_or_else(Report::broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6.1 is unavailable, 6.12 is cached, 7.x breaks.
    fn some(release: Release) -> Result<Release> {
        match release {
            Release::V6_12 => Ok(release),
            Release::V6_1 => Err(Error::from(Unavailable("no network".into())).context("6.1")),
            _ => bail!("depmod failed"),
        }
    }

    #[test]
    fn cached_kernels_run_without_a_network() {
        let cached = |release| release == Release::V6_12;
        let had = gather(&[Release::V6_1, Release::V7, Release::V6_12], cached, some);
        assert_eq!(had.kernels, [Release::V6_12]);
        assert_eq!(
            had.skipped,
            ["6.1", "7.x"].map(|it| format!("all scenarios on Linux {it}: 6.1: no network"))
        );
        assert!(had.failures.is_empty());
    }

    #[test]
    fn other_errors_are_failures_not_skips() {
        let had = gather(&[Release::V7, Release::V6_12], |_| false, some);
        assert_eq!(had.kernels, [Release::V6_12]);
        assert!(had.skipped.is_empty());
        assert_eq!(had.failures, ["all scenarios on Linux 7.x: depmod failed"]);
    }
}
