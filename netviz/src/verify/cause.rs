//! Why packets ended where they did: a code and its data. `views::verdict` makes the sentences.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    audit::{Owner, Process, Way as Attachment},
    model::{CiliumDrop, Direction, MacvlanMode, Side, Untrusted},
    names::policies::{Policy, Unread},
};

/// Packets that the kernel dropped (`skb:kfree_skb`).
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct DropReason {
    /// The kernel's name of the reason (`NEIGH_FAILED`); `null` before Linux 5.17.
    pub reason: Option<String>,
    /// The kernel function that dropped them; `null` if its symbols cannot be read.
    pub function: Option<String>,
    /// The device.
    pub device: Option<Untrusted>,
    /// The node, or the pod, in whose network namespace that is.
    pub place: Option<Untrusted>,
    /// How many of the loss.
    pub packets: u32,
}

impl DropReason {
    /// Whether netfilter dropped them: a rule of iptables or nftables.
    pub fn is_netfilter(&self) -> bool {
        self.reason.as_deref() == Some("NETFILTER_DROP")
    }
}

/// The network namespace of an interface, by its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Name of the node.
    pub node: Untrusted,
    /// `namespace/name` of the pod, if the interface is in a pod.
    pub pod: Option<Untrusted>,
    /// In the pod, on the node, or outside of it.
    pub side: Side,
    /// A path to enter the network namespace by; `null` if it is netviz's own, or unknown.
    pub netns: Option<String>,
}

/// An interface and its owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Its name.
    pub interface: Untrusted,
    /// Where it is.
    pub location: Location,
}

/// A program that can end packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// Its name.
    pub name: Untrusted,
    /// How it is attached.
    pub attachment: Attachment,
    /// Whose it is.
    pub owner: Owner,
    /// Processes that hold it, or its link.
    pub held_by: Vec<Process>,
}

/// Why packets ended where they did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Cause {
    /// The kernel dropped packets, for a reason that explains itself or that nothing else explains.
    KernelDrop {
        /// How many, why and where.
        drop: DropReason,
        /// Where; `null` if the device is not known.
        location: Option<Location>,
        /// The UDP port, if these were a tunnel's packets.
        tunnel_port: Option<u16>,
    },
    /// The sender got an error: from a router, or from its own kernel.
    Error {
        /// `fragmentation needed, MTU 1450`.
        error: String,
        /// The router; `null`: the sender's own kernel.
        from: Option<IpAddr>,
    },
    /// The sender got a refusal with B's address, and B did not receive the packets: a firewall's.
    RefusedOnTheWay {
        /// The refusal.
        answer: String,
    },
    /// Packets went round until their TTL ended.
    Circle,
    /// An interface is switched off.
    LinkDown {
        /// Which.
        at: Interface,
    },
    /// An interface is switched on and has no carrier.
    NoCarrier {
        /// Which.
        at: Interface,
    },
    /// Packets are longer than an interface's MTU.
    TooLong {
        /// Length of the packets.
        bytes: u32,
        /// What a tunnel adds to it.
        overhead: u32,
        /// The limit.
        mtu: u32,
        /// Whose limit.
        at: Interface,
    },
    /// No route leads to an address.
    NoRoute {
        /// The address.
        to: IpAddr,
        /// Where there is none.
        location: Location,
    },
    /// A macvlan does not reach the others of its device in its mode: private, or VEPA where the switch behind
    /// the device sends nothing back.
    MacvlanMode {
        /// The mode.
        mode: MacvlanMode,
        /// The macvlan.
        at: Interface,
        /// The device that both have.
        lower: Interface,
    },
    /// A neighbour table has another hardware address than the interface.
    WrongNeighbour {
        /// The neighbour's address.
        address: IpAddr,
        /// The hardware address in the table.
        mac: String,
        /// The device of the entry.
        at: Interface,
        /// That of the interface.
        right: String,
        /// The interface that packets should reach.
        neighbour: Interface,
    },
    /// Nobody answers for the next hop's address (ARP, neighbour discovery).
    NoNeighbour {
        /// The next hop.
        address: IpAddr,
        /// The interface at which it was asked for.
        at: Interface,
    },
    /// `rp_filter`: the sender is not reached by the interface that received its packets.
    ReversePath {
        /// The sender.
        source: IpAddr,
        /// The interface.
        at: Interface,
    },
    /// One of these programs ended the packets.
    Programs {
        /// In the order in which they run.
        programs: Vec<Program>,
        /// At which interface.
        at: Interface,
        /// At which hook.
        direction: Direction,
        /// Whether the kernel reports that a program dropped them: it may have redirected them
        /// otherwise.
        dropped: bool,
    },
    /// Cilium dropped packets, by its own counters.
    CiliumDrops {
        /// Name of the node.
        node: String,
        /// The reason that explains the loss, or what was counted of all traffic.
        drops: Vec<CiliumDrop>,
        /// Policies that select the pod; empty if no policy is the reason, or none is known.
        policies: Vec<Policy>,
        /// What the Kubernetes API did not return: other policies may select the pod, too.
        unread: Vec<Unread>,
    },
    /// B received the requests and sent no reply.
    NoReply {
        /// The last door of the request.
        row: usize,
    },
    /// A itself has B's address, so its packets do not leave it.
    OwnAddress,
    /// Another one than B received the packets.
    OtherReceiver {
        /// The door by which they entered another pod; `null` if none saw them.
        row: Option<usize>,
        /// How many of them were answered.
        answered: u32,
    },
    /// No interface has B's address.
    NoSuchAddress,
    /// Packets left for a place where netviz sees nothing.
    LeftSight {
        /// The door by which they left.
        row: usize,
    },
    /// Replies reached A's last door, and A did not receive them in time.
    ReplyNotReceived {
        /// That door.
        row: usize,
    },
    /// Nothing that netviz can look up explains it.
    Unexplained,
}
