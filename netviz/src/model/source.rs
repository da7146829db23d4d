//! Sources of names, and whether they answered.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::untrusted::Untrusted;

/// A source of names. Where two differ, the earlier one is believed: the nearer to the node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// libcni's result cache, `/var/lib/cni/results`.
    CniCache,
    /// The container runtime's files: containerd's bundles.
    Runtime,
    /// kubelet's files: the cgroups of pods, and `/var/log/pods`.
    Kubelet,
    /// The BPF maps that Cilium has pinned: what its datapath uses.
    CiliumMaps,
    /// The Cilium agent's REST API on its unix socket.
    Cilium,
    /// The Kubernetes API.
    Kubernetes,
    /// Hostnames, names of mounted namespaces: what the kernel itself knows.
    Kernel,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CniCache => "cni cache",
            Self::Runtime => "containerd",
            Self::Kubelet => "kubelet",
            Self::CiliumMaps => "cilium maps",
            Self::Cilium => "cilium",
            Self::Kubernetes => "kubernetes",
            Self::Kernel => "kernel",
        })
    }
}

/// The result of reading a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Status {
    /// It answered.
    Ok {
        /// Its version or address, or what it left out: `agent 1.19.0`.
        detail: Option<String>,
    },
    /// There is none here.
    Absent,
    /// It exists and could not be read.
    Failed {
        /// One line: what failed, and why.
        reason: String,
    },
}

impl Status {
    /// Answered, with nothing to add.
    pub const OK: Self = Self::Ok { detail: None };

    /// Failed for this reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Failed { reason }
    }
}

/// The status of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceStatus {
    /// Which source.
    pub source: Source,
    /// Name of the node where it was read; `None`: for all nodes at once.
    pub node: Option<Untrusted>,
    /// Whether it answered.
    pub status: Status,
}
