//! Two nodes without Cilium, whose pods the kernel routes.

use std::{io, net::Ipv4Addr};

use ipnet::Ipv4Net;
use netviz::sys::netlink::{NewLink, NewRoute};

use super::{
    TestNetns,
    links::{MacVlanMode, Vtep, add_bridge, add_macvlan, add_vxlan, forward, set_port},
};

/// How pods of the two nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// A host end for each pod, and a route to the other node: kindnet.
    Routed,
    /// A bridge on each node, and VXLAN between them: flannel.
    Vxlan,
    /// Macvlan interfaces of the nodes' uplinks.
    Macvlan(MacVlanMode),
}

/// Two nodes with two pods each.
#[derive(Debug)]
pub struct PlainCluster {
    /// The nodes.
    pub nodes: [TestNetns; 2],
    /// The pods of each node.
    pub pods: [[TestNetns; 2]; 2],
    /// The network between the nodes: a bridge.
    pub wire: TestNetns,
}

/// Index of each node's uplink.
pub const UPLINK: u32 = 5;
const BRIDGE: u32 = 6;
const TUNNEL: u32 = 7;
/// Index of the first pod's pair, at both ends, of a macvlan, and of a node's end in the network between them.
pub const POD: u32 = 10;

fn node_address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(172, 18, 0, 2 + node as u8)
}

/// The address of a pod.
#[must_use]
pub fn pod_address(network: Network, node: usize, pod: usize) -> Ipv4Addr {
    match network {
        Network::Macvlan(_) => Ipv4Addr::new(172, 18, 1 + node as u8, 2 + pod as u8),
        Network::Routed | Network::Vxlan => Ipv4Addr::new(10, 244, node as u8, 2 + pod as u8),
    }
}

/// A link with a MAC address of its own.
fn link(name: &str, index: u32, place: [u8; 3]) -> NewLink<'_> {
    let [a, b, c] = place;
    NewLink {
        name,
        index,
        mac: [2, 0x76, a, b, c, index as u8],
        arp: true,
    }
}

fn network(address: Ipv4Addr, prefix: u8, index: u32, gateway: Option<Ipv4Addr>) -> NewRoute {
    NewRoute {
        destination: Ipv4Net::new_assert(address, prefix).into(),
        index,
        gateway: gateway.map(Into::into),
        source: None,
        mtu: None,
    }
}

impl PlainCluster {
    /// Creates it.
    pub fn new(kind: Network) -> io::Result<Self> {
        let [one, two, wire] = [TestNetns::new()?, TestNetns::new()?, TestNetns::new()?];
        let pods = || io::Result::Ok([TestNetns::new()?, TestNetns::new()?]);
        let cluster = Self {
            nodes: [one, two],
            pods: [pods()?, pods()?],
            wire,
        };
        let mut between = cluster.wire.netlink()?;
        add_bridge(&mut between, ("br0", 3), (Ipv4Addr::new(172, 18, 0, 1), 16))?;
        for node in 0..2 {
            cluster.join_node(node)?;
            for pod in 0..2 {
                cluster.add_pod(kind, node, pod)?;
            }
        }
        Ok(cluster)
    }

    /// The nodes for `--netns`.
    #[must_use]
    pub fn names(&self) -> String {
        self.nodes.each_ref().map(TestNetns::name).join(",")
    }

    /// Removes a pod with its namespace.
    pub fn remove_pod(&mut self, node: usize, pod: usize) -> io::Result<()> {
        // Not its namespace yet: the kernel would delete the pair some time later.
        let mut netlink = self.nodes[node].netlink()?;
        netlink.delete_link(POD + pod as u32)?;
        self.pods[node][pod] = TestNetns::new()?;
        Ok(())
    }

    /// Creates a pod again that was removed.
    pub fn create_pod(&mut self, kind: Network, node: usize, pod: usize) -> io::Result<()> {
        self.add_pod(kind, node, pod)
    }

    fn join_node(&self, node: usize) -> io::Result<()> {
        let (own, number) = (&self.nodes[node], node as u8);
        forward(own)?;
        let name = format!("veth-node{node}");
        let far = link(&name, POD + u32::from(number), [1, number, 0]);
        let mut netlink = own.netlink()?;
        let near = link("eth0", UPLINK, [0, number, 0]);
        netlink.create_veth(&near, &far, Some(self.wire.netns()))?;
        let mut wire = self.wire.netlink()?;
        set_port(&mut wire, far.index, 3)?;
        wire.set_up(far.index)?;
        netlink.set_up(UPLINK)?;
        netlink.add_address(UPLINK, node_address(node).into(), 16)
    }

    fn add_pod(&self, kind: Network, node: usize, pod: usize) -> io::Result<()> {
        let (own, inside) = (&self.nodes[node], &self.pods[node][pod]);
        let address = pod_address(kind, node, pod);
        if let Network::Macvlan(mode) = kind {
            return add_macvlan(own, (UPLINK, mode), inside, ("eth0", POD), (address, 16));
        }
        let (a, b) = (node as u8, pod as u8);
        let gateway = Ipv4Addr::new(10, 244, a, 1);
        let other = Ipv4Addr::new(10, 244, 1 - a, 0);
        let name = format!("veth{node}{pod}");
        let near = link(&name, POD + u32::from(b), [2, a, b]);
        let (mut netlink, mut pod_link) = (own.netlink()?, inside.netlink()?);
        let eth0 = link("eth0", near.index, [3, a, b]);
        netlink.create_veth(&near, &eth0, Some(inside.netns()))?;
        if kind == Network::Vxlan && pod == 0 {
            self.add_tunnel(node, gateway, other)?;
        }
        netlink.set_up(near.index)?;
        pod_link.set_up(eth0.index)?;
        match kind {
            Network::Vxlan => {
                set_port(&mut netlink, near.index, BRIDGE)?;
                pod_link.add_address(eth0.index, address.into(), 24)?;
            }
            _ => {
                netlink.add_address(near.index, gateway.into(), 32)?;
                netlink.add_route(&NewRoute::host(address.into(), near.index))?;
                pod_link.add_address(eth0.index, address.into(), 32)?;
                pod_link.add_route(&NewRoute::host(gateway.into(), eth0.index))?;
                if pod == 0 {
                    let next = Some(node_address(1 - node));
                    netlink.add_route(&network(other, 24, UPLINK, next))?;
                }
            }
        }
        pod_link.add_route(&NewRoute::default_of(gateway.into(), eth0.index, None))
    }

    fn add_tunnel(&self, node: usize, gateway: Ipv4Addr, other: Ipv4Addr) -> io::Result<()> {
        let vtep = |node: usize| Vtep {
            inner: Ipv4Addr::new(10, 244, node as u8, 0),
            mac: [2, 0x76, 4, node as u8, 0, 0],
            outer: node_address(node),
        };
        let mut netlink = self.nodes[node].netlink()?;
        add_bridge(&mut netlink, ("cni0", BRIDGE), (gateway, 24))?;
        add_vxlan(
            &mut netlink,
            ("flannel.1", TUNNEL),
            vtep(node),
            vtep(1 - node),
        )?;
        netlink.add_route(&NewRoute::host(other.into(), TUNNEL))?;
        netlink.add_route(&network(other, 24, TUNNEL, Some(other)))
    }
}
