//! Configuration of a node's programs: the node, its pods, and routes to everything else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{Array, HashMap, LpmTrie, Map, lpm_trie::Key};
use netviz_ebpf::lab::{
    CONFIG_MAP, Config, ENDPOINT_ROUTES, ENDPOINTS_MAP, Endpoint, Frontend, HOST_ROUTING,
    LOCAL_PODS, NODE_IDENTITY, OWN, POD, REMOTE_NODE, REMOTE_PODS, ROUTES_MAP, Route, SERVICES_MAP,
    TUNNEL, WORLD, mapped,
};

use super::Datapath;
use crate::lab::{
    SERVICE, SERVICE_TCP_PORT, TCP_PORT, UDP_PORT,
    options::Mode,
    plan::{Network, Node, Pod},
};

/// Protocol, port of the service, port of its backend.
const SERVICE_PORTS: [(u16, u16, u16); 2] = [
    (libc::IPPROTO_UDP as u16, UDP_PORT, UDP_PORT),
    (libc::IPPROTO_TCP as u16, SERVICE_TCP_PORT, TCP_PORT),
];

impl Datapath {
    /// Makes a pod known.
    pub(super) fn learn(&mut self, pod: &Pod) -> Result<()> {
        let endpoint = Endpoint {
            kind: POD,
            index: pod.interface.index,
            identity: pod.identity,
            mac: pod.eth0.mac,
            node_mac: pod.interface.mac,
        };
        self.insert_endpoint(pod.address.into(), endpoint)?;
        self.insert_endpoint(pod.address6.into(), endpoint)
    }

    /// Forgets a pod.
    pub(in crate::lab) fn unlearn(&mut self, pod: &Pod) -> Result<()> {
        let mut endpoints: HashMap<_, [u8; 16], Endpoint> = self.map(ENDPOINTS_MAP)?.try_into()?;
        endpoints.remove(&key(pod.address.into()))?;
        endpoints.remove(&key(pod.address6.into()))?;
        Ok(())
    }

    /// Makes the service known.
    pub(in crate::lab) fn lead_service_to(&mut self, backend: &Pod) -> Result<()> {
        let mut services: HashMap<_, Frontend, Frontend> = self.map(SERVICES_MAP)?.try_into()?;
        for (protocol, port, target) in SERVICE_PORTS {
            let at = |address: Ipv4Addr, port: u16| Frontend {
                address: address.octets(),
                port: port.to_be(),
                protocol,
            };
            services.insert(at(SERVICE, port), at(backend.address, target), 0)?;
        }
        Ok(())
    }

    pub(super) fn configure(&mut self, node: &Node, other: &Node, mode: Mode) -> Result<()> {
        let mut config: Array<_, Config> = self.map(CONFIG_MAP)?.try_into()?;
        config.set(0, config_of(node, mode), 0)?;
        let own = Endpoint {
            kind: OWN,
            identity: NODE_IDENTITY,
            ..Endpoint::default()
        };
        self.insert_endpoint(node.address.into(), own)?;
        self.insert_endpoint(node.address6.into(), own)?;
        self.insert_endpoint(node.router_address.into(), own)?;
        self.insert_endpoint(node.router_address6.into(), own)?;
        let mut routes: LpmTrie<_, [u8; 16], Route> = self.map(ROUTES_MAP)?.try_into()?;
        for (network, prefix, kind) in networks(node, other) {
            let route = Route {
                kind,
                tunnel: u32::from(other.address),
                mac: if kind == WORLD {
                    node.wire.mac
                } else {
                    other.eth0.mac
                },
                padding: [0; 2],
            };
            routes.insert(&Key::new(prefix, key(network)), route, 0)?;
        }
        Ok(())
    }

    fn insert_endpoint(&mut self, address: IpAddr, endpoint: Endpoint) -> Result<()> {
        let mut endpoints: HashMap<_, [u8; 16], Endpoint> = self.map(ENDPOINTS_MAP)?.try_into()?;
        endpoints
            .insert(key(address), endpoint, 0)
            .with_context(|| format!("making {address} known to the forwarding programs"))
    }

    pub(super) fn map(&mut self, name: &str) -> Result<&mut Map> {
        let map = self.object.map_mut(name);
        map.ok_or_else(|| anyhow!("the laboratory's eBPF object has no map {name}"))
    }
}

fn config_of(node: &Node, mode: Mode) -> Config {
    let flag = |set, bit| if set { bit } else { 0 };
    Config {
        flags: flag(mode.tunnels(), TUNNEL)
            | flag(mode.bypasses_stack(), HOST_ROUTING)
            | flag(mode.routes_each_endpoint(), ENDPOINT_ROUTES),
        net_index: node.cilium_net.index,
        vxlan_index: node.cilium_vxlan.index,
        eth0_index: node.eth0.index,
        address: node.address.octets(),
        net_mac: node.cilium_net.mac,
        host_mac: node.cilium_host.mac,
        eth0_mac: node.eth0.mac,
        padding: [0; 2],
    }
}

/// Where everything lies that is not on this node, as networks of mapped addresses.
fn networks(node: &Node, other: &Node) -> [(IpAddr, u32, u32); 8] {
    let v4 = |network: Network| (network.address.into(), 96 + u32::from(network.prefix));
    let (own, own_prefix) = v4(node.pod_cidr);
    let (remote, remote_prefix) = v4(other.pod_cidr);
    [
        (own, own_prefix, LOCAL_PODS),
        (node.router_address6.into(), 64, LOCAL_PODS),
        (remote, remote_prefix, REMOTE_PODS),
        (other.router_address6.into(), 64, REMOTE_PODS),
        (other.address.into(), 128, REMOTE_NODE),
        (other.address6.into(), 128, REMOTE_NODE),
        (Ipv4Addr::UNSPECIFIED.into(), 96, WORLD),
        (Ipv6Addr::UNSPECIFIED.into(), 0, WORLD),
    ]
}

fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}
