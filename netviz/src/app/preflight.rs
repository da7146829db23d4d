//! Checks privileges and limits before anything is loaded.

use anyhow::{Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::sys::privileges;

/// Checks the capabilities of this process, and raises its limits as far as it can.
///
/// # Errors
/// Names the missing capabilities and the remedy.
pub(super) fn check() -> Result<()> {
    let missing = privileges::missing();
    if !missing.is_empty() {
        bail!(
            "netviz may not look into this machine's network: {} missing; run it as root (sudo netviz, or docker exec --privileged on a Kind node)",
            missing.join(", ")
        );
    }
    raise_limits();
    Ok(())
}

/// Three descriptors a door: the default limit of 1 024 is 340 doors.
fn raise_limits() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    // Before Linux 5.11 maps and programs count as locked memory.
    let unlimited = nix::sys::resource::RLIM_INFINITY;
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, unlimited, unlimited);
}
