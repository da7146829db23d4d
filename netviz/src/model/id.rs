//! Identities: names and indexes repeat, so one of them never identifies anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Inode of a network namespace on nsfs: its identity for as long as it lives.
///
/// The kernel gives an inode away again at once after the namespace has gone, so that an identity
/// that is kept over time needs something else besides (netviz keeps what it attached, which dies
/// with the namespace's interfaces).
#[derive(
    Clone,
    Copy,
    Default,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct NetNsId(pub u64);

impl std::fmt::Display for NetNsId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "net:[{}]", self.0)
    }
}

/// The network namespace of a door.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Netns {
    /// A namespace that was entered.
    Known(NetNsId),
    /// A namespace that only the node has an id for, and that cannot be found from here.
    Unreached {
        /// The node's namespace, in which `nsid` counts.
        node: NetNsId,
        /// The id, as `ip link` prints it behind `link-netnsid`.
        nsid: i32,
    },
}

impl Netns {
    /// The namespace, if it was entered.
    #[must_use]
    pub fn known(self) -> Option<NetNsId> {
        match self {
            Self::Known(id) => Some(id),
            Self::Unreached { .. } => None,
        }
    }
}

/// Identity of a door: an interface index means nothing without its namespace.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct DoorId {
    /// Its network namespace.
    pub netns: Netns,
    /// Interface index in that namespace.
    pub ifindex: u32,
    /// How many interfaces had this index there before: the kernel reuses indexes.
    pub generation: u32,
}

impl DoorId {
    /// A door in a namespace that was entered.
    #[must_use]
    pub const fn new(netns: NetNsId, ifindex: u32) -> Self {
        Self {
            netns: Netns::Known(netns),
            ifindex,
            generation: 0,
        }
    }
}
