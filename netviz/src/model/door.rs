//! A door: one network interface of a node or of a pod.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    id::DoorId,
    link::{LinkKind, LinkState, MacvlanMode},
    reason::Reason,
    source::Source,
};

/// The device whose presence makes a namespace a node.
pub const CILIUM_HOST: &str = "cilium_host";

/// On which side of a veth pair a door is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// In the node's own network namespace.
    Node,
    /// In a pod's network namespace.
    Pod,
    /// In the namespace that the node itself is plugged into: on Kind, the machine's.
    Host,
}

/// What a door is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A pod's own interface, or the node's end of its veth pair (`lxc*`).
    Pod,
    /// `lxc_health` and its far end: Cilium's health endpoint.
    Health,
    /// `cilium_net` and `cilium_host`: the node's own door into Cilium's datapath.
    CiliumHost,
    /// `cilium_vxlan`, `cilium_geneve`: the tunnel to the other nodes.
    Overlay,
    /// `cilium_wg0`.
    Encryption,
    /// The node's interfaces to the network, and their far ends.
    Uplink,
    /// A veth pair that is not Cilium's.
    Veth,
    /// A bridge.
    Bridge,
    /// Anything else, the loopback device included: shown with `--all`.
    Other,
}

/// An interface that another one names: the other end of its veth pair, or the device below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its identity.
    pub id: DoorId,
    /// Its name, where its namespace was entered.
    pub interface: Option<String>,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Identity.
    pub id: DoorId,
    /// Index of its node in [`super::cluster::Cluster::nodes`].
    pub node: usize,
    /// Which side of the wall.
    pub side: Side,
    /// What it is for.
    pub role: Role,
    /// Name of the interface; empty when its namespace could not be entered.
    pub interface: String,
    /// Name of the pod behind it, by the nearest source that has one.
    pub pod: Option<String>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<String>,
    /// Which source the name is from.
    pub named_by: Option<Source>,
    /// The kernel's link kind; `None` for hardware.
    pub kind: Option<LinkKind>,
    /// The other end, for a veth pair.
    pub peer: Option<Peer>,
    /// The device below it, for a macvlan, ipvlan, VLAN or tunnel.
    pub lower: Option<Peer>,
    /// How it reaches the other macvlans of that device, for a macvlan.
    pub macvlan: Option<MacvlanMode>,
    /// IPv4 and IPv6 addresses with prefix lengths.
    pub addresses: Vec<IpNet>,
    /// Ethernet address.
    pub mac: Option<String>,
    /// Maximum transmission unit in bytes.
    pub mtu: Option<u32>,
    /// The kernel's operational state, `IFLA_OPERSTATE`.
    pub link_state: Option<LinkState>,
    /// `SO_NETNS_COOKIE` of its namespace (Linux 5.14): other than the inode, never given away
    /// again.
    pub netns_cookie: Option<u64>,
    /// Why it cannot be observed at all.
    pub problem: Option<Reason>,
}

impl Door {
    /// Whether this is, under the same identity, another interface than `other` was. Names and
    /// addresses may change, and it is still the same one.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        let maker = |door: &Self| {
            let peer = door.peer.as_ref().map(|peer| peer.id);
            (door.netns_cookie, door.mac.clone(), door.kind.clone(), peer)
        };
        maker(self) != maker(other)
    }

    /// Whether `address` is one of its addresses.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.addr() == address)
    }

    /// The name to show: the interface's, or its index where the name is not known.
    #[must_use]
    pub fn label(&self) -> String {
        if self.interface.is_empty() {
            format!("if{}", self.id.ifindex)
        } else {
            self.interface.clone()
        }
    }
}
