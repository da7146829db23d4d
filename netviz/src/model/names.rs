//! Pods, and disagreements about them.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{id::NetNsId, source::Source, untrusted::Untrusted};

/// Whether it is valid only on one link: every interface has one, and no source lists them.
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether an address belongs to a network of its own: link-local IPv6 addresses exist on every
/// interface.
#[must_use]
pub fn has_network(address: IpAddr) -> bool {
    address.is_ipv4() || !is_link_local(address)
}

/// A pod, by all sources together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pod {
    /// Name of its node, as in [`super::cluster::Node::name`].
    pub node: Untrusted,
    /// Kubernetes namespace.
    pub namespace: Option<Untrusted>,
    /// Name.
    pub name: Untrusted,
    /// Its network namespace.
    pub netns: Option<NetNsId>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Names of its containers.
    pub containers: Vec<Untrusted>,
    /// Cilium's endpoint id.
    pub endpoint: Option<u16>,
    /// Cilium's security identity.
    pub identity: Option<u32>,
    /// Labels, `key=value`.
    pub labels: Vec<Untrusted>,
    /// The object that controls it, if the Kubernetes API reports one.
    pub owner: Option<Owner>,
    /// What is not as it should be with it.
    pub condition: Option<Untrusted>,
    /// The sources that know it, in order of precedence.
    pub sources: Vec<Source>,
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn label(&self) -> Untrusted {
        self.name.within(self.namespace.as_ref())
    }
}

/// The object that controls a pod: a ReplicaSet, a StatefulSet, a DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// Its kind, `ReplicaSet`.
    pub kind: Untrusted,
    /// Its name.
    pub name: Untrusted,
}

/// Two sources that disagree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Disagreement {
    /// Name of the node.
    pub node: Untrusted,
    /// What it is about: a pod, an interface.
    pub about: String,
    /// Both sides in one sentence.
    pub what: String,
}
