//! One node's forwarding programs: loaded, told what they have to know, attached where Cilium
//! attaches its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
    programs::{
        LinkOrder, SchedClassifier, TcAttachType,
        tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
    },
};
use netviz_ebpf::lab::{
    CONFIG_MAP, Config, ENDPOINT_ROUTES, ENDPOINTS_MAP, Endpoint, HOST_ROUTING, LOCAL_PODS,
    NODE_IDENTITY, OWN, POD, PORTS_MAP, REMOTE_NODE, REMOTE_PODS, ROUTES_MAP, Route, TUNNEL,
    WIRE_PROGRAM, WORLD, mapped,
};

use super::{
    options::{Attach, Mode, Options},
    plan::{Door, Network, Node, Pod},
};
use crate::objects;

const PROGRAMS: [&str; 8] = [
    "cil_from_container",
    "cil_to_container",
    "cil_from_host",
    "cil_to_host",
    "cil_from_overlay",
    "cil_to_overlay",
    "cil_from_netdev",
    "cil_to_netdev",
];

/// The programs of one namespace, and what attaches them.
pub(super) struct Datapath {
    object: Ebpf,
    attach: Attach,
    /// The tcx links, by the index of their device.
    links: Vec<(u32, SchedClassifierLink)>,
}

impl Datapath {
    /// Loads the programs of a node and attaches those of its own devices. The calling thread
    /// stands in the node's namespace.
    pub(super) fn of_node(
        loader: &mut EbpfLoader<'_>,
        node: &Node,
        other: &Node,
        options: &Options,
    ) -> Result<Self> {
        let mut datapath = Self::load(loader, &PROGRAMS, options.attach)?;
        datapath.configure(node, other, options.mode)?;
        let (ingress, egress) = (TcAttachType::Ingress, TcAttachType::Egress);
        datapath.attach(&node.cilium_net, ingress, "cil_to_host")?;
        datapath.attach(&node.cilium_host, ingress, "cil_to_host")?;
        datapath.attach(&node.cilium_host, egress, "cil_from_host")?;
        datapath.attach(&node.eth0, ingress, "cil_from_netdev")?;
        if options.mode.bypasses_stack() {
            datapath.attach(&node.eth0, egress, "cil_to_netdev")?;
        }
        if options.mode.tunnels() {
            datapath.attach(&node.cilium_vxlan, ingress, "cil_from_overlay")?;
            datapath.attach(&node.cilium_vxlan, egress, "cil_to_overlay")?;
        }
        Ok(datapath)
    }

    /// The network between the nodes. The calling thread stands in the wire's namespace.
    pub(super) fn of_wire(
        loader: &mut EbpfLoader<'_>,
        nodes: &[Node],
        attach: Attach,
    ) -> Result<Self> {
        let mut wire = Self::load(loader, &[WIRE_PROGRAM], attach)?;
        let mut ports: HashMap<_, [u8; 6], u32> = wire.map(PORTS_MAP)?.try_into()?;
        for node in nodes {
            ports.insert(node.eth0.mac, node.wire.index, 0)?;
        }
        for node in nodes {
            wire.attach(&node.wire, TcAttachType::Ingress, WIRE_PROGRAM)?;
        }
        Ok(wire)
    }

    fn load(loader: &mut EbpfLoader<'_>, programs: &[&str], attach: Attach) -> Result<Self> {
        let mut object = loader
            .load(objects::LAB)
            .context("loading the laboratory's eBPF object (needs CAP_BPF and Linux 5.10)")?;
        for name in programs {
            program(&mut object, name)?
                .load()
                .with_context(|| format!("loading the program {name}"))?;
        }
        Ok(Self {
            object,
            attach,
            links: Vec::new(),
        })
    }

    /// The object, for the logger, which takes its map out of it.
    pub(super) fn object(&mut self) -> &mut Ebpf {
        &mut self.object
    }

    /// Ids of all programs that are loaded.
    pub(super) fn program_ids(&self) -> Vec<u32> {
        let infos = self
            .object
            .programs()
            .filter_map(|(_, program)| program.info().ok());
        infos.map(|info| info.id()).collect()
    }

    /// Makes a pod known, and stands at its door. The calling thread stands in the node's namespace.
    pub(super) fn add_pod(&mut self, pod: &Pod, mode: Mode) -> Result<()> {
        let endpoint = Endpoint {
            kind: POD,
            index: pod.interface.index,
            identity: pod.identity,
            mac: pod.eth0.mac,
            node_mac: pod.interface.mac,
        };
        self.insert_endpoint(pod.address.into(), endpoint)?;
        self.insert_endpoint(pod.address6.into(), endpoint)?;
        self.attach(&pod.interface, TcAttachType::Ingress, "cil_from_container")?;
        if mode.routes_each_endpoint() {
            self.attach(&pod.interface, TcAttachType::Egress, "cil_to_container")?;
        }
        Ok(())
    }

    /// Forgets a pod whose devices are gone.
    pub(super) fn remove_pod(&mut self, pod: &Pod) -> Result<()> {
        let mut endpoints: HashMap<_, [u8; 16], Endpoint> = self.map(ENDPOINTS_MAP)?.try_into()?;
        endpoints.remove(&key(pod.address.into()))?;
        endpoints.remove(&key(pod.address6.into()))?;
        self.links
            .retain(|(index, _)| *index != pod.interface.index);
        Ok(())
    }

    fn configure(&mut self, node: &Node, other: &Node, mode: Mode) -> Result<()> {
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

    fn map(&mut self, name: &str) -> Result<&mut aya::maps::Map> {
        let map = self.object.map_mut(name);
        map.ok_or_else(|| anyhow!("the laboratory's eBPF object has no map {name}"))
    }

    fn attach(&mut self, door: &Door, hook: TcAttachType, name: &str) -> Result<()> {
        let tried = match self.attach {
            Attach::Clsact => self.attach_clsact(door, hook, name),
            Attach::Tcx => self.attach_tcx(door, hook, name),
            // Kernels with TCX are told by trying: distributions carry it back.
            Attach::Auto => match self.attach_tcx(door, hook, name) {
                Ok(()) => {
                    self.attach = Attach::Tcx;
                    Ok(())
                }
                Err(error) => {
                    log::debug!("no TCX here, clsact instead: {error:#}");
                    self.attach = Attach::Clsact;
                    self.attach_clsact(door, hook, name)
                }
            },
        };
        tried.with_context(|| format!("attaching {name} to {} {hook:?}", door.name))
    }

    fn attach_tcx(&mut self, door: &Door, hook: TcAttachType, name: &str) -> Result<()> {
        let program = program(&mut self.object, name)?;
        let order = TcAttachOptions::TcxOrder(LinkOrder::last());
        let id = program.attach_with_options(&door.name, hook, order)?;
        self.links.push((door.index, program.take_link(id)?));
        Ok(())
    }

    /// A filter is left to its device, with which it goes: a link's drop would look for the device
    /// in whatever namespace the dropping thread stands.
    fn attach_clsact(&mut self, door: &Door, hook: TcAttachType, name: &str) -> Result<()> {
        match tc::qdisc_add_clsact(&door.name) {
            Ok(()) => {}
            // For the device's other hook.
            Err(tc::TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {
            }
            Err(error) => return Err(error).context("adding clsact (module sch_ingress)"),
        }
        let program = program(&mut self.object, name)?;
        let options = NlOptions {
            priority: 1,
            handle: TcHandle::new(0, 1),
            ..NlOptions::default()
        };
        let netlink = TcAttachOptions::Netlink(options);
        let id = program.attach_with_options(&door.name, hook, netlink)?;
        std::mem::forget(program.take_link(id)?);
        Ok(())
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    let program = object.program_mut(name);
    let program = program.with_context(|| format!("the laboratory's eBPF object lacks {name}"))?;
    Ok(program.try_into()?)
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
