//! The hooks of a door, and the programs at them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::untrusted::Untrusted;

/// One of the two hooks of a door.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the device, as the kernel names it.
    Ingress,
    /// Out of the device.
    Egress,
}

impl Direction {
    /// Both, ingress first.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The sign under which every view shows it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Ingress => "▼",
            Self::Egress => "▲",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The programs that share a hook with netviz, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// Programs that run before netviz: packets that they end are not counted.
    pub ahead: Vec<Untrusted>,
    /// Programs that run after it.
    pub behind: Vec<Untrusted>,
}

impl Chain {
    /// The programs ahead that may end packets. Another netviz never does.
    #[must_use]
    pub fn foreign_ahead(&self) -> Vec<&str> {
        let names = self.ahead.iter().map(Untrusted::raw);
        names.filter(|name| !name.starts_with("netviz_")).collect()
    }
}
