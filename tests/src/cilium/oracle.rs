//! The counts of a running Cilium's doors: `fixtures/cilium/MODE/doors.json`.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result};
use netviz::lab::{Lab, SERVICE};
use serde::Deserialize;

use crate::{
    bpf::hook_counters::{Count, Hook},
    builders::fixtures::fixture,
};

/// One measured case.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Description.
    #[serde(rename = "case")]
    pub name: String,
    /// Name of a pod or node.
    pub sender: String,
    /// An address of that cluster.
    pub destination: String,
    /// Doors that the packets crossed.
    pub paths: Vec<Crossed>,
}

/// One direction of one protocol.
#[derive(Debug, Deserialize)]
pub struct Crossed {
    /// `udp` or `icmp`.
    pub protocol: String,
    /// `request` or `reply`.
    pub direction: String,
    /// In order of time.
    pub crossings: Vec<Crossing>,
}

/// A crossed hook.
#[derive(Debug, Deserialize)]
pub struct Crossing {
    /// Its node.
    pub node: String,
    /// The pod at its other end.
    pub pod: Option<String>,
    /// `node` or `pod`.
    pub side: String,
    /// Name of the interface, or `lxc*` if its name is generated.
    pub interface: String,
    /// `ingress` or `egress`.
    pub hook: String,
    /// Seen inside the tunnel's outer packet.
    pub encapsulated: bool,
    /// Of 50 packets.
    pub seen_at_head: u64,
    /// Of 50 packets.
    pub seen_at_tail: u64,
    /// TTL at this hook.
    pub ttl: u32,
    /// Tunnel key at this hook.
    pub tunnel: Option<Tunnel>,
}

/// A tunnel key.
#[derive(Debug, Deserialize)]
pub struct Tunnel {
    /// The sender's identity.
    pub id: u32,
}

/// Number of packets in each case.
pub const SENT: u64 = 50;

/// Returns the cases of one mode.
pub fn cases(mode: &str) -> Result<Vec<Case>> {
    let path = fixture("cilium").join(mode).join("doors.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

/// A cluster that runs the cases: the lab or a running Cilium.
pub trait TestCluster {
    /// Returns the names of the nodes.
    fn node_names(&self) -> Vec<String>;
    /// Returns the name of a pod's node; `None` for an unknown pod.
    fn home(&self, pod: &str) -> Option<String>;
    /// Returns the name of the node's end of a pod's veth pair.
    fn pair(&self, pod: &str) -> Option<String>;
    /// Returns the address of a place.
    fn address(&self, of: Place<'_>) -> Option<IpAddr>;
}

/// Owner of an address.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// A pod, by name, in IPv4.
    Pod(&'a str),
    /// A pod, by name, in IPv6.
    Pod6(&'a str),
    /// A node, by name.
    Node(&'a str),
    /// A node's `cilium_host`.
    Router(&'a str),
}

/// The sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A node, by its name in the cluster under test.
    Node(String),
    /// A pod.
    Pod(String),
}

/// Maps the oracle's nodes to the nodes of this cluster with the same pods.
pub fn nodes(cases: &[Case], cluster: &impl TestCluster) -> BTreeMap<String, String> {
    let crossings = cases
        .iter()
        .flat_map(|case| &case.paths)
        .flat_map(|path| &path.crossings);
    crossings
        .filter_map(|crossing| {
            let home = cluster.home(crossing.pod.as_ref()?)?;
            Some((crossing.node.clone(), home))
        })
        .collect()
}

/// Returns the expected packets at each hook when `packets` are sent on these paths.
pub fn expected(
    paths: &[&Crossed],
    packets: u16,
    cluster: &impl TestCluster,
    nodes: &BTreeMap<String, String>,
) -> Result<BTreeMap<Hook, Count>> {
    let mut expected = BTreeMap::<_, Count>::new();
    for crossing in paths.iter().flat_map(|path| &path.crossings) {
        let count = expected.entry(crossing.hook(cluster, nodes)?).or_default();
        count.head += crossing.seen_at_head * u64::from(packets) / SENT;
        count.tail += crossing.seen_at_tail * u64::from(packets) / SENT;
    }
    Ok(expected)
}

impl Crossing {
    /// Returns the corresponding hook of this cluster.
    pub fn hook(
        &self,
        cluster: &impl TestCluster,
        nodes: &BTreeMap<String, String>,
    ) -> Result<Hook> {
        let hook = if self.hook == "ingress" {
            "ingress"
        } else {
            "egress"
        };
        let Some(pod) = &self.pod else {
            let node = nodes.get(&self.node).with_context(|| self.node.clone())?;
            return Ok((node.clone(), self.interface.clone(), hook));
        };
        let unknown = || format!("no pod {pod}");
        Ok(if self.side == "pod" {
            (pod.clone(), "eth0".into(), hook)
        } else {
            let node = cluster.home(pod).with_context(unknown)?;
            (node, cluster.pair(pod).with_context(unknown)?, hook)
        })
    }
}

impl Case {
    /// Returns its paths of one protocol.
    pub fn of(&self, protocol: &str) -> Vec<&Crossed> {
        let paths = self.paths.iter();
        paths.filter(|path| path.protocol == protocol).collect()
    }

    /// Returns the sender in this cluster.
    pub fn sender(&self, nodes: &BTreeMap<String, String>) -> Sender {
        match nodes.get(&self.sender) {
            Some(node) => Sender::Node(node.clone()),
            None => Sender::Pod(self.sender.clone()),
        }
    }

    /// Returns the destination address in this cluster, for a sender on the node `home`.
    pub fn destination(&self, cluster: &impl TestCluster, home: &str) -> Result<IpAddr> {
        let nodes = cluster.node_names();
        let other = nodes.iter().find(|node| *node != home);
        let other = other.context("one node")?;
        let last = self.receiver();
        let place = match self.name.as_str() {
            "pod -> own node IP" => Place::Node(home),
            "pod -> other node IP" => Place::Node(other),
            "pod -> own router IP (cilium_host)" => Place::Router(home),
            "pod -> other node router IP" => Place::Router(other),
            name if name.contains("ClusterIP") => return Ok(SERVICE.into()),
            name => {
                let pod = last.with_context(|| name.to_owned())?;
                match self.destination.parse()? {
                    IpAddr::V4(_) => Place::Pod(pod),
                    IpAddr::V6(_) => Place::Pod6(pod),
                }
            }
        };
        cluster
            .address(place)
            .with_context(|| format!("no address of {place:?}"))
    }

    /// Returns the pod at the end of the first path that ends at one.
    fn receiver(&self) -> Option<&str> {
        let mut last = self.paths.iter().flat_map(|path| path.crossings.last());
        last.find_map(|crossing| crossing.pod.as_deref())
    }
}

impl TestCluster for Lab {
    fn node_names(&self) -> Vec<String> {
        let nodes = self.nodes().iter();
        nodes.map(|node| node.name.clone()).collect()
    }

    fn home(&self, pod: &str) -> Option<String> {
        let pod = self.pods().iter().find(|known| known.name == pod)?;
        Some(pod.node.clone())
    }

    fn pair(&self, pod: &str) -> Option<String> {
        let pod = self.pods().iter().find(|known| known.name == pod)?;
        Some(pod.interface.name.clone())
    }

    fn address(&self, of: Place<'_>) -> Option<IpAddr> {
        let pod = |name| self.pods().iter().find(|pod| pod.name == name);
        let node = |name| self.nodes().iter().find(|node| node.name == name);
        Some(match of {
            Place::Pod(name) => pod(name)?.address.into(),
            Place::Pod6(name) => pod(name)?.address6.into(),
            Place::Node(name) => node(name)?.address.into(),
            Place::Router(name) => node(name)?.router_address.into(),
        })
    }
}
