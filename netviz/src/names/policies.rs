//! Network policies that select a pod.

pub mod lookup;
pub(crate) mod rule;
pub(crate) mod selector;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Untrusted;

/// A network policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// `NetworkPolicy`, `CiliumNetworkPolicy`, `CiliumClusterwideNetworkPolicy`.
    pub kind: String,
    /// Its namespace; `null` if it is cluster-wide.
    pub namespace: Option<Untrusted>,
    /// Its name.
    pub name: Untrusted,
}

/// The policies that select a pod and restrict one direction.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Selecting {
    /// Sorted.
    pub policies: Vec<Policy>,
    /// What the Kubernetes API did not answer: other policies may select the pod, too.
    pub unread: Vec<Unread>,
}

/// Objects that the Kubernetes API did not return.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// `networkpolicies`
    pub resource: String,
    /// Why.
    pub reason: UnreadReason,
}

/// Why objects could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum UnreadReason {
    /// The API's user may not list them.
    Forbidden,
    /// The cluster has no such kind of objects: their CRD is not installed.
    NotInstalled,
    /// There are more than netviz reads.
    TooMany,
    /// Another error.
    Failed {
        /// One line: what failed, and why.
        error: String,
    },
}
