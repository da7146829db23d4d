//! Loads and configures the forwarding programs of one node, and attaches them where Cilium attaches its own.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::HashMap,
    programs::{SchedClassifier, TcAttachType, tc::SchedClassifierLink},
};
use netviz_ebpf::lab::{PORTS_MAP, WIRE_PROGRAM};

use super::{
    options::{Attach, Mode, Options},
    plan::{Node, Pod},
};
use crate::sys::objects;

mod attach;
mod known;

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
    /// Indexes of the devices that have a clsact qdisc.
    qdiscs: BTreeSet<u32>,
    /// The tcx links, by the index of their device.
    links: Vec<(u32, SchedClassifierLink)>,
}

impl Datapath {
    /// Loads the programs of a node and attaches those of its own devices. The calling thread
    /// is in the node's namespace.
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

    /// The network between the nodes. Call in the wire's namespace.
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
            .context("loading the lab's eBPF object (needs CAP_BPF and Linux 5.10)")?;
        for name in programs {
            program(&mut object, name)?
                .load()
                .with_context(|| format!("loading the program {name}"))?;
        }
        Ok(Self {
            object,
            attach,
            qdiscs: BTreeSet::new(),
            links: Vec::new(),
        })
    }

    /// The object; the logger removes its map from it.
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

    /// Registers a pod and attaches to its interface. Call in the node's namespace.
    pub(super) fn add_pod(&mut self, pod: &Pod, mode: Mode) -> Result<()> {
        self.learn(pod)?;
        self.attach(&pod.interface, TcAttachType::Ingress, "cil_from_container")?;
        if mode.routes_each_endpoint() {
            self.attach(&pod.interface, TcAttachType::Egress, "cil_to_container")?;
        }
        Ok(())
    }

    /// Removes a pod whose devices are gone.
    pub(super) fn remove_pod(&mut self, pod: &Pod) -> Result<()> {
        self.forget_device(pod.interface.index);
        self.unlearn(pod)
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    let program = object.program_mut(name);
    let program = program.with_context(|| format!("the lab's eBPF object lacks {name}"))?;
    Ok(program.try_into()?)
}
