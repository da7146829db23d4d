//! Who stands where: the blog's listings, and what they leave out.
//!
//! Chosen here, because no listing gives them: host number 240 for the unnamed pod of each node
//! and 250 for its health endpoint, their names and namespace, `eth0` as the name of the health
//! endpoint's own end, MACs `02:6c:…` for ends that were not listed, IPv6 addresses
//! `fd00:10:10:N::H` for the IPv4 address 10.10.N.H, and the security identities.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, bail, ensure};
use netviz_ebpf::lab::HEALTH_IDENTITY;

use super::cluster::{self, ListedInterface, ListedNode, Listings};
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
    /// Cilium's health endpoint, which is no pod: it stands behind `lxc_health`.
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
    /// The node's end of its corridor, `lxc…`.
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
            let node = node(listed, interfaces)
                .with_context(|| format!("the built-in listing of {}", listed.name))?;
            for interface in interfaces
                .iter()
                .filter(|link| link.name.starts_with("lxc"))
            {
                plan.pods.push(pod(&listings, &node, interface)?);
            }
            plan.nodes.push(node);
        }
        // Cilium starts a node's health endpoint before any pod comes.
        plan.pods.sort_by_key(|pod| pod.kind != PodKind::Health);
        Ok(plan)
    }

    /// One more pod on `node`, with the next free address and index.
    pub(super) fn extra(&self, node: &str, name: &str) -> Result<Pod> {
        check_name(name)?;
        ensure!(
            !self.pods.iter().any(|pod| pod.name == name),
            "there is a pod {name} already: choose another name"
        );
        let Some(node) = self.nodes.iter().find(|candidate| candidate.name == node) else {
            let known: Vec<_> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            bail!(
                "there is no node {node}: the nodes are {}",
                known.join(", ")
            );
        };
        let neighbours = || self.pods.iter().filter(|pod| pod.node == node.name);
        let taken = |address| neighbours().any(|pod| pod.address == address);
        let address = (2..=254)
            .map(|number| host(node.pod_cidr.address, number))
            .find(|address| *address != node.router_address && !taken(*address))
            .with_context(|| format!("the pod CIDR {} of {} is full", node.pod_cidr, node.name))?;
        let last = neighbours().map(|pod| pod.interface.index).max();
        let index = last.unwrap_or_default().max(node.wire.index) + 2;
        let id = fingerprint(&format!("{}/{name}", node.name));
        let eth0 = Door {
            name: "eth0".into(),
            index: index - 1,
            mac: made_mac(address, 1),
        };
        Ok(Pod {
            kind: PodKind::Extra,
            namespace: "default".into(),
            name: name.into(),
            node: node.name.clone(),
            pid: 0,
            address,
            address6: address6(address),
            identity: identity(name),
            interface: Door {
                name: format!("lxc{:012x}", id & 0xffff_ffff_ffff),
                index,
                mac: made_mac(address, 2),
            },
            eth0,
            netns_name: Some(format!(
                "cni-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                id >> 32,
                id >> 16 & 0xffff,
                id & 0xffff,
                index,
                id & 0xffff_ffff_ffff
            )),
        })
    }
}

fn node(listed: &ListedNode, interfaces: &[ListedInterface]) -> Result<Node> {
    let find = |name: &str| {
        let found = interfaces.iter().find(|interface| interface.name == name);
        found.with_context(|| format!("{name} is missing"))
    };
    let (cidr, prefix) = cluster::network(listed.pod_cidr.as_deref().unwrap_or_default())?;
    let eth0 = find("eth0")?;
    let host = find("cilium_host")?;
    let (router_address, _) = cluster::network(host.address.as_deref().unwrap_or_default())?;
    Ok(Node {
        name: listed.name.clone(),
        pid: 0,
        address: listed.ip,
        address6: listed.ip6.context("its IPv6 address is missing")?,
        pod_cidr: Network {
            address: cidr,
            prefix,
        },
        router_address,
        router_address6: address6(router_address),
        cilium_net: door(find("cilium_net")?),
        cilium_host: door(host),
        cilium_vxlan: door(find("cilium_vxlan")?),
        eth0: door(eth0),
        wire: Door {
            name: format!("veth-{}", listed.name.trim_start_matches("mycluster-")),
            index: eth0
                .peer_ifindex
                .context("the index of eth0's peer is missing")?,
            mac: made_mac(listed.ip, 3),
        },
    })
}

fn pod(listings: &Listings, node: &Node, interface: &ListedInterface) -> Result<Pod> {
    let name = interface.pod.as_deref();
    let listed = listings
        .pods
        .iter()
        .find(|pod| Some(pod.name.as_str()) == name);
    let (kind, namespace, name, address, mac) = match (listed, &interface.netns) {
        (Some(pod), _) => {
            let (namespace, name) = (pod.namespace.as_str(), pod.name.clone());
            (PodKind::Listed, namespace, name, pod.ip, Some(pod.mac))
        }
        (None, Some(netns)) => {
            let id = netns.trim_start_matches("cni-");
            let name = format!("unnamed-{}", id.get(..8).unwrap_or(id));
            let address = host(node.pod_cidr.address, 240);
            (PodKind::Unnamed, "kube-system", name, address, None)
        }
        (None, None) => {
            let address = host(node.pod_cidr.address, 250);
            (PodKind::Health, "", "cilium-health".into(), address, None)
        }
    };
    let peer = interface.peer_ifindex;
    Ok(Pod {
        kind,
        namespace: namespace.into(),
        identity: if kind == PodKind::Health {
            HEALTH_IDENTITY
        } else {
            identity(&name)
        },
        name,
        node: node.name.clone(),
        pid: 0,
        address,
        address6: address6(address),
        interface: door(interface),
        eth0: Door {
            name: "eth0".into(),
            index: peer.with_context(|| format!("no index of the peer of {}", interface.name))?,
            mac: mac.unwrap_or_else(|| made_mac(address, 1)),
        },
        netns_name: interface.netns.clone(),
    })
}

fn door(listed: &ListedInterface) -> Door {
    Door {
        name: listed.name.clone(),
        index: listed.ifindex,
        mac: listed.mac,
    }
}

/// Address number `number` of a /24.
fn host(network: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, number)
}

/// 10.10.2.117 is `fd00:10:10:2::117`: the same digits, so that people recognise them.
fn address6(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = address.octets().map(|byte| {
        let byte = u16::from(byte);
        (byte / 100) << 8 | (byte / 10 % 10) << 4 | (byte % 10)
    });
    Ipv6Addr::new(0xfd00, a, b, c, 0, 0, 0, d)
}

/// A locally administered MAC that contains the address it belongs to.
fn made_mac(address: Ipv4Addr, end: u8) -> Mac {
    let [_, b, c, d] = address.octets();
    [0x02, 0x6c, end, b, c, d]
}

/// Pods of one deployment have one identity, as labels give it in Kubernetes.
fn identity(name: &str) -> u32 {
    let deployment = name.split('-').next().unwrap_or(name);
    // Cilium's own range for a cluster's identities begins at 256 and ends at 65535.
    256 + u32::try_from(fingerprint(deployment) % 65_280).unwrap_or_default()
}

/// FNV-1a: the same in every run and on every machine.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What Kubernetes allows, and a hostname can hold.
fn check_name(name: &str) -> Result<()> {
    let fits = (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-');
    ensure!(
        fits,
        "{name:?} is not a pod's name: up to 63 of a-z, 0-9 and -"
    );
    Ok(())
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

    #[test]
    fn no_two_doors_share_what_must_be_unique() {
        let mut plan = Plan::new().unwrap();
        for number in 1..=100 {
            let pod = plan
                .extra("mycluster-worker", &format!("extra-{number}"))
                .unwrap();
            plan.pods.push(pod);
        }
        let unique = |key: &dyn Fn(&Pod) -> String| {
            let mut keys: Vec<_> = plan.pods.iter().map(key).collect();
            keys.sort();
            keys.dedup();
            keys.len() == plan.pods.len()
        };
        assert!(unique(&|pod| pod.address.to_string()));
        assert!(unique(&|pod| format!(
            "{} {}",
            pod.node, pod.interface.index
        )));
        assert!(unique(&|pod| format!(
            "{} {}",
            pod.node, pod.interface.name
        )));
        assert!(unique(&|pod| format!("{:?}", pod.interface.mac)));
        assert!(unique(&|pod| format!("{:?} {}", pod.netns_name, pod.node)));
    }

    #[test]
    fn wrong_names_are_refused() {
        let plan = Plan::new().unwrap();
        for name in ["", "A", "a/b", "-a", "netshoot-7d996d7884-fwt8z"] {
            assert!(plan.extra("mycluster-worker", name).is_err(), "{name}");
        }
        let error = plan.extra("nowhere", "a").unwrap_err().to_string();
        assert!(error.contains("mycluster-worker2"), "{error}");
    }

    #[test]
    fn ipv6_addresses_show_the_digits_of_ipv4() {
        let address = address6(Ipv4Addr::new(10, 10, 2, 117));
        assert_eq!(address.to_string(), "fd00:10:10:2::117");
    }
}
