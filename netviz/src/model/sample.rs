//! Raw counters at one moment.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{id::DoorId, reason::Reason, untrusted::Untrusted};

/// One of the two hooks of a door.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the device, as the kernel names it.
    Ingress,
    /// Out of the device.
    Egress,
}

impl Direction {
    /// The sign under which every view shows it.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Ingress => "▼",
            Self::Egress => "▲",
        }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// What crossed one hook since netviz stands there, summed over the CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Socket buffers, as `ip -s link` counts them.
    pub packets: u64,
    /// Packets on the wire, `max(1, gso_segs)` per socket buffer.
    pub segments: u64,
    /// Bytes with the Ethernet header.
    pub bytes: u64,
}

impl Counts {
    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            segments: self.segments.saturating_sub(before.segments),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets: self.packets + other.packets,
            segments: self.segments + other.segments,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// The programs that share a hook with netviz, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Chain {
    /// Names of those that run before netviz: what they end is never counted.
    pub ahead: Vec<Untrusted>,
    /// Names of those that run after it.
    pub behind: Vec<Untrusted>,
}

impl Chain {
    /// Those ahead that may end packets. Another netviz lets everything pass on, by its first rule,
    /// and hides nothing.
    #[must_use]
    pub fn foreign_ahead(&self) -> Vec<&str> {
        let names = self.ahead.iter().map(Untrusted::raw);
        names.filter(|name| !name.starts_with("netviz_")).collect()
    }
}

/// Whether a door is being counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AttachState {
    /// Found, and in the queue of those to be attached.
    #[default]
    Pending,
    /// Both hooks are counted.
    Counting,
    /// Not counted, and why.
    Failed(Reason),
    /// The interface is not there any more.
    Gone,
}

/// A time in which netviz was not in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// When it ended, on the clock of [`Sample::at`].
    pub ended: Duration,
    /// How long it was, at the most: since netviz was last seen in its place.
    pub length: Duration,
}

/// One door at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorSample {
    /// Whether it is counted.
    pub meter: AttachState,
    /// Since when it is counted, on the clock of [`Sample::at`].
    pub since: Option<Duration>,
    /// How often netviz had to take its place again: what crossed in between is not counted.
    pub epoch: u32,
    /// The last time that it had to.
    pub gap: Option<Gap>,
    /// Counters of the ingress hook; `None` as long as it was never counted.
    pub ingress: Option<Counts>,
    /// Counters of the egress hook.
    pub egress: Option<Counts>,
    /// Who else is on the ingress hook; `None` where that could not be asked.
    pub ingress_chain: Option<Chain>,
    /// Who else is on the egress hook.
    pub egress_chain: Option<Chain>,
}

impl DoorSample {
    /// Counters in one direction.
    #[must_use]
    pub fn counts(&self, direction: Direction) -> Option<Counts> {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }

    /// The hook's chain in one direction.
    #[must_use]
    pub fn chain(&self, direction: Direction) -> Option<&Chain> {
        match direction {
            Direction::Ingress => self.ingress_chain.as_ref(),
            Direction::Egress => self.egress_chain.as_ref(),
        }
    }
}

/// All doors at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Time on a clock that only goes forward.
    pub at: Duration,
    /// Doors, those that are gone for a short while included.
    pub doors: BTreeMap<DoorId, DoorSample>,
}
