//! What is there: nodes and their doors.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    datapath::Datapath,
    door::Door,
    id::{DoorId, NetNsId},
    names::{Disagreement, Pod},
    pair::Pair,
    service::Service,
    source::SourceStatus,
    untrusted::Untrusted,
};

/// A node: one network namespace with Cilium's devices in it, or the one given with `--netns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Hostname, or a substitute if it is unknown.
    pub name: Untrusted,
    /// Its namespace.
    pub netns: NetNsId,
    /// Whether it holds `cilium_host`.
    pub cilium: bool,
    /// Addresses of its uplinks, with prefix lengths.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNet>,
    /// Address ranges of its pods, by the nearest source that has them.
    #[schemars(with = "Vec<String>")]
    pub pod_cidrs: Vec<IpNet>,
    /// How its packets are routed, as the agent reports.
    pub datapath: Option<Datapath>,
}

/// All that was found, in the order in which it is shown: node by node, veth pair by veth pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Doors.
    pub doors: Vec<Door>,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
    /// The sources of names.
    pub sources: Vec<SourceStatus>,
    /// Pods that a source has a name for.
    pub pods: Vec<Pod>,
    /// Services, if requested; `None` if no source lists any.
    pub services: Option<Vec<Service>>,
    /// Where the sources do not agree.
    pub disagreements: Vec<Disagreement>,
    /// The options left out interfaces of pods, so a missing one may exist.
    pub partial: bool,
}

impl Cluster {
    /// Gives nodes with equal names, as in two clusters on one machine, different ones: `worker@172.18.0.2`,
    /// or, if their addresses are equal too, `worker@4026532345`, which is the node's network namespace.
    pub(crate) fn name_nodes_apart(&mut self) {
        let name = |node: &Node| {
            let twin = |other: &&Node| other.netns != node.netns && other.name == node.name;
            let mut twins = self.nodes.iter().filter(twin).peekable();
            twins.peek()?;
            let address = node.addresses.iter().map(IpNet::addr).find(IpAddr::is_ipv4);
            let shares = |other: &Node| other.addresses.iter().any(|it| Some(it.addr()) == address);
            Some(match address.filter(|_| !twins.any(shares)) {
                Some(address) => format!("{}@{address}", node.name.raw()),
                None => format!("{}@{}", node.name.raw(), node.netns.0),
            })
        };
        let names: Vec<_> = self.nodes.iter().map(name).collect();
        for (node, name) in self.nodes.iter_mut().zip(names) {
            node.name = name.map_or_else(|| node.name.clone(), Into::into);
        }
    }

    /// The nodes with this name; of nodes that have it in common, all.
    pub(crate) fn nodes_called<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Node)> + Clone {
        let is_exact = self.nodes.iter().any(|node| node.name == name);
        let is_called = move |node: &Node| match node.name.raw().strip_prefix(name) {
            Some(rest) => rest.is_empty() || !is_exact && rest.starts_with('@'),
            None => false,
        };
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(move |(_, node)| is_called(node))
    }

    /// The door with this identity.
    #[must_use]
    pub fn door(&self, id: DoorId) -> Option<&Door> {
        self.doors.iter().find(|door| door.id == id)
    }

    /// Where each door is in [`Self::doors`].
    #[must_use]
    pub fn places(&self) -> HashMap<DoorId, usize> {
        let doors = self.doors.iter().enumerate();
        doors.map(|(place, door)| (door.id, place)).collect()
    }

    /// All pairs of doors that name each other, each once, in the order of their first door.
    #[must_use]
    pub fn pairs(&self) -> Vec<Pair> {
        self.pairs_among(&self.places())
    }

    /// As [`Self::pairs`], with the places already known.
    pub(crate) fn pairs_among(&self, places: &HashMap<DoorId, usize>) -> Vec<Pair> {
        let far_of = |door: &Door| {
            let peer = door.peer.as_ref()?.id;
            places.get(&peer).copied()
        };
        let mut paired = vec![false; self.doors.len()];
        let mut pairs = Vec::with_capacity(self.doors.len() / 2);
        for (near, door) in self.doors.iter().enumerate() {
            let Some(far) = far_of(door).filter(|far| *far != near) else {
                continue;
            };
            let other = &self.doors[far];
            let names_back = other.peer.as_ref().is_some_and(|peer| peer.id == door.id);
            if names_back && !paired[near] && !paired[far] {
                (paired[near], paired[far]) = (true, true);
                pairs.push(Pair {
                    first: door.id,
                    second: other.id,
                });
            }
        }
        pairs
    }
}
