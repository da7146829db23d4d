//! What a running Cilium's doors counted: `fixtures/cilium/MODE/doors.json`.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use anyhow::{Context as _, Result};
use netviz::lab::{Lab, Node, Pod, SERVICE};
use serde::Deserialize;

use crate::hooks::Hook;

/// One case, as counted.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Who sends to whom, in words.
    #[serde(rename = "case")]
    pub name: String,
    /// A pod's or a node's name.
    pub sender: String,
    /// An address of that cluster.
    pub destination: String,
    /// What crossed which doors.
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

/// One hook that was crossed.
#[derive(Debug, Deserialize)]
pub struct Crossing {
    /// Its node.
    pub node: String,
    /// The pod it leads to.
    pub pod: Option<String>,
    /// `node` or `pod`.
    pub side: String,
    /// Name of the interface, `lxc*` for those whose names are made anew each time.
    pub interface: String,
    /// `ingress` or `egress`.
    pub hook: String,
    /// Seen inside of the tunnel's outer packet.
    pub encapsulated: bool,
    /// Of 50 packets.
    pub seen_at_head: u64,
    /// Of 50 packets.
    pub seen_at_tail: u64,
    /// TTL there.
    pub ttl: u32,
    /// The tunnel key there.
    pub tunnel: Option<Tunnel>,
}

/// A tunnel key.
#[derive(Debug, Deserialize)]
pub struct Tunnel {
    /// The sender's identity.
    pub id: u32,
}

/// How many packets the oracle sent in each case.
pub const SENT: u64 = 50;

/// The cases of one mode.
pub fn cases(mode: &str) -> Result<Vec<Case>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cilium");
    let path = root.join(mode).join("doors.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

/// Names of the oracle's nodes, and who stands for them in the laboratory: whoever has their pods.
pub fn nodes(cases: &[Case], lab: &Lab) -> BTreeMap<String, String> {
    let crossings = cases
        .iter()
        .flat_map(|case| &case.paths)
        .flat_map(|path| &path.crossings);
    crossings
        .filter_map(|crossing| {
            let pod = crossing.pod.as_ref()?;
            let pod = lab.pods().iter().find(|known| known.name == *pod)?;
            Some((crossing.node.clone(), pod.node.clone()))
        })
        .collect()
}

impl Crossing {
    /// The hook of the laboratory that this one stands for.
    pub fn hook(&self, lab: &Lab, nodes: &BTreeMap<String, String>) -> Result<Hook> {
        let hook = if self.hook == "ingress" {
            "ingress"
        } else {
            "egress"
        };
        let Some(pod) = &self.pod else {
            let node = nodes.get(&self.node).with_context(|| self.node.clone())?;
            return Ok((node.clone(), self.interface.clone(), hook));
        };
        let pod = pod_of(lab, pod)?;
        Ok(if self.side == "pod" {
            (pod.name.clone(), "eth0".into(), hook)
        } else {
            (pod.node.clone(), pod.interface.name.clone(), hook)
        })
    }
}

impl Case {
    /// The laboratory's sender: a node or a pod.
    pub fn sender<'a>(
        &self,
        lab: &'a Lab,
        nodes: &BTreeMap<String, String>,
    ) -> Result<Result<&'a Node, &'a Pod>> {
        match nodes.get(&self.sender) {
            Some(node) => Ok(Ok(node_of(lab, node)?)),
            None => Ok(Err(pod_of(lab, &self.sender)?)),
        }
    }

    /// The laboratory's address for what the case is sent to.
    pub fn destination(&self, lab: &Lab, home: &str) -> Result<IpAddr> {
        let own = node_of(lab, home)?;
        let other = lab
            .nodes()
            .iter()
            .find(|node| node.name != home)
            .context("one node")?;
        Ok(match self.name.as_str() {
            "pod -> own node IP" => own.address.into(),
            "pod -> other node IP" => other.address.into(),
            "pod -> own router IP (cilium_host)" => own.router_address.into(),
            "pod -> other node router IP" => other.router_address.into(),
            name if name.contains("ClusterIP") => SERVICE.into(),
            _ => {
                let crossings = self.paths.iter().flat_map(|path| path.crossings.last());
                let last = crossings
                    .filter_map(|crossing| crossing.pod.as_deref())
                    .next();
                let pod = pod_of(lab, last.with_context(|| self.name.clone())?)?;
                match self.destination.parse()? {
                    IpAddr::V4(_) => pod.address.into(),
                    IpAddr::V6(_) => pod.address6.into(),
                }
            }
        })
    }
}

fn node_of<'a>(lab: &'a Lab, name: &str) -> Result<&'a Node> {
    let mut nodes = lab.nodes().iter();
    nodes
        .find(|node| node.name == name)
        .with_context(|| format!("no node {name}"))
}

fn pod_of<'a>(lab: &'a Lab, name: &str) -> Result<&'a Pod> {
    let mut pods = lab.pods().iter();
    pods.find(|pod| pod.name == name)
        .with_context(|| format!("no pod {name}"))
}
