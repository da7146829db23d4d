//! Flows: which packets of a door belong together.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{hook::Direction, reason::Reason, sample::Counts};

/// What the packets of a flow have in common. A flow has one direction; its replies are another flow.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct FlowKey {
    /// Source address; inside of a tunnel packet, that of the inner packet.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol number, behind IPv6's extension headers.
    pub protocol: u8,
    /// What the transport header has.
    pub transport: Transport,
    /// The tunnel that the packets are in.
    pub tunnel: Option<TunnelKey>,
    /// Fragments whose first fragment was not seen, and whose ports are therefore unknown.
    pub fragment: bool,
}

/// Fields of a transport header that identify a flow.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, UDP, SCTP and others with ports.
    Ports {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP and ICMPv6.
    Icmp {
        /// Type of the message.
        #[serde(rename = "type")]
        kind: u8,
        /// Its code.
        code: u8,
        /// Identifier of an echo request or reply, else 0.
        id: u16,
    },
    /// Nothing that netviz reads.
    #[default]
    None,
}

/// How a tunnel carries the packets of a flow.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct TunnelKey {
    /// The tunnel's number (VNI), in which Cilium sends the sender's security identity.
    pub id: u32,
    /// True at an uplink, where the packet still has the tunnel's headers; false at the tunnel's device,
    /// where the tunnel key is metadata.
    pub encapsulated: bool,
}

/// The nodes between which a tunnel packet travels.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Outer {
    /// Source address of the outer packet. Unknown at a tunnel's device, where packets go out.
    pub source: Option<IpAddr>,
    /// Destination address of the outer packet. Unknown at a tunnel's device, where packets come in.
    pub destination: Option<IpAddr>,
}

/// Flags of TCP, as in the header: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TcpFlags(pub u8);

/// What crossed a hook in one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowCounts {
    /// Socket buffers, segments and bytes, as a door counts them.
    #[serde(flatten)]
    pub counts: Counts,
    /// When its first packet was seen: Unix time in milliseconds.
    pub first_seen_ms: u64,
    /// When its last packet was seen.
    pub last_seen_ms: u64,
    /// All flags of its TCP segments.
    pub tcp_flags: TcpFlags,
    /// TCP segments, at the least, with bytes that were seen before: retransmitted, or out of order.
    /// At the sender's own interface, no segment is out of order.
    pub retransmitted: u64,
}

/// A flow at one hook of a door.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Flow {
    /// The hook.
    pub direction: Direction,
    /// What its packets have in common.
    #[serde(flatten)]
    pub key: FlowKey,
    /// The nodes at the ends of its tunnel, where they are known.
    pub outer: Option<Outer>,
    /// Its packets.
    #[serde(flatten)]
    pub counts: FlowCounts,
    /// Socket buffers per second between the last two readings.
    pub packets_per_second: Option<f64>,
    /// Bytes per second between the last two readings.
    pub bytes_per_second: Option<f64>,
}

/// Packets of one hook that are in no flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutsideFlows {
    /// Packets of flows for which there was no room.
    pub evicted: Counts,
    /// Packets without an IP header, such as ARP, or with an invalid one.
    pub unparsed: Counts,
    /// Packets that were counted before flows were, or since the flows were read.
    pub unread: Counts,
}

/// All flows of a door. At each hook, the flows, `evicted`, `unparsed` and `unread` add up to the
/// door's counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoorFlows {
    /// Since when its flows are counted: Unix time in milliseconds.
    pub since_ms: u64,
    /// Flows, in no order.
    pub flows: Vec<Flow>,
    /// At the ingress hook.
    pub ingress: OutsideFlows,
    /// At the egress hook.
    pub egress: OutsideFlows,
    /// Why its flows are not counted.
    pub reason: Option<Reason>,
}

impl DoorFlows {
    /// The packets of one hook that are in no flow.
    #[must_use]
    pub fn outside(&self, direction: Direction) -> &OutsideFlows {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Memory for the flows of all doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowMemory {
    /// Flows, at the most, that are counted between two readings, and that are kept.
    pub room: u64,
    /// Bytes of the kernel's table.
    pub table_bytes: u64,
}
