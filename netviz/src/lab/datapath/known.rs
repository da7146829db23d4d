//! Configuration of a node's programs: the node, its pods, and routes to everything else.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{Array, HashMap, LpmTrie, Map, lpm_trie::Key};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netviz_ebpf::lab::{
    CONFIG_MAP, Config, ENDPOINT_ROUTES, ENDPOINTS_MAP, Endpoint, Frontend, HOST_ROUTING,
    LOCAL_PODS, NODE_IDENTITY, OWN, POD, REMOTE_NODE, REMOTE_PODS, ROUTES_MAP, Route, SERVICES_MAP,
    TUNNEL, WORLD, mapped,
};

use super::Datapath;
use crate::lab::{
    SERVICE, SERVICE_TCP_PORT, TCP_PORT, UDP_PORT,
    options::Mode,
    plan::{Family, Node, Pod},
};

/// Protocol, port of the service, port of its backend.
const SERVICE_PORTS: [(u16, u16, u16); 2] = [
    (libc::IPPROTO_UDP as u16, UDP_PORT, UDP_PORT),
    (libc::IPPROTO_TCP as u16, SERVICE_TCP_PORT, TCP_PORT),
];

impl Datapath {
    /// Adds a pod's addresses.
    pub(super) fn learn(&mut self, pod: &Pod) -> Result<()> {
        let endpoint = Endpoint {
            kind: POD,
            index: pod.interface.index,
            identity: pod.identity,
            mac: pod.eth0.mac,
            node_mac: pod.interface.mac,
        };
        pod.addresses(true)
            .try_for_each(|address| self.insert_endpoint(address, endpoint))
    }

    /// Removes a pod's addresses.
    pub(in crate::lab) fn unlearn(&mut self, pod: &Pod) -> Result<()> {
        let mut endpoints: HashMap<_, [u8; 16], Endpoint> = self.map(ENDPOINTS_MAP)?.try_into()?;
        pod.addresses(true)
            .try_for_each(|address| Ok(endpoints.remove(&key(address))?))
    }

    /// Adds the service.
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
        for Family { node, router, .. } in node.families(true) {
            self.insert_endpoint(node.addr(), own)?;
            self.insert_endpoint(router, own)?;
        }
        let mut routes: LpmTrie<_, [u8; 16], Route> = self.map(ROUTES_MAP)?.try_into()?;
        for (network, kind) in networks(node, other) {
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
            let mapped = if network.addr().is_ipv4() { 96 } else { 0 };
            let prefix = mapped + u32::from(network.prefix_len());
            routes.insert(&Key::new(prefix, key(network.addr())), route, 0)?;
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
        map.ok_or_else(|| anyhow!("the lab's eBPF object has no map {name}"))
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

/// The kind of every network.
fn networks(node: &Node, other: &Node) -> impl Iterator<Item = (IpNet, u32)> {
    let own = node.families(true).map(|own| (own.pods, LOCAL_PODS));
    let remote = other.families(true).flat_map(|it| {
        let node = IpNet::from(it.node.addr());
        [(it.pods, REMOTE_PODS), (node, REMOTE_NODE)]
    });
    let world = [Ipv4Net::default().into(), Ipv6Net::default().into()];
    own.chain(remote)
        .chain(world.map(|network| (network, WORLD)))
}

fn key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}
