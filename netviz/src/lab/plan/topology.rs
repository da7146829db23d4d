//! Nodes, pods and interfaces of the lab.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::sys::netlink::Mac;

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

/// A node or pod with its own network namespace.
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
