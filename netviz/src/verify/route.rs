//! The ends of a path, the routing mode, and the doors that are expected.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    facts::{Detour, HiddenReason, Note, Way},
    observation::Hook,
};
use crate::{
    model::{Direction, DoorId},
    sys::netns::NetNsId,
};

/// How a node routes the packets of its pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Packets to other nodes' pods travel in a tunnel (VXLAN, Geneve).
    pub tunnel: bool,
    /// BPF host routing: packets bypass the node's stack where they can.
    pub host_routing: bool,
    /// Each endpoint has a route of its own. This is per endpoint, not per node: pods keep the route
    /// that they were created with, which the programs at their lxc show (`cil_to_container`).
    pub endpoint_routes: bool,
}

/// How the mode is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeSource {
    /// From the Cilium agents of the nodes.
    Agent,
    /// From devices and programs, which may leave several modes possible.
    Inferred,
    /// From the command line.
    Asked,
    /// From the kernel's routes, on nodes without Cilium.
    Routes,
}

/// Where an end of the path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A pod of a node on this machine.
    Pod {
        /// Index of its node in [`crate::model::Cluster::nodes`].
        node: usize,
        /// Its network namespace.
        netns: NetNsId,
    },
    /// A node on this machine.
    Node {
        /// Index in [`crate::model::Cluster::nodes`].
        node: usize,
        /// The address is that of `cilium_host`, which other nodes reach through the tunnel.
        router: bool,
    },
    /// Anything else: the world, a service's address, a pod of another machine.
    Elsewhere,
}

impl Place {
    /// The index of its node, if that is on this machine.
    pub const fn node(&self) -> Option<usize> {
        match self {
            Self::Pod { node, .. } | Self::Node { node, .. } => Some(*node),
            Self::Elsewhere => None,
        }
    }

    /// The network namespace of a pod.
    pub const fn netns(&self) -> Option<NetNsId> {
        match self {
            Self::Pod { netns, .. } => Some(*netns),
            Self::Node { .. } | Self::Elsewhere => None,
        }
    }
}

/// One end of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its name in output: `namespace/pod`, `node/name`, an address.
    pub name: String,
    /// The address to send from or to.
    pub address: Option<IpAddr>,
    /// Where it is.
    pub place: Place,
}

impl Party {
    /// Its address, or an error if it has none of the requested family.
    pub(crate) fn needed_address(&self) -> anyhow::Result<IpAddr> {
        self.address.with_context(|| {
            format!(
                "{} has no address of the requested family (-6: IPv6); drop -6 or name an address",
                self.name
            )
        })
    }
}

/// The two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A.
    pub from: Party,
    /// B.
    pub to: Party,
    /// A itself is behind the service that it sends to: packets leave it and come back.
    pub hairpin: bool,
    /// B's address was translated on the way: it is behind a service.
    pub translated: bool,
    /// Who received which packets, if B is a service and several pods did.
    pub backends: Vec<Backend>,
}

/// A pod behind a service, and its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The pod.
    pub party: Party,
    /// It is A itself.
    pub hairpin: bool,
    /// Packets that it received, or that were on the way to it.
    pub packets: BTreeSet<u32>,
}

impl Route {
    /// From A to B.
    pub const fn new(from: Party, to: Party) -> Self {
        Self {
            from,
            to,
            hairpin: false,
            translated: false,
            backends: Vec::new(),
        }
    }

    /// Who should receive a packet; `None`: any packet.
    pub fn receiver(&self, packet: Option<u32>) -> &Party {
        let is_for = |backend: &&Backend| match packet {
            Some(packet) => backend.packets.contains(&packet),
            None => true,
        };
        let backend = self.backends.iter().find(is_for);
        backend.map_or(&self.to, |backend| &backend.party)
    }

    /// All that receive packets.
    pub fn receivers(&self) -> Vec<&Party> {
        match self.backends.as_slice() {
            [] => vec![&self.to],
            backends => backends.iter().map(|backend| &backend.party).collect(),
        }
    }

    /// From and to whom a packet of a way goes.
    pub fn ends(&self, way: Way, packet: Option<u32>) -> (&Party, &Party) {
        let receiver = self.receiver(packet);
        match way {
            Way::Request => (&self.from, receiver),
            Way::Reply => (receiver, &self.from),
        }
    }

    /// The end whose policy drops a packet of a way, and the direction that the policy restricts: the
    /// receiver's at ingress, the sender's at egress.
    pub fn policed(
        &self,
        way: Way,
        packet: Option<u32>,
        direction: Option<Direction>,
    ) -> (&Party, Direction) {
        let (sender, receiver) = self.ends(way, packet);
        match direction {
            Some(Direction::Egress) => (sender, Direction::Egress),
            Some(Direction::Ingress) | None => (receiver, Direction::Ingress),
        }
    }

    /// Whether packets stay within one pod or one node.
    pub fn is_to_itself(&self) -> bool {
        if self.hairpin {
            return false;
        }
        match (self.from.place, self.to.place) {
            (Place::Pod { netns: a, .. }, Place::Pod { netns: b, .. }) => a == b,
            (Place::Node { node: a, .. }, Place::Node { node: b, .. }) => a == b,
            _ => false,
        }
    }

    /// Whether A and B are pods of one node.
    pub fn is_within_node(&self) -> bool {
        matches!(
            (self.from.place, self.to.place),
            (Place::Pod { node: a, .. }, Place::Pod { node: b, .. }) if a == b
        )
    }
}

/// Where the kernel sends packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The door by which they leave; `None` if it is not shown.
    pub door: Option<DoorId>,
    /// Whether a gateway is next, and not the destination itself.
    pub gateway: bool,
}

/// The next hop to an address in a network namespace.
pub type Routes = HashMap<(NetNsId, IpAddr), NextHop>;

/// One hook on an expected path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The door.
    pub door: DoorId,
    /// Its hook.
    pub direction: Direction,
    /// Whether the packet is inside of a tunnel's packet here.
    pub outer: bool,
    /// The helper that bypasses this door in this mode (`bpf_redirect_peer`): it should not be
    /// crossed.
    pub skipped_by: Option<&'static str>,
    /// Doors that may be crossed instead: other uplinks, if the routing table chooses, and the members
    /// of a bond.
    pub or: Vec<DoorId>,
    /// The encryption that keeps marked packets from being recognised here.
    pub encryption: Option<&'static str>,
    /// Why a marked packet may not be recognised here: fragments.
    pub fragmented: Option<HiddenReason>,
    /// The packets that cross it; `None`: all. Those to other backends of a service do not.
    pub only: Option<BTreeSet<u32>>,
}

impl Step {
    /// A step that packets cross, and where they are seen.
    pub const fn new(door: DoorId, direction: Direction) -> Self {
        Self {
            door,
            direction,
            outer: false,
            skipped_by: None,
            or: Vec::new(),
            encryption: None,
            fragmented: None,
            only: None,
        }
    }

    /// Whether every packet that gets further is seen here.
    pub const fn required(&self) -> bool {
        self.skipped_by.is_none() && self.encryption.is_none()
    }

    /// Whether it is on the path of a packet.
    pub fn is_for(&self, packet: u32) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&packet))
    }

    /// Whether the step is crossed at this hook, or at one that may be crossed instead.
    pub fn accepts(&self, (door, direction): Hook) -> bool {
        self.direction == direction && (self.door == door || self.or.contains(&door))
    }
}

/// The doors that packets should cross in one routing mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The mode in words: `vxlan, legacy host routing`.
    pub mode: String,
    /// How it is known.
    pub source: ModeSource,
    /// From A to B, in order. Empty if A and B are the same.
    pub request: Vec<Step>,
    /// From B to A.
    pub reply: Vec<Step>,
    /// Doors that may be crossed as well: those of the encryption.
    pub besides: Vec<DoorId>,
    /// Devices of the path that do not exist: packets that get through took another path.
    pub absent: Vec<Detour>,
    /// What to report of the path.
    pub notes: Vec<Note>,
}

impl Expectation {
    /// The steps of one way.
    pub fn steps(&self, way: Way) -> &[Step] {
        match way {
            Way::Request => &self.request,
            Way::Reply => &self.reply,
        }
    }
}
