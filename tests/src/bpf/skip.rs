//! Skips tests that a kernel cannot run. The harness cannot skip at run time, so a skip is recorded
//! in a form that `cargo xtask` counts; a skipped test never looks like one that ran.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::Path,
    thread,
};

use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

/// Names the file in which the ordinary run collects skips, because the harness hides output.
pub const FILE_VARIABLE: &str = "NETVIZ_SKIPPED";

/// Reason of a helper process that is marked as a test, when it is run as one by
/// `--include-ignored`.
pub const BY_ANOTHER: &str = "run by another test, in its own process";

/// Records that this test is skipped, and why. Always returns true, for `if ... { return; }`.
pub fn because(reason: &str) -> bool {
    println!("skipped here: {reason}");
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        // The thread's name is the name of the test. Short lines are appended atomically.
        let test = thread::current().name().unwrap_or("?").to_owned();
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written =
            file.and_then(|mut file| file.write_all(format!("{test}: {reason}\n").as_bytes()));
        assert!(written.is_ok(), "{FILE_VARIABLE}: {written:?}");
    }
    true
}

/// Returns true if the kernel has tcx. Probes the kernel and does not compare versions: any other
/// error lets a test run and fail.
#[must_use]
pub fn has_tcx() -> bool {
    let refused = |error: &ProgramError| match error {
        ProgramError::SyscallError(error) => error.io_error.kind() == ErrorKind::InvalidInput,
        _ => false,
    };
    let asked = SchedClassifier::query_tcx("lo", TcAttachType::Ingress);
    !asked.is_err_and(|error| refused(&error))
}

/// Skips the test on a kernel without tcx.
#[must_use]
pub fn without_tcx() -> bool {
    !has_tcx() && because("this kernel has no tcx")
}

/// Skips the test if one of these programs is missing.
#[must_use]
pub fn without_programs(names: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let missing = names.iter().find(|name| !there(name));
    missing.is_some_and(|name| because(&format!("no {name}")))
}

/// Skips the test if the kernel lacks a file, such as a knob below /proc/sys.
#[must_use]
pub fn without_file(path: &str) -> bool {
    !Path::new(path).exists() && because(&format!("there is no {path}"))
}

/// Skips the test on a kernel older than `version`, if the feature cannot be probed without running
/// the test.
#[must_use]
pub fn before(version: (u32, u32), reason: &str) -> bool {
    let (major, minor) = version;
    is_before(version) && because(&format!("before Linux {major}.{minor}, {reason}"))
}

/// Returns true if the kernel is older than `version`.
#[must_use]
pub fn is_before(version: (u32, u32)) -> bool {
    let release = nix::sys::utsname::uname().unwrap();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split('.').map_while(|part| part.parse().ok());
    let own = numbers.next().zip(numbers.next());
    own.expect("a kernel has a version") < version
}
