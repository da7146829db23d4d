//! Checks privileges and limits before anything is loaded.

use anyhow::{Result, bail};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use crate::sys::{descriptors, privileges};

/// Checks the capabilities of this process, and raises its limits as far as it can.
///
/// # Errors
/// Names the missing capabilities and the remedy.
pub(super) fn check() -> Result<()> {
    let missing = privileges::missing();
    if !missing.is_empty() {
        bail!(
            "netviz needs root (missing: {}): run sudo netviz, or docker exec --privileged on a Kind node",
            missing.join(", ")
        );
    }
    descriptors::raise_limit();
    // Before Linux 5.11 maps and programs count as locked memory.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    Ok(())
}
