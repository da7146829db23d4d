//! What follows from expected and observed: plain data, the one input of every view.

use schemars::JsonSchema;
use serde::Serialize;

use super::{observation::Way, route::ModeSource};
use crate::model::{Direction, Side, Untrusted};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.verdict/1";

/// The verdict in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Delivered and answered, by the expected doors.
    Verified,
    /// Delivered, by other doors.
    Detour,
    /// Not delivered, or not answered.
    Lost,
    /// It could not be told.
    Unclear,
}

impl Kind {
    /// As it is written everywhere.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Detour => "detour",
            Self::Lost => "lost",
            Self::Unclear => "unclear",
        }
    }
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Probes {
    /// `icmp`, `udp`, `tcp`, or `passive` where nothing was sent.
    pub protocol: String,
    /// Destination port.
    pub port: Option<u16>,
    /// Length of the IP packet in bytes.
    pub bytes: Option<u32>,
}

/// One end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hop {
    /// Name of its node, where it has one here.
    pub node: Option<Untrusted>,
    /// `namespace/name` of the pod.
    pub pod: Option<Untrusted>,
    /// As it was asked for, or its best name.
    pub name: Untrusted,
    /// Address.
    pub address: Option<String>,
}

/// Tunnel key at a crossing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tunnel {
    /// Security identity of the sender.
    pub identity: u32,
    /// The other node: its name where it is known, else its address.
    pub node: Option<Untrusted>,
}

/// One door in one direction on the path, in the order in which packets come to it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CrossingRow {
    /// Name of the node.
    pub node: Untrusted,
    /// `namespace/name` of the pod it leads to.
    pub pod: Option<Untrusted>,
    /// Whether it stands in the pod itself or on its node: both ends of a veth pair name the pod.
    pub side: Side,
    /// Interface name.
    pub interface: Untrusted,
    /// Which hook.
    pub direction: Direction,
    /// Whether it is on the expected path.
    pub expected: bool,
    /// How many of the packets were seen here, each once; `null` where the door is hidden.
    pub seen: Option<u32>,
    /// How often packets were seen here again (a loop, a copy, a re-injection).
    pub repeated: u32,
    /// The helper that passes this door by (`bpf_redirect_peer`): on the path, and rightly not
    /// crossed.
    pub skipped_by: Option<String>,
    /// Time since the door before, median, in microseconds.
    pub median_microseconds: Option<f64>,
    /// The longest.
    pub worst_microseconds: Option<f64>,
    /// The tunnel key.
    pub tunnel: Option<Tunnel>,
    /// Inside of a tunnel's outer packet.
    pub outer: bool,
    /// Where nothing was sent: all packets of this way here, followed or not.
    pub packets: Option<u64>,
    /// Why nothing can be seen here, or what else there is to say.
    pub note: Option<String>,
}

/// Where packets ended.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Loss {
    /// On the way there or back.
    pub way: Way,
    /// How many.
    pub packets: u32,
    /// Of how many that went this way.
    pub of: u32,
    /// Place of the last door that saw them in `request` or `reply`; `null` where none did.
    pub after: Option<usize>,
    /// The door that should have come next.
    pub before: Option<usize>,
    /// The doors of the circle in which they went round until their TTL ended, as places in
    /// `request` or `reply`; empty where there is none.
    pub circle: Vec<usize>,
    /// What the kernel said when it threw packets away; `null` where it said nothing or could not
    /// be heard. Of several, what it said of most.
    pub drop_reason: Option<DropReason>,
    /// Causes, the surest first: what stands behind that door, what the kernel, Cilium or a router
    /// on the way says. Filled in by whoever can ask.
    pub causes: Vec<String>,
}

/// Packets that the kernel threw away (`skb:kfree_skb`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct DropReason {
    /// The kernel's own word (`NEIGH_FAILED`); `null` before Linux 5.17, which has none.
    pub reason: Option<String>,
    /// Function of the kernel that threw them away; `null` where its symbols cannot be read.
    pub function: Option<String>,
    /// The device that they were at.
    pub device: Option<Untrusted>,
    /// The node, or the pod, in whose network namespace that is.
    pub place: Option<Untrusted>,
    /// How many of the loss.
    pub packets: u32,
}

/// What was there, where nothing was sent. Packets are those on the wire: a socket buffer that the
/// kernel cuts up later counts as many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Traffic {
    /// How long packets were followed.
    pub seconds: f64,
    /// `icmp`, `udp`, `tcp`, where others were left out.
    pub protocol: Option<String>,
    /// All packets from A to B, where they leave A or, where that cannot be seen, at the door that
    /// saw most.
    pub request_packets: u64,
    /// All packets from B to A.
    pub reply_packets: u64,
    /// One in so many was followed, the same ones at every door.
    pub followed_one_in: u64,
    /// Packets of B's that were followed, as they left it; those of A's are `sent`.
    pub returned: u32,
}

/// What is to be said of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verdict {
    /// `netviz.verdict/1`.
    pub schema: String,
    /// In one word.
    pub verdict: Kind,
    /// A.
    pub from: Hop,
    /// B.
    pub to: Hop,
    /// Mode in words.
    pub mode: Option<String>,
    /// From where it is known.
    pub mode_source: Option<ModeSource>,
    /// What was sent.
    pub probes: Probes,
    /// What was there, where nothing was sent.
    pub traffic: Option<Traffic>,
    /// Packets sent; where nothing was sent, those followed that left A.
    pub sent: u32,
    /// Packets that came to B's last door, or that B answered.
    pub delivered: u32,
    /// Packets that A got an answer to; where nothing was sent, those followed that came from B.
    pub replied: u32,
    /// Round trips as the sender measured them, median, in microseconds.
    pub round_trip_microseconds: Option<f64>,
    /// The longest of them.
    pub round_trip_worst_microseconds: Option<f64>,
    /// The way there, in path order.
    pub request: Vec<CrossingRow>,
    /// The way back.
    pub reply: Vec<CrossingRow>,
    /// Where packets ended, the way there first.
    pub losses: Vec<Loss>,
    /// Which doors in place of which, a sentence each.
    pub detours: Vec<String>,
    /// What was not visible, and what would make it so, a sentence each.
    pub unclear: Vec<String>,
    /// What else there is to say (`cilium_host was not crossed`).
    pub notes: Vec<String>,
}
