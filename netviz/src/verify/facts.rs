//! The facts in a verdict: a code and its data.
//!
//! `views::verdict` makes the sentences. A `row` is a place in
//! [`Verdict::request`](super::Verdict::request) or [`Verdict::reply`](super::Verdict::reply).

use std::{fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::protocol::Protocol;
use crate::model::{Direction, Untrusted};

/// Which end of the path a packet is going to. Not to be confused with [`Direction`], the hook of
/// one interface: a request crosses ingress and egress hooks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From A to B.
    Request,
    /// From B to A: an echo, a SYN-ACK, a reset, an ICMP error.
    Reply,
}

impl Way {
    /// Both, in order.
    pub const BOTH: [Self; 2] = [Self::Request, Self::Reply];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Reply => "reply",
        })
    }
}

/// Why nothing can be seen at a door.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum HiddenReason {
    /// netviz could not attach.
    NotAttached {
        /// Why, and the remedy.
        error: String,
    },
    /// Other programs run before netviz.
    Displaced {
        /// Their names.
        programs: Vec<String>,
    },
    /// netviz was detached, or the interface was removed, during the run.
    Detached,
    /// The programs' maps could not be read or written.
    Unreadable {
        /// Why.
        error: String,
    },
    /// Packets can be in fragments, none of which carries the whole marker.
    Fragments {
        /// Length of the packets.
        size: u32,
        /// The longest that is not fragmented.
        limit: u32,
    },
}

/// How the observed path differs from the expected one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Detour {
    /// Other doors.
    Doors {
        /// Request or reply.
        way: Way,
        /// Rows that were crossed and are not expected.
        crossed: Vec<usize>,
        /// Rows that are expected and were not crossed.
        passed_by: Vec<usize>,
        /// How many packets.
        packets: u32,
        /// Of how many.
        of: u32,
    },
    /// Packets were inside of a tunnel and should not be, or the other way round.
    Tunnel {
        /// Request or reply.
        way: Way,
        /// Where.
        row: usize,
        /// Whether they should be inside of a tunnel.
        expected: bool,
        /// How many packets.
        packets: u32,
        /// Of how many.
        of: u32,
    },
    /// A device of the expected path does not exist.
    Absent {
        /// Its name, or its kind.
        device: String,
        /// Name of the node.
        node: String,
    },
}

/// Why there is no certain verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Doubt {
    /// `--passive` saw no packet.
    NothingFound,
    /// No packet was sent.
    NothingSent,
    /// Neither A nor B is on a node of this machine.
    BothElsewhere,
    /// No door of an end was found.
    NoDoors {
        /// The end.
        name: String,
    },
    /// A node does not run Cilium, so its routing is unknown.
    NoCilium {
        /// The node.
        node: String,
    },
    /// B is a pod on a node that is not here.
    Remote {
        /// The pod.
        pod: Untrusted,
        /// Its node.
        node: Untrusted,
    },
    /// An address in a node's pod range that no interface has.
    Unassigned {
        /// The address.
        address: IpAddr,
        /// The node.
        node: String,
        /// Whether a source names the range; otherwise it is assumed.
        listed: bool,
        /// Whether all pods of the node were visible.
        complete: bool,
    },
    /// No expected path is known.
    NoExpectation,
    /// Cilium translates services in sockets of the sender's cgroup, and netviz has none there.
    ServiceTranslated {
        /// The service; `null` if the address is only suspected to be one.
        service: Option<String>,
        /// Pods behind it.
        backends: Vec<String>,
        /// Why the sender's cgroup could not be used; `null` if that was not tried.
        error: Option<String>,
    },
    /// Doors of pods that may be behind a service were left out.
    DoorsNotWatched {
        /// How many.
        doors: usize,
    },
    /// A connection was answered in B's place before it left a node: by a proxy (an L7 policy of
    /// Cilium, a service mesh).
    AnsweredByProxy {
        /// The node.
        node: String,
        /// How many packets.
        packets: u32,
        /// Of how many.
        of: u32,
    },
    /// Packets got through, and no door recognised them.
    Unrecognised {
        /// Request or reply.
        way: Way,
        /// How many.
        packets: u32,
        /// Of how many.
        of: u32,
    },
    /// Events were lost because a buffer was full.
    Missed {
        /// Request or reply.
        way: Way,
        /// How many.
        crossings: u64,
    },
    /// Doors where nothing can be seen.
    Hidden {
        /// Request or reply.
        way: Way,
        /// Where.
        rows: Vec<usize>,
        /// Why.
        reason: HiddenReason,
    },
    /// Addresses may have been translated behind a door, so packets are not recognised.
    MayBeTranslated {
        /// Request or reply.
        way: Way,
        /// Where.
        row: usize,
        /// The end that may be a service.
        name: String,
    },
}

/// How many packets a backend of a service received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendShare {
    /// The pod.
    pub pod: String,
    /// How many requests entered it.
    pub packets: u32,
}

/// What else to know about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Note {
    /// A service's packets went to this pod.
    DeliveredTo {
        /// The pod.
        pod: String,
    },
    /// A service's packets went to these pods, most packets first.
    DeliveredToBackends {
        /// How many went to each.
        shares: Vec<BackendShare>,
    },
    /// An end was named by its workload, or by the beginning of its name.
    Chosen {
        /// What was asked for.
        asked: String,
        /// The pod that was chosen.
        pod: String,
        /// Of how many.
        of: usize,
    },
    /// A service answers at its ports only.
    ServicePort {
        /// What was sent.
        protocol: Protocol,
        /// To which port.
        port: u16,
    },
    /// Doors of other pods were left out.
    DoorsNotWatched {
        /// How many.
        doors: usize,
    },
    /// Packets that were not seen leaving their sender.
    Strays {
        /// Request or reply.
        way: Way,
        /// How many.
        packets: u32,
        /// The interface that saw them first.
        interface: String,
        /// Its hook.
        direction: Direction,
        /// The node.
        node: String,
    },
    /// Packets in UDP GSO bundles, which are cut and merged on the way.
    Bundled {
        /// How many.
        packets: u64,
    },
    /// Packets were seen from B to A only.
    ReplyOnly,
    /// No packet was seen from B to A.
    NoReplies,
    /// Drop events were lost because a buffer was full.
    DropEventsLost {
        /// How many.
        events: u64,
    },
    /// Kernel lockdown refuses to name the reasons of drops.
    DropReasonsLockedDown,
    /// A and B are the same.
    SentToItself,
    /// B refused packets, so they were delivered.
    Refused {
        /// How many.
        packets: u32,
        /// The refusal.
        answer: String,
        /// How many more it received without a refusal: the kernel limits the rate of ICMP errors.
        limited: u32,
        /// Whether the kernel says that netfilter dropped them: `REJECT`, and not a closed port.
        by_netfilter: bool,
    },
    /// A node sent ICMP redirects, which are no answers: it forwards the packets all the same.
    Redirects {
        /// For how many packets.
        packets: u32,
        /// The node where they were seen first.
        node: String,
    },
    /// A door was crossed again by the same packets.
    Repeated {
        /// Request or reply.
        way: Way,
        /// Where.
        row: usize,
        /// How often.
        times: u32,
        /// Whether the path is encrypted, which explains it.
        encrypted: bool,
    },
    /// Packets arrived in another order than they were sent.
    Reordered {
        /// Request or reply.
        way: Way,
        /// The first door where they did.
        row: usize,
        /// How many came after one that was sent later.
        packets: u32,
        /// Of how many.
        of: u32,
    },
    /// The traffic does not use `cilium_host`.
    HostNotCrossed,
    /// The kernel's counters of `cilium_host` do not contain these packets.
    NotCountedByLink,
    /// Crossings of packets that were not sent.
    NotSent {
        /// How many.
        crossings: u32,
    },
    /// Crossings were lost because a buffer was full.
    Missed {
        /// How many.
        crossings: u64,
    },
}

/// What else to know about one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum RowNote {
    /// Nothing can be seen here.
    Hidden {
        /// Why.
        reason: HiddenReason,
    },
    /// Packets are encrypted here, and are not recognised.
    Encrypted {
        /// `WireGuard`, `IPsec`.
        by: String,
    },
    /// Not on the path itself: a bond's member, or encryption.
    Besides,
}
