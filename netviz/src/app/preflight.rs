//! Checks privileges, files and limits before anything is loaded.

use std::fs::File;

use anyhow::{Result, anyhow, bail};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use crate::sys::{descriptors, privileges};

/// Checks the capabilities of this process and `/proc`, and raises its limits as far as it can.
///
/// # Errors
/// Names the missing capabilities or the file, and the remedy.
pub(super) fn check() -> Result<()> {
    let missing = privileges::missing();
    if !missing.is_empty() {
        bail!(
            "netviz needs root (missing: {}): run sudo netviz, or docker exec --privileged on a Kind node",
            missing.join(", ")
        );
    }
    readable("/proc/self/ns/net", "mount -t proc proc /proc")?;
    descriptors::raise_limit();
    // Before Linux 5.11 maps and programs count as locked memory.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    Ok(())
}

/// Checks as [`check`], and that counters can be read: they are per possible CPU.
///
/// # Errors
/// As [`check`].
pub(super) fn check_for_counters() -> Result<()> {
    check()?;
    readable(
        "/sys/devices/system/cpu/possible",
        "mount -t sysfs sysfs /sys",
    )
}

fn readable(file: &str, remedy: &str) -> Result<()> {
    let opened = File::open(file).map(drop);
    opened.map_err(|error| anyhow!("cannot read {file}: {error}; mount it: {remedy}"))
}
