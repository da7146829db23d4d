//! Tests that a kernel cannot run. The harness knows no skip: it is said in a form that
//! `cargo xtask` counts, so that no such test passes for one that ran.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    path::Path,
    thread,
};

use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

/// The file in which the ordinary run collects what was skipped, where the harness hides it.
pub const FILE_VARIABLE: &str = "NETVIZ_SKIPPED";

/// Why what is no test by itself does nothing when it is run as one, as `--include-ignored` does.
pub const BY_ANOTHER: &str = "run by another test, in a process of its own";

/// Says that this test is skipped, and why; always true, for `if ... { return; }`.
pub fn because(reason: &str) -> bool {
    println!("skipped here: {reason}");
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        // A test is named by its thread. Short lines are appended whole.
        let test = thread::current().name().unwrap_or("?").to_owned();
        let file = OpenOptions::new().append(true).create(true).open(path);
        let said =
            file.and_then(|mut file| file.write_all(format!("{test}: {reason}\n").as_bytes()));
        assert!(said.is_ok(), "{FILE_VARIABLE}: {said:?}");
    }
    true
}

/// Whether the kernel has tcx. It is asked by its answer to a question about tcx, not by its
/// version: whatever else goes wrong lets a test run, and fail.
#[must_use]
pub fn has_tcx() -> bool {
    let refused = |error: &ProgramError| match error {
        ProgramError::SyscallError(error) => error.io_error.kind() == ErrorKind::InvalidInput,
        _ => false,
    };
    let asked = SchedClassifier::query_tcx("lo", TcAttachType::Ingress);
    !asked.is_err_and(|error| refused(&error))
}

/// Skips the test where the kernel has no tcx.
#[must_use]
pub fn without_tcx() -> bool {
    !has_tcx() && because("this kernel has no tcx")
}

/// Skips the test where one of these programs is not there.
#[must_use]
pub fn without_programs(names: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let missing = names.iter().find(|name| !there(name));
    missing.is_some_and(|name| because(&format!("there is no {name}")))
}

/// Skips the test where the kernel has not got a file, such as a knob under /proc/sys.
#[must_use]
pub fn without_file(path: &str) -> bool {
    !Path::new(path).exists() && because(&format!("there is no {path}"))
}

/// Skips the test on a kernel older than this one: for what no question tells, and the test alone
/// would show.
#[must_use]
pub fn before(version: (u32, u32), reason: &str) -> bool {
    let (major, minor) = version;
    is_before(version) && because(&format!("before Linux {major}.{minor}, {reason}"))
}

/// Whether the kernel is older than this one.
#[must_use]
pub fn is_before(version: (u32, u32)) -> bool {
    let release = nix::sys::utsname::uname().unwrap();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split('.').map_while(|part| part.parse().ok());
    let own = numbers.next().zip(numbers.next());
    own.expect("a kernel has a version") < version
}
