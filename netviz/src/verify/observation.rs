//! What was observed: crossings of marked packets, and what the sender received.

use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use super::{
    cause::DropReason,
    facts::{Doubt, HiddenReason, Note, Way},
    lookups::Lookups,
};
use crate::model::{CiliumDrop, Direction, DoorId};

/// One hook: a door and a direction.
pub type Hook = (DoorId, Direction);

/// Names of the programs at each hook, in the order in which they run, without netviz's own. A hook
/// that is missing could not be queried.
pub type Hooks = BTreeMap<Hook, Vec<String>>;

/// Doors where nothing can be seen, and why.
pub type Hidden = BTreeMap<DoorId, HiddenReason>;

/// What Cilium dropped during the run, by index of the node, most packets first. Empty: nothing;
/// missing: its counters could not be read.
pub type CiliumDrops = BTreeMap<usize, Vec<CiliumDrop>>;

/// The tunnel key that a packet carried at `cilium_vxlan` or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelKey {
    /// Security identity of the sender: Cilium's tunnel id.
    pub identity: u32,
    /// The other node: the destination at egress, the source at ingress.
    pub node: Option<IpAddr>,
}

/// What a packet on its way back is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplyKind {
    /// An echo, a datagram, a SYN-ACK.
    #[default]
    Reply,
    /// A reset, or `port unreachable`.
    Refusal,
    /// Another ICMP error: the packet was not delivered.
    Error,
    /// An ICMP redirect: a router has forwarded the packet, and names a better way. No answer.
    Redirect,
}

impl ReplyKind {
    /// Whether the receiver sends it.
    pub const fn is_answer(self) -> bool {
        matches!(self, Self::Reply | Self::Refusal)
    }
}

/// How a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// A TCP reset.
    Reset,
    /// An ICMP error. The kernel limits their rate (`net.ipv4.icmp_ratelimit`).
    PortUnreachable,
    /// As `PortUnreachable`.
    ProtocolUnreachable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "the port is closed (reset)",
            Self::PortUnreachable => "port unreachable",
            Self::ProtocolUnreachable => "protocol unreachable",
        })
    }
}

impl Refusal {
    /// Whether the kernel limits how many it sends.
    pub const fn is_limited(self) -> bool {
        !matches!(self, Self::Reset)
    }
}

/// One marked packet at one hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// When, on the kernel's monotonic clock: one clock for all nodes on one kernel.
    pub at: Duration,
    /// The door.
    pub door: DoorId,
    /// The door's hook.
    pub direction: Direction,
    /// Request or reply.
    pub way: Way,
    /// What it is, on its way back.
    pub kind: ReplyKind,
    /// Number of the packet, from 0: below [`Observation::sent`].
    pub sequence: u32,
    /// Whether it was inside of a tunnel's packet.
    pub outer: bool,
    /// Whether it was a fragment, which does not show what it is inside of.
    pub fragment: bool,
    /// The tunnel key, if it carried one.
    pub tunnel: Option<TunnelKey>,
}

impl Crossing {
    /// At which hook.
    pub const fn hook(&self) -> Hook {
        (self.door, self.direction)
    }
}

/// What the sender received for one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The reply, after this time.
    Reply(Duration),
    /// It was refused with B's address.
    Refused(Duration, Refusal),
    /// A router, or the sender's own kernel (`None`), reports that it could not be delivered.
    Unreachable(Duration, String, Option<IpAddr>),
    /// The sender's own kernel did not send it (`Message too long`): it crossed no door.
    Unsent(String),
}

/// A packet that the kernel dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropping {
    /// When, on the kernel's monotonic clock.
    pub at: Duration,
    /// Number of the packet, request or reply.
    pub sequence: u32,
    /// The device; it need not be a door.
    pub door: Option<DoorId>,
    /// Why and where; one packet.
    pub reason: DropReason,
}

/// What is known in passive mode, where existing packets are followed. Request and reply are
/// independent then: packets of each are numbered from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Packets that were seen leaving B.
    pub back: u32,
    /// Packets of A that B must answer and that left early enough.
    pub asked: u32,
}

/// All that was observed of one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Packets to send; in passive mode, packets that were seen leaving A.
    pub sent: u32,
    /// In passive mode only.
    pub found: Option<Found>,
    /// What came back, by sequence number; missing: nothing in time.
    pub answers: BTreeMap<u32, Answer>,
    /// Crossings, in any order.
    pub crossings: Vec<Crossing>,
    /// Packets that the kernel dropped, in any order.
    pub drops: Vec<Dropping>,
    /// Doors where nothing can be seen.
    pub hidden: Hidden,
    /// Crossings that were lost because a buffer was full.
    pub missed: u64,
    /// Judge the request only.
    pub one_way: bool,
    /// Programs of others.
    pub hooks: Hooks,
    /// What Cilium dropped during the run.
    pub cilium: CiliumDrops,
    /// What the kernel knows near the losses.
    pub lookups: Lookups,
    /// All packets at a hook, followed or not; in passive mode only.
    pub packets: BTreeMap<(Way, Hook), u64>,
    /// Why a loss of these packets does not mean that other traffic is lost.
    pub doubts: Vec<Doubt>,
    /// What else to report.
    pub notes: Vec<Note>,
}

impl Observation {
    /// How many packets went one way, or were to be sent.
    pub fn packets(&self, way: Way) -> u32 {
        match (way, &self.found) {
            (Way::Reply, Some(found)) => found.back,
            _ => self.sent,
        }
    }
}
