//! The cluster's plan: the blog's listings, and what they omit.
//!
//! Chosen here, because no listing gives them: host number 240 for the unnamed pod of each node
//! and 250 for its health endpoint, their names and namespace, `eth0` as the name of the health
//! endpoint's own end, MACs `02:6c:…` for ends that were not listed, IPv6 addresses
//! `fd00:10:10:N::H` for the IPv4 address 10.10.N.H, and the security identities.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};

use super::cluster;
use crate::sys::netlink::Mac;

mod extra;
mod listed;
mod made;

pub(super) use made::{fingerprint, written};

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Its name.
    pub name: String,
    /// Its index in its namespace.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: Ipv4Addr,
    /// How many bits are common.
    pub prefix: u8,
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A node of the laboratory.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, which is the hostname in its UTS namespace too.
    pub name: String,
    /// The process whose namespaces are the node's (0 before it runs).
    pub pid: i32,
    /// On the network between the nodes, a /16.
    pub address: Ipv4Addr,
    /// On the network between the nodes, a /64; used where the laboratory has IPv6.
    pub address6: Ipv6Addr,
    /// Where its pods' addresses come from.
    pub pod_cidr: Network,
    /// The address of `cilium_host`.
    pub router_address: Ipv4Addr,
    /// The IPv6 address of `cilium_host`.
    pub router_address6: Ipv6Addr,
    /// The device `cilium_net`.
    pub cilium_net: Door,
    /// The device `cilium_host`.
    pub cilium_host: Door,
    /// The device `cilium_vxlan`; native modes do not have it.
    pub cilium_vxlan: Door,
    /// The device `eth0`.
    pub eth0: Door,
    /// The other end of `eth0`, outside of the node.
    pub wire: Door,
}

/// What kind of pod a [`Pod`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodKind {
    /// Named in the blog's listings.
    Listed,
    /// There in the listings, without a name.
    Unnamed,
    /// Cilium's health endpoint behind `lxc_health`, which is not a pod.
    Health,
    /// Added by the laboratory's user.
    Extra,
}

/// A pod of the laboratory.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Where it comes from.
    pub kind: PodKind,
    /// Kubernetes namespace; empty for a health endpoint.
    pub namespace: String,
    /// Its name, which is the hostname in its UTS namespace too.
    pub name: String,
    /// Name of its node.
    pub node: String,
    /// The process whose network namespace is the pod's (0 before it runs).
    pub pid: i32,
    /// Its address, a /32.
    pub address: Ipv4Addr,
    /// Its IPv6 address, a /128; used where the laboratory has IPv6.
    pub address6: Ipv6Addr,
    /// Its security identity, as the tunnel key carries it.
    pub identity: u32,
    /// The node's end of its veth pair, `lxc…`.
    pub interface: Door,
    /// Its own end.
    pub eth0: Door,
    /// The name of its namespace in the node's `/run/netns`.
    pub netns_name: Option<String>,
}

/// Whatever has a network namespace of its own.
pub trait Place {
    /// The process that holds it.
    fn pid(&self) -> i32;
}

impl Place for Node {
    fn pid(&self) -> i32 {
        self.pid
    }
}

impl Place for Pod {
    fn pid(&self) -> i32 {
        self.pid
    }
}

/// Everything that the listings and the gaps in them amount to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) pods: Vec<Pod>,
}

impl Plan {
    pub(super) fn new() -> Result<Self> {
        let listings = cluster::listings()?;
        let mut plan = Self {
            nodes: Vec::new(),
            pods: Vec::new(),
        };
        for listed in &listings.nodes {
            let Some(interfaces) = &listed.interfaces else {
                continue;
            };
            let node = listed::node(listed, interfaces)
                .with_context(|| format!("the built-in listing of {}", listed.name))?;
            for interface in interfaces
                .iter()
                .filter(|link| link.name.starts_with("lxc"))
            {
                plan.pods.push(listed::pod(&listings, &node, interface)?);
            }
            plan.nodes.push(node);
        }
        // Cilium starts a node's health endpoint before any pod comes.
        plan.pods.sort_by_key(|pod| pod.kind != PodKind::Health);
        Ok(plan)
    }

    /// The pod to which the service leads.
    pub(super) fn backend(&self) -> Option<&Pod> {
        let first = self.nodes.first()?;
        let mut pods = self.pods.iter();
        pods.find(|pod| pod.name.starts_with("netshoot") && pod.node == first.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_door_of_the_listings_is_planned() {
        let plan = Plan::new().unwrap();
        assert_eq!(plan.nodes.len(), 2);
        assert_eq!(plan.pods.len(), 8);
        let health = plan.pods.iter().filter(|pod| pod.kind == PodKind::Health);
        assert!(health.clone().all(|pod| pod.interface.name == "lxc_health"));
        assert_eq!(health.count(), 2);
        assert_eq!(
            (plan.nodes[0].wire.index, plan.nodes[1].wire.index),
            (6, 10)
        );
    }
}
