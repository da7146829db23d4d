//! Cluster, counters and rates at one moment: the one input of every view.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cluster::Node,
    directory::Directory,
    door::{Role, Side},
    flow::{DoorFlows, FlowMemory},
    hook::Chain,
    id::{DoorId, NetNsId},
    link::{LinkKind, LinkState},
    names::{Disagreement, Pod},
    reason::Reason,
    source::{Source, SourceStatus},
    untrusted::Untrusted,
};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.snapshot/2";

/// How well a door is seen.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every packet at both hooks is counted.
    Counting,
    /// Packets cross it uncounted, or may do so: the reason has the cause.
    Blind,
    /// Packets reach the other end without crossing one of its hooks: the reason has the number.
    Bypassed,
    /// The interface has gone; the last counters stay for a while.
    Gone,
}

/// Rates over the window of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Packets (socket buffers) per second.
    pub packets: f64,
    /// Bytes per second.
    pub bytes: f64,
}

/// A figure with at most three decimals: more would only look precise.
#[must_use]
pub fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

/// One direction of a door; `null` where nothing is known, which is not the same as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Socket buffers since netviz was attached.
    pub packets: Option<u64>,
    /// Packets on the wire: a GSO super-packet counts as its segments.
    pub segments: Option<u64>,
    /// Bytes, Ethernet headers included.
    pub bytes: Option<u64>,
    /// Socket buffers per second in the window.
    pub packets_per_second: Option<f64>,
    /// Bytes per second in the window.
    pub bytes_per_second: Option<f64>,
}

/// The other programs at a door's two hooks; `null` if unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Programs {
    /// At the ingress hook.
    pub ingress: Option<Chain>,
    /// At the egress hook.
    pub egress: Option<Chain>,
}

/// The device below an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lower {
    /// Inode of its network namespace.
    pub netns: Option<NetNsId>,
    /// Its index in that namespace.
    pub ifindex: u32,
    /// Its name.
    pub interface: Option<Untrusted>,
}

/// One door at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoorState {
    /// Identity.
    pub id: DoorId,
    /// Name of its node. Two nodes may have one name.
    pub node: Untrusted,
    /// Inode of its node's network namespace, which distinguishes nodes.
    pub node_netns: NetNsId,
    /// On which side of the wall it is.
    pub side: Side,
    /// What it is for.
    pub role: Role,
    /// Its pod.
    pub pod: Option<Untrusted>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<Untrusted>,
    /// The source of the name.
    pub named_by: Option<Source>,
    /// Interface name, `null` where its namespace cannot be entered.
    pub interface: Option<Untrusted>,
    /// Its own index, in its own network namespace.
    pub ifindex: u32,
    /// Index of the other end, in the other end's namespace.
    pub peer_ifindex: Option<u32>,
    /// Name of the other end.
    pub peer_interface: Option<Untrusted>,
    /// The device below it, for a macvlan, ipvlan, VLAN or tunnel.
    pub lower: Option<Lower>,
    /// Inode of its network namespace.
    pub netns: Option<NetNsId>,
    /// The kernel's link kind.
    pub kind: Option<LinkKind>,
    /// Addresses with prefix lengths.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNet>,
    /// Ethernet address.
    pub mac: Option<String>,
    /// Maximum transmission unit in bytes.
    pub mtu: Option<u32>,
    /// Operational state.
    pub link_state: Option<LinkState>,
    /// How well it is seen.
    pub state: State,
    /// Why not better.
    pub reason: Option<Reason>,
    /// For how long it has been counted: doors are attached one after another, and one that was
    /// attached later has seen less. `null` where it was never counted.
    pub counted_seconds: Option<f64>,
    /// How often another tool displaced netviz: packets until the reattachment are not counted.
    pub gaps: u32,
    /// How long the last of these times was, at the most, in seconds.
    pub last_gap_seconds: Option<f64>,
    /// Into the device.
    pub ingress: Traffic,
    /// Out of the device.
    pub egress: Traffic,
    /// The other programs at its hooks.
    pub programs: Programs,
    /// Its flows, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<DoorFlows>,
}

impl DoorState {
    /// `namespace/name` of its pod.
    #[must_use]
    pub fn pod_label(&self) -> Option<Untrusted> {
        Some(self.pod.as_ref()?.within(self.namespace.as_ref()))
    }
}

/// One direction of a veth pair: what went out at one end, and what came in at the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairDirection {
    /// Interface at which packets go out.
    pub from: Option<Untrusted>,
    /// Interface at which they come in.
    pub to: Option<Untrusted>,
    /// Segments seen going out.
    pub out: Option<u64>,
    /// Segments seen coming in.
    #[serde(rename = "in")]
    pub into: Option<u64>,
    /// Segments, at the least, that went out and never came in.
    pub missing: Option<u64>,
    /// Segments, at the least, that came in without having crossed the other end's egress hook.
    pub skipped: Option<u64>,
    /// The cause of a difference.
    pub reason: Option<Reason>,
}

/// A veth pair at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairView {
    /// Identities of its two ends.
    pub ends: [DoorId; 2],
    /// Name of its node.
    pub node: Untrusted,
    /// Its pod.
    pub pod: Option<Untrusted>,
    /// Both directions.
    pub directions: [PairDirection; 2],
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// `netviz.snapshot/2`.
    pub schema: String,
    /// Wall-clock time, UTC.
    pub taken_at: String,
    /// Length of the window of the rates in seconds; `null` for a first reading.
    pub window_seconds: Option<f64>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Doors: never to be summed, a packet crosses several.
    pub doors: Vec<DoorState>,
    /// Veth pairs with two known ends.
    pub pairs: Vec<PairView>,
    /// Where the names come from.
    pub sources: Vec<SourceStatus>,
    /// Pods that a source has a name for.
    pub pods: Vec<Pod>,
    /// Where the sources do not agree.
    pub disagreements: Vec<Disagreement>,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
    /// Names of addresses elsewhere, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    /// Memory for flows, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_memory: Option<FlowMemory>,
}
