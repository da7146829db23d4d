//! Nodes, pods and interfaces of the lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

use crate::sys::netlink::Mac;

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Door {
    /// Its name.
    pub name: String,
    /// Its index in its namespace.
    #[serde(rename = "ifindex")]
    pub index: u32,
    /// Its hardware address.
    #[serde(deserialize_with = "mac")]
    pub mac: Mac,
}

/// A node of the lab.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, and the hostname in its UTS namespace.
    pub name: String,
    /// The process whose namespaces are the node's (0 before it runs).
    pub pid: i32,
    /// On the network between the nodes, a /16.
    pub address: Ipv4Addr,
    /// On the network between the nodes, a /64; used if the lab has IPv6.
    pub address6: Ipv6Addr,
    /// The range of its pods' addresses.
    pub pod_cidr: Ipv4Net,
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

/// A node's addresses of one family.
#[derive(Clone, Copy, Debug)]
pub(in crate::lab) struct Family {
    /// On the network between the nodes.
    pub(in crate::lab) node: IpNet,
    /// The address of `cilium_host`.
    pub(in crate::lab) router: IpAddr,
    /// Its pods' network.
    pub(in crate::lab) pods: IpNet,
}

impl Node {
    /// Its addresses, IPv4 first.
    pub(in crate::lab) fn families(&self, ipv6: bool) -> impl Iterator<Item = Family> {
        let v4 = Family {
            node: Ipv4Net::new_assert(self.address, 16).into(),
            router: self.router_address.into(),
            pods: self.pod_cidr.into(),
        };
        let v6 = Family {
            node: Ipv6Net::new_assert(self.address6, 64).into(),
            router: self.router_address6.into(),
            pods: Ipv6Net::new_assert(self.router_address6, 64).trunc().into(),
        };
        [Some(v4), ipv6.then_some(v6)].into_iter().flatten()
    }
}

/// What kind of pod a [`Pod`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodKind {
    /// Named in the blog's listings.
    Listed,
    /// In the listings, without a name.
    Unnamed,
    /// Cilium's health endpoint behind `lxc_health`, which is not a pod.
    Health,
    /// Added by the user.
    Extra,
}

/// A pod of the lab.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its origin.
    pub kind: PodKind,
    /// Kubernetes namespace; empty for a health endpoint.
    pub namespace: String,
    /// Its name, and the hostname in its UTS namespace.
    pub name: String,
    /// Name of its node.
    pub node: String,
    /// The process whose network namespace is the pod's (0 before it runs).
    pub pid: i32,
    /// Its address, a /32.
    pub address: Ipv4Addr,
    /// Its IPv6 address, a /128; used if the lab has IPv6.
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

impl Pod {
    /// Its addresses, IPv4 first.
    pub(in crate::lab) fn addresses(&self, ipv6: bool) -> impl Iterator<Item = IpAddr> + use<> {
        let v6 = ipv6.then_some(self.address6.into());
        [Some(self.address.into()), v6].into_iter().flatten()
    }
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

pub(super) fn mac<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_mac(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is not a MAC")))
}

fn parse_mac(text: &str) -> Option<Mac> {
    let bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok())
        .collect::<Option<Vec<_>>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_read_strictly() {
        assert_eq!(
            parse_mac("02:42:ac:12:00:02"),
            Some([2, 0x42, 0xac, 0x12, 0, 2])
        );
        assert_eq!(parse_mac("02:42:ac:12:00"), None);
        assert_eq!(parse_mac("02:42:ac:12:00:zz"), None);
    }
}
