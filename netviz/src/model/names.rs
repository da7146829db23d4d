//! What the sources of names say: who lives behind a door, and how the cluster routes.
//!
//! A source is allowed to be absent, late, or wrong. So each says what it knows in a [`Report`] of
//! its own, and [`crate::names::reconcile`] puts them together without hiding where they disagree.

use std::net::IpAddr;

use serde::Serialize;

use super::{
    datapath::Datapath,
    id::NetNsId,
    service::Service,
    source::{Source, Status},
    untrusted::Untrusted,
};

/// What one source says at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who.
    pub source: Source,
    /// Of which node; `None` for the whole cluster.
    pub node: Option<NetNsId>,
    /// How it fared.
    pub status: Status,
    /// Who is there.
    pub pods: Vec<PodFact>,
    /// About nodes.
    pub nodes: Vec<NodeFact>,
    /// About services, where they were asked for; `None`: the source does not tell of any.
    pub services: Option<Vec<Service>>,
    /// How the node's packets are routed.
    pub datapath: Option<Datapath>,
    /// What the node takes the addresses for that the kernel has here.
    pub lookups: Vec<Lookup>,
}

impl Report {
    /// A report that says nothing yet.
    #[must_use]
    pub const fn new(source: Source, node: Option<NetNsId>, status: Status) -> Self {
        Self {
            source,
            node,
            status,
            pods: Vec::new(),
            nodes: Vec::new(),
            services: None,
            datapath: None,
            lookups: Vec::new(),
        }
    }
}

/// What a node's datapath takes an address for: Cilium's ipcache, asked as its programs ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The address, a pod's or a node's.
    pub address: IpAddr,
    /// Whose it is, by security identity.
    pub identity: u32,
    /// The node to which packets are tunnelled; `None` where they are not, or where that is not known.
    pub tunnel: Option<IpAddr>,
}

/// What a source says of one pod. Whatever it does not know is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFact {
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Name in that namespace.
    pub name: Option<String>,
    /// Kubernetes' uid, with dashes where it has them.
    pub uid: Option<String>,
    /// Names of its containers.
    pub containers: Vec<String>,
    /// Its network namespace, by inode, alive when it was read.
    pub netns: Option<NetNsId>,
    /// It lives in the node's own network namespace: no door is its own.
    pub host_network: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The node's end of its veth pair.
    pub interface: Option<String>,
    /// Index of that end, in the node's namespace.
    pub ifindex: Option<u32>,
    /// Ethernet address of the pod's own end, in small letters.
    pub mac: Option<String>,
    /// Name of the node that it is said to run on.
    pub node_name: Option<String>,
    /// Cilium's endpoint id.
    pub endpoint: Option<u16>,
    /// Cilium's security identity.
    pub identity: Option<u32>,
    /// Labels, `key=value`, sorted.
    pub labels: Vec<String>,
    /// What is not as it should be with it (`disconnecting`, `terminating`, `no process left`).
    pub condition: Option<String>,
}

impl PodFact {
    /// `namespace/name`, or what there is of it.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        Some(qualified(self.namespace.as_deref(), self.name.as_deref()?))
    }
}

/// A pod's name as people write it: `namespace/name`, or the name alone where no more is known.
#[must_use]
pub fn qualified(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.into(),
    }
}

/// An address without the prefix length with which `ip address` prints it.
#[must_use]
pub fn plain(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// Whether it counts between neighbours alone: every interface has such a one, and no source lists them.
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What a source says of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFact {
    /// Name in Kubernetes.
    pub name: String,
    /// Its addresses, by which it is matched with a node that is here.
    pub addresses: Vec<IpAddr>,
    /// Address ranges of its pods.
    pub pod_cidrs: Vec<String>,
}

/// One pod as the sources together know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
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
    pub addresses: Vec<String>,
    /// Names of its containers.
    pub containers: Vec<Untrusted>,
    /// Cilium's endpoint id.
    pub endpoint: Option<u16>,
    /// Cilium's security identity.
    pub identity: Option<u32>,
    /// Labels, `key=value`.
    pub labels: Vec<Untrusted>,
    /// What is not as it should be with it.
    pub condition: Option<Untrusted>,
    /// Who says so, the one that is believed first.
    pub sources: Vec<Source>,
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn label(&self) -> Untrusted {
        self.name.within(self.namespace.as_ref())
    }
}

/// Two sources do not agree: often what a person at night is looking for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct Disagreement {
    /// Name of the node.
    pub node: Untrusted,
    /// What it is about: a pod, an interface.
    pub about: String,
    /// Both sides in one sentence.
    pub what: String,
}
