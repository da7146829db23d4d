//! What was observed: crossings of marked packets, and what the sender got back.

use std::{net::IpAddr, time::Duration};

use crate::model::{Direction, DoorId};

/// Which way a packet was going.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From A to B.
    Request,
    /// Whatever came back for it: an echo, a SYN-ACK, a reset, an ICMP error.
    Reply,
}

/// The tunnel key that a packet carried at `cilium_vxlan` or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelKey {
    /// Security identity of the sender, as Cilium puts it into the tunnel id.
    pub identity: u32,
    /// Node at the other end of the tunnel: where to at egress, where from at ingress.
    pub node: Option<IpAddr>,
}

/// One marked packet at one door in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// When, on the kernel's monotonic clock: one clock for all nodes on one kernel.
    pub at: Duration,
    /// Which door.
    pub door: DoorId,
    /// Which of its hooks.
    pub direction: Direction,
    /// Which way it was going.
    pub way: Way,
    /// Which of the packets that were sent, counted from 0: below [`Observation::sent`].
    pub sequence: u32,
    /// It was inside of a tunnel's outer packet here.
    pub outer: bool,
    /// It was a fragment, which does not show inside of what it is.
    pub fragment: bool,
    /// The tunnel key, where it carried one.
    pub tunnel: Option<TunnelKey>,
}

/// What the sender got back for one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer of the kind that was asked for, after this time.
    Reply(Duration),
    /// B is there and says no: a reset, or `port unreachable`. The packet was delivered.
    Refused(Duration, String),
    /// Somebody on the way says that it could not be delivered, in words that name him
    /// (`fragmentation needed, MTU 1450, says 10.10.1.55`).
    Unreachable(Duration, String),
    /// The sender's own kernel would not send it (`Message too long`): it crossed no door.
    Unsent(String),
}

/// A hook at which nothing could be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Which door.
    pub door: DoorId,
    /// Why, and the remedy.
    pub reason: String,
}

/// A packet that the kernel threw away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropping {
    /// When, on the kernel's monotonic clock.
    pub at: Duration,
    /// Which of the packets that were sent, whichever way it was going.
    pub sequence: u32,
    /// Why and where; one packet.
    pub reason: super::verdict::DropReason,
}

/// What is known where nothing was sent, but packets that were there anyway were followed. The ways
/// have nothing to do with each other then: packets of each are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Packets that were seen leaving B.
    pub back: u32,
    /// Packets of A that had to be answered, and left early enough: if B says nothing at all, they
    /// were not.
    pub asked: u32,
}

/// All that was observed of one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Packets that were to be sent, or, where nothing was sent, that were seen leaving A.
    pub sent: u32,
    /// Nothing was sent: what was there was followed.
    pub found: Option<Found>,
    /// What came back, by sequence number; nothing there: no answer in time.
    pub answers: std::collections::BTreeMap<u32, Answer>,
    /// Crossings, in any order.
    pub crossings: Vec<Crossing>,
    /// What the kernel threw away, in any order.
    pub drops: Vec<Dropping>,
    /// Doors that could not be watched.
    pub hidden: Vec<Hidden>,
    /// Crossings that were seen and could not be kept: the numbers below are too low by so many.
    pub missed: u64,
    /// Only one way was to be watched; an answer is not asked for.
    pub one_way: bool,
    /// Why packets that were lost need not say that others' are, a sentence each.
    pub doubts: Vec<String>,
    /// A or B went away meanwhile, and other things to be said.
    pub notes: Vec<String>,
}

impl Observation {
    /// How many packets are known to have gone one way, or were to be sent.
    #[must_use]
    pub fn packets(&self, way: Way) -> u32 {
        match (way, &self.found) {
            (Way::Reply, Some(found)) => found.back,
            _ => self.sent,
        }
    }
}
