//! Who, how, and by which doors it should be.

use std::net::IpAddr;

use super::observation::Way;
use crate::{
    model::{Direction, DoorId},
    sys::netns::NetNsId,
};

/// How a node routes what its pods send and get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Packets to other nodes' pods travel in a tunnel (VXLAN, Geneve).
    pub tunnel: bool,
    /// BPF host routing: packets bypass the node's stack where they can.
    pub host_routing: bool,
    /// Each endpoint has a route of its own. Per endpoint, not per node: pods keep what they were
    /// made with; the chain at an lxc says it (`cil_to_container` at egress).
    pub endpoint_routes: bool,
}

/// From where the mode is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeSource {
    /// The Cilium agents of the nodes say so.
    Agent,
    /// Inferred from the devices and programs that are there, which can leave several open.
    Inferred,
    /// It was said on the command line.
    Asked,
}

/// Where A or B lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A pod of a node that is here: index of the node in the cluster, and the pod's namespace.
    Pod {
        /// Index of its node in [`crate::model::Cluster::nodes`].
        node: usize,
        /// Its network namespace.
        netns: NetNsId,
    },
    /// A node that is here itself.
    Node {
        /// Index in [`crate::model::Cluster::nodes`].
        node: usize,
        /// The address is that of `cilium_host`, which other nodes reach through the tunnel.
        router: bool,
    },
    /// Anything else: the world, a service's address, a pod of a node that is not here.
    Elsewhere,
}

/// One end of what is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// As it is shown: `namespace/pod`, `node/name`, an address.
    pub name: String,
    /// Address that is sent from or to.
    pub address: Option<IpAddr>,
    /// Where it lives.
    pub place: Place,
}

/// From whom to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// A.
    pub from: Party,
    /// B.
    pub to: Party,
}

/// One hook on an expected path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which door.
    pub door: DoorId,
    /// Which of its hooks.
    pub direction: Direction,
    /// The packet is inside of a tunnel's outer packet here.
    pub outer: bool,
    /// It is passed by in this mode, and so is not to be crossed: the helper that does it
    /// (`bpf_redirect_peer`).
    pub skipped_by: Option<&'static str>,
    /// Doors that are as good as this one: other uplinks, where it is the routing table that
    /// chooses, and the members of a bond, which are crossed besides.
    pub or: Vec<DoorId>,
    /// Why a marked packet cannot be recognised here, so that it need not be seen: encryption.
    pub unreadable: Option<&'static str>,
    /// Why a marked packet may go by unrecognised here, and the remedy: it can be in fragments.
    pub fragmented: Option<String>,
}

impl Step {
    /// A step that is to be crossed and seen.
    #[must_use]
    pub const fn new(door: DoorId, direction: Direction) -> Self {
        Self {
            door,
            direction,
            outer: false,
            skipped_by: None,
            or: Vec::new(),
            unreadable: None,
            fragmented: None,
        }
    }

    /// Whether packets that go on have to be seen here.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.skipped_by.is_none() && self.unreadable.is_none()
    }
}

/// The doors that packets should cross in one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Mode in words: `vxlan, legacy host routing`.
    pub mode: String,
    /// From where it is known.
    pub source: ModeSource,
    /// From A to B, in order. Empty for a pod or a node that sends to itself.
    pub request: Vec<Step>,
    /// And back.
    pub reply: Vec<Step>,
    /// Doors that may be crossed besides: those of the encryption.
    pub besides: Vec<DoorId>,
    /// Devices that the mode wants and that are not there, a sentence each: who gets through all
    /// the same took another way.
    pub absent: Vec<String>,
    /// What is to be said of the path (`a pod's packets to itself cross no door`).
    pub notes: Vec<String>,
}

impl Expectation {
    /// The steps of one way.
    #[must_use]
    pub fn steps(&self, way: Way) -> &[Step] {
        match way {
            Way::Request => &self.request,
            Way::Reply => &self.reply,
        }
    }
}
