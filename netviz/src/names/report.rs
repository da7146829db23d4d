//! What one source reports, before [`super::reconcile`] combines it with the others.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    model::{Datapath, Owner, Service, Source, Status, qualified},
    sys::netns::NetNsId,
};

/// All that one source knows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The source.
    pub source: Source,
    /// The node on which it was read; `None`: the whole cluster.
    pub node: Option<NetNsId>,
    /// Whether it answered.
    pub status: Status,
    /// Pods.
    pub pods: Vec<PodFact>,
    /// Nodes.
    pub nodes: Vec<NodeFact>,
    /// Services; `None`: not requested, or the source lists none.
    pub services: Option<Vec<Service>>,
    /// How the node's packets are routed.
    pub datapath: Option<Datapath>,
    /// Entries of the node's ipcache for the addresses that the kernel has.
    pub lookups: Vec<Lookup>,
}

impl Report {
    /// A report without any facts.
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

/// An entry of a node's ipcache, looked up as Cilium's programs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The address, a pod's or a node's.
    pub address: IpAddr,
    /// The security identity of its owner.
    pub identity: u32,
    /// The node to which packets are tunnelled; `None`: they are not, or it is unknown.
    pub tunnel: Option<IpAddr>,
}

/// One pod in a report. What the source does not know is empty.
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
    /// Its network namespace at the time of reading.
    pub netns: Option<NetNsId>,
    /// It uses the node's network namespace, and has no door.
    pub host_network: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The node's end of its veth pair.
    pub interface: Option<String>,
    /// Index of that end, in the node's namespace.
    pub ifindex: Option<u32>,
    /// MAC address of the pod's end, in lower case.
    pub mac: Option<String>,
    /// Name of its node.
    pub node_name: Option<String>,
    /// Cilium's endpoint id.
    pub endpoint: Option<u16>,
    /// Cilium's security identity.
    pub identity: Option<u32>,
    /// Labels, `key=value`, sorted.
    pub labels: Vec<String>,
    /// The object that controls it.
    pub owner: Option<Owner>,
    /// A problem: `terminating`, `no process is left in it`.
    pub condition: Option<String>,
}

impl PodFact {
    /// `namespace/name`, as far as known.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        Some(qualified(self.namespace.as_deref(), self.name.as_deref()?))
    }
}

/// One node in a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFact {
    /// Name in Kubernetes.
    pub name: String,
    /// Its addresses, by which it is matched with a discovered node.
    pub addresses: Vec<IpAddr>,
    /// Address ranges of its pods.
    pub pod_cidrs: Vec<IpNet>,
}
