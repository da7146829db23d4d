//! Raw counters at one moment.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    hook::{Chain, Direction},
    id::DoorId,
    reason::Reason,
};

/// What crossed one hook since netviz was attached there, summed over the CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Socket buffers, as `ip -s link` counts them.
    pub packets: u64,
    /// Packets on the wire, `max(1, gso_segs)` per socket buffer.
    pub segments: u64,
    /// Bytes with the Ethernet header.
    pub bytes: u64,
}

impl Counts {
    /// The difference to `before`.
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

/// Whether a door is being counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AttachState {
    /// Discovered and queued.
    #[default]
    Pending,
    /// Both hooks are counted.
    Counting,
    /// Not counted, for this reason.
    Failed(Reason),
    /// The interface no longer exists.
    Gone,
}

/// A time in which netviz was not attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// When it ended, on the clock of [`Sample::at`].
    pub ended: Duration,
    /// How long it was, at the most: since netviz was last seen attached.
    pub length: Duration,
}

/// One door at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorSample {
    /// Whether it is counted.
    pub meter: AttachState,
    /// Since when it is counted, on the clock of [`Sample::at`].
    pub since: Option<Duration>,
    /// How often netviz reattached: what crossed in between is not counted.
    pub epoch: u32,
    /// The last gap before reattaching.
    pub gap: Option<Gap>,
    /// Counters of the ingress hook; `None` as long as it was never counted.
    pub ingress: Option<Counts>,
    /// Counters of the egress hook.
    pub egress: Option<Counts>,
    /// The other programs at the ingress hook; `None` if unknown.
    pub ingress_chain: Option<Chain>,
    /// The other programs at the egress hook.
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
