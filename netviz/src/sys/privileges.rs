//! Capabilities: the required and missing ones, and dropping the others.

use caps::{CapSet, Capability, CapsHashSet};

/// All that netviz needs, each with its reason. It drops all others at the start.
pub const REQUIRED: [(Capability, &str); 5] = [
    (
        Capability::CAP_BPF,
        "to load the counting programs and read their maps",
    ),
    (Capability::CAP_NET_ADMIN, "to attach them"),
    (
        Capability::CAP_SYS_ADMIN,
        "to enter network namespaces and to name the programs of others",
    ),
    (
        Capability::CAP_SYS_PTRACE,
        "to find the namespaces of other users' processes",
    ),
    (
        Capability::CAP_NET_BROADCAST,
        "to receive notifications from inside of pods",
    ),
];

/// Names of the required capabilities that this process lacks.
#[must_use]
pub fn missing() -> Vec<String> {
    let Ok(effective) = caps::read(None, CapSet::Effective) else {
        return Vec::new();
    };
    let lacking = REQUIRED
        .iter()
        .filter(|(capability, _)| !effective.contains(capability));
    lacking
        .map(|(capability, _)| capability.to_string())
        .collect()
}

/// Drops all capabilities except `keep` for the calling thread and those that it starts.
///
/// A failure is not fatal: netviz then has more privileges than it needs.
pub fn keep_only(keep: &[Capability]) {
    let keep: CapsHashSet = keep.iter().copied().collect();
    let narrow = |set| {
        let held = caps::read(None, set)?;
        caps::set(None, set, &held.intersection(&keep).copied().collect())
    };
    // The bounding set first: changing it needs a capability that is dropped below.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        for capability in caps::all().difference(&keep) {
            let _ = caps::drop(None, CapSet::Bounding, *capability);
        }
    }
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        if let Err(error) = narrow(set) {
            log::debug!("cannot give up capabilities: {error}");
        }
    }
    // SAFETY: a prctl with constant arguments; nothing that is executed gains privileges again.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
}
