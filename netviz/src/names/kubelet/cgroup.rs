//! The pod of a process, by `/proc/PID/cgroup`.
//!
//! The path depends on the driver (cgroupfs, systemd, or one under the other), the QoS level, the
//! version of cgroups, and the reader (the node or its host). It always contains `pod<uid>`, and then the
//! container's id.

use std::fs;

use crate::sys::netns::NetNsId;

/// A pod's network namespace, which may be the node's own, and its uid by a process in it.
pub type Living = (NetNsId, String);

/// The container that a process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Uid of the pod, as Kubernetes writes it; for a static pod 32 hexadecimal digits.
    pub uid: String,
    /// Id of the container, or of the pod's sandbox.
    pub container: Option<String>,
}

/// Reads `/proc/PID/cgroup`; `None` for a process outside of pods.
#[must_use]
pub fn member(text: &str) -> Option<Member> {
    text.lines().find_map(|line| {
        // Number, controllers, path: a path may have colons.
        let path = line.splitn(3, ':').nth(2)?;
        Some(Member {
            uid: uid(path)?,
            container: container(path),
        })
    })
}

/// The uid of the pod that a process is in, by its directory below `/proc`.
pub(super) fn uid_of(process: &str) -> Option<String> {
    let text = fs::read_to_string(format!("{process}/cgroup")).ok()?;
    Some(member(&text)?.uid)
}

fn uid(path: &str) -> Option<String> {
    let mut places = path.match_indices("pod");
    places.find_map(|(at, word)| {
        let rest = &path[at + word.len()..];
        let end = rest
            .find(|c: char| !c.is_ascii_hexdigit() && c != '-' && c != '_')
            .unwrap_or(rest.len());
        let uid = rest[..end].replace('_', "-");
        is_uid(&uid).then_some(uid)
    })
}

/// Whether it is a uid of Kubernetes, or of a static pod.
pub(super) fn is_uid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    let hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f' | '-');
    matches!(lengths[..], [8, 4, 4, 4, 12] | [32]) && text.chars().all(hex)
}

/// The last 64 hexadecimal digits: on the host of a Kind node, the node is a container, too.
fn container(path: &str) -> Option<String> {
    let mut words = path.rsplit(|c: char| !c.is_ascii_hexdigit());
    words.find(|word| word.len() == 64).map(str::to_owned)
}
