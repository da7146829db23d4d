//! The verdict: plain data, the only input of every view of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cause::{Cause, DropReason},
    facts::{Detour, Doubt, Note, RowNote, Way},
    protocol::Protocol,
    route::ModeSource,
};
use crate::model::{Direction, DoorId, Role, Side, Untrusted};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.verdict/2";

/// The verdict in one word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Delivered and answered, by the expected doors.
    Verified,
    /// Delivered, by other doors.
    Detour,
    /// Not delivered, or not answered.
    Lost,
    /// Not everything could be seen.
    Unclear,
}

impl Kind {
    /// As written in every output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Detour => "detour",
            Self::Lost => "lost",
            Self::Unclear => "unclear",
        }
    }
}

/// The probes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probes {
    /// `null` in passive mode.
    pub protocol: Option<Protocol>,
    /// Destination port.
    pub port: Option<u16>,
    /// Length of the IP packet in bytes.
    pub bytes: Option<u32>,
}

/// One end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// Name of its node, if that is known here.
    pub node: Option<Untrusted>,
    /// `namespace/name` of the pod.
    pub pod: Option<Untrusted>,
    /// As given on the command line, or its best name.
    pub name: Untrusted,
    /// Address.
    pub address: Option<String>,
}

/// Tunnel key at a crossing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnel {
    /// Security identity of the sender.
    pub identity: u32,
    /// The other node: its name where it is known, else its address.
    pub node: Option<Untrusted>,
}

/// One hook on the path, in the order in which packets reach it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CrossingRow {
    /// Identity of the interface, as `netviz doors -o json` has it.
    pub door: Option<DoorId>,
    /// Name of the node.
    pub node: Untrusted,
    /// `namespace/name` of the pod that it is in, or leads to.
    pub pod: Option<Untrusted>,
    /// Whether it is in the pod itself or on its node: both ends of a veth pair name the pod.
    pub side: Side,
    /// Interface name.
    pub interface: Untrusted,
    /// What the interface is for.
    pub role: Role,
    /// Programs of others at this hook, in run order; `null` if the hook could not be queried.
    pub programs: Option<Vec<Untrusted>>,
    /// The hook.
    pub direction: Direction,
    /// Whether it is on the expected path.
    pub expected: bool,
    /// How many of the packets were seen here, each once; `null` if the door is hidden.
    pub seen: Option<u32>,
    /// How many packets should cross this door, if only those to one backend of a service should; `null`:
    /// all.
    pub of: Option<u32>,
    /// How often packets were seen here again (a loop, a copy, a re-injection).
    pub repeated: u32,
    /// The helper that bypasses this door (`bpf_redirect_peer`): the door is on the path and should
    /// not be crossed.
    pub skipped_by: Option<String>,
    /// Median time since the door before, in microseconds.
    pub median_microseconds: Option<f64>,
    /// The longest of these times.
    pub worst_microseconds: Option<f64>,
    /// The tunnel key.
    pub tunnel: Option<Tunnel>,
    /// Whether packets are inside of a tunnel's packets here.
    pub outer: bool,
    /// In passive mode: all packets here, followed or not.
    pub packets: Option<u64>,
    /// Why nothing can be seen here, or what else to know.
    pub note: Option<RowNote>,
}

/// Packets that ended at one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Request or reply.
    pub way: Way,
    /// How many.
    pub packets: u32,
    /// Of how many that went this way.
    pub of: u32,
    /// Number of the first of these packets, from 0 in the order in which they were sent; `null` in
    /// passive mode.
    pub first: Option<u32>,
    /// Number of the last of them.
    pub last: Option<u32>,
    /// Row of the last door that saw them; `null` if none did.
    pub after: Option<usize>,
    /// Row of the door that should be next.
    pub before: Option<usize>,
    /// Rows of the circle in which they went round until their TTL ended; empty if there is none.
    pub circle: Vec<usize>,
    /// Why the kernel dropped most of them; `null` if that is unknown.
    pub drop_reason: Option<DropReason>,
    /// The cause; several only if packets ended here for several reasons.
    pub causes: Vec<Cause>,
}

/// The traffic, in passive mode. Packets are those on the wire: a socket buffer that the kernel
/// segments later counts as many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// How long packets were followed.
    pub seconds: f64,
    /// The only protocol that was followed; `null`: all.
    pub protocol: Option<Protocol>,
    /// All packets from A to B, at the door where they leave A or else at the one that saw most.
    pub request_packets: u64,
    /// All packets from B to A.
    pub reply_packets: u64,
    /// One packet in this many was followed, the same ones at every door.
    pub followed_one_in: u64,
    /// Packets from B to A that were followed; `sent` are those from A to B.
    pub returned: u32,
}

/// The result of a path test for one pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestResult {
    /// The name in the file; `null` if the test has none.
    pub name: Option<Untrusted>,
    /// Whether the verdict is as expected.
    pub passed: bool,
    /// Why the test failed; `null` if it passed.
    pub why: Option<String>,
}

/// The result for one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// `netviz.verdict/2`.
    pub schema: String,
    /// The verdict in one word.
    pub verdict: Kind,
    /// The path test that this pair is of; `null` without a file of tests.
    pub test: Option<TestResult>,
    /// A.
    pub from: Hop,
    /// B.
    pub to: Hop,
    /// The routing mode in words.
    pub mode: Option<String>,
    /// How the mode is known.
    pub mode_source: Option<ModeSource>,
    /// The probes.
    pub probes: Probes,
    /// The traffic, in passive mode.
    pub traffic: Option<Traffic>,
    /// Packets sent; in passive mode, packets from A to B that were followed.
    pub sent: u32,
    /// Packets that reached B's last door, or that B answered.
    pub delivered: u32,
    /// Packets that A received a reply to; in passive mode, followed packets that reached A.
    pub replied: u32,
    /// Median round trip, measured by the sender, in microseconds.
    pub round_trip_microseconds: Option<f64>,
    /// The longest round trip.
    pub round_trip_worst_microseconds: Option<f64>,
    /// The request's doors, in path order.
    pub request: Vec<CrossingRow>,
    /// The reply's doors.
    pub reply: Vec<CrossingRow>,
    /// Lost packets, requests first.
    pub losses: Vec<Loss>,
    /// How the path differs from the expected one.
    pub detours: Vec<Detour>,
    /// What could not be seen.
    pub unclear: Vec<Doubt>,
    /// What else to know.
    pub notes: Vec<Note>,
}

impl Verdict {
    /// Whether the pair is as expected: by its test, or else verified.
    pub fn passed(&self) -> bool {
        let verified = self.verdict == Kind::Verified;
        self.test.as_ref().map_or(verified, |test| test.passed)
    }

    /// The doors of one way.
    pub fn rows(&self, way: Way) -> &[CrossingRow] {
        match way {
            Way::Request => &self.request,
            Way::Reply => &self.reply,
        }
    }
}
