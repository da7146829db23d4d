//! Hostnames of the processes in a namespace.

use std::fs::File;

use nix::sched::{CloneFlags, setns};

use super::namespaces::Found;
use crate::sys::{processes::namespace, threads};

/// The hostname of the oldest process, unless its UTS namespace is one of `shared` (netviz's own,
/// the machine's, or the node's): then it is not the pod's.
pub(crate) fn hostname(found: &Found, shared: &[u64]) -> Option<String> {
    let pid = found.process?;
    let path = format!("/proc/{pid}/ns/uts");
    if shared.contains(&namespace(&path).ok()?) {
        return None;
    }
    let file = File::open(path).ok()?;
    // On its own thread, which ends in the foreign UTS namespace.
    let name = threads::alone("reads a hostname", || {
        setns(file, CloneFlags::CLONE_NEWUTS).ok()?;
        nix::unistd::gethostname().ok()
    });
    let name = name
        .inspect_err(|error| log::warn!("{error}; the name is missing"))
        .ok()??;
    Some(name.to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

/// UTS namespace of the oldest process.
pub(crate) fn uts(found: &Found) -> Option<u64> {
    namespace(&format!("/proc/{}/ns/uts", found.process?)).ok()
}

/// This process's own hostname.
pub(crate) fn own_hostname() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| "localhost".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}
