//! Workloads: any pod of one can be tested in its place.

use super::pods::Candidate;
use crate::model::{Owner, Untrusted};

/// A kind of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl Workload {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// Whether a pod belongs to the workload with this name: by its owner, or else by its own name.
    pub(super) fn has(self, name: &str, pod: &Candidate<'_>) -> bool {
        let Some(pod_name) = pod.name else {
            return false;
        };
        match pod.owner() {
            Some(owner) => self.owns(name, owner),
            None => self.names(name, pod_name),
        }
    }

    fn owns(self, name: &str, owner: &Owner) -> bool {
        match self {
            Self::Deployment => owner.kind == "ReplicaSet" && is_of_replica_set(name, &owner.name),
            Self::StatefulSet => owner.kind == "StatefulSet" && owner.name == name,
            Self::DaemonSet => owner.kind == "DaemonSet" && owner.name == name,
        }
    }

    /// `web-c8bbbbb84-fmhwc`, `web-0`, `web-fmhwc`.
    fn names(self, name: &str, pod: &str) -> bool {
        let Some(rest) = pod
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('-'))
        else {
            return false;
        };
        match self {
            Self::Deployment => rest
                .split_once('-')
                .is_some_and(|(hash, end)| is_hash(hash) && is_random(end)),
            Self::StatefulSet => !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()),
            Self::DaemonSet => is_random(rest),
        }
    }
}

/// `web-c8bbbbb84` of `web`.
fn is_of_replica_set(deployment: &str, name: &Untrusted) -> bool {
    let hash = name.raw().strip_prefix(deployment);
    hash.and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(is_hash)
}

/// The end of the name of a pod with a generated name.
fn is_random(text: &str) -> bool {
    text.len() == 5 && is_hash(text)
}

/// Kubernetes generates names without vowels and what looks like them (`k8s.io/apimachinery/pkg/util/rand`).
fn is_hash(text: &str) -> bool {
    (1..=10).contains(&text.len())
        && text
            .chars()
            .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pods_show_their_workload() {
        use Workload::{DaemonSet, Deployment, StatefulSet};
        assert!(Deployment.names("busybox", "busybox-c8bbbbb84-fmhwc"));
        assert!(Deployment.names("web-front", "web-front-7d996d7884-gcxrm"));
        assert!(!Deployment.names("web", "web-front-7d996d7884-gcxrm"));
        assert!(!Deployment.names("web", "web-0"));
        assert!(StatefulSet.names("web", "web-12"));
        assert!(!StatefulSet.names("web", "web-"));
        assert!(DaemonSet.names("cilium", "cilium-fmhwc"));
        assert!(!DaemonSet.names("cilium", "cilium-operator"));
        let owner = |kind: &str, name: &str| Owner {
            kind: kind.into(),
            name: name.into(),
        };
        assert!(Deployment.owns("web", &owner("ReplicaSet", "web-c8bbbbb84")));
        assert!(!Deployment.owns("web", &owner("ReplicaSet", "web-front-c8bbbbb84")));
        assert!(!Deployment.owns("web", &owner("DaemonSet", "web-c8bbbbb84")));
        assert!(StatefulSet.owns("web", &owner("StatefulSet", "web")));
    }
}
