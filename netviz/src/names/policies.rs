//! Network policies that select a pod.

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
