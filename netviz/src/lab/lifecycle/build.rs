//! Creates processes first, then links, programs and servers.

use std::ffi::CString;

use anyhow::{Context as _, Result};
use aya::EbpfLoader;

use super::{Lab, wait_until};
use crate::{
    lab::{datapath::Datapath, echo::Echo, files::Files, plan::Pod, sysctl::Role, wiring},
    sys::pause::{self, Kind, Starting},
};

impl Lab {
    pub(super) fn start_processes(&mut self) -> Result<()> {
        let mut kinds = vec![Kind::Wire];
        kinds.extend(self.plan.nodes.iter().map(|node| Kind::Node {
            hostname: node.name.clone(),
        }));
        let starting = kinds
            .iter()
            .map(|kind| pause::start(kind, self.alive()?))
            .collect::<Result<Vec<_>>>();
        for starting in starting? {
            self.node_pauses
                .push(starting.ready().context("starting a node")?);
        }
        for (node, pause) in self.plan.nodes.iter_mut().zip(&self.node_pauses[1..]) {
            node.pid = pause.pid();
        }
        let starting: Vec<_> = self
            .plan
            .pods
            .iter()
            .map(|pod| self.start_pod(pod))
            .collect();
        for (pod, starting) in self.plan.pods.iter_mut().zip(starting) {
            let pause = starting.and_then(Starting::ready);
            let pause = pause.with_context(|| format!("starting pod {}", pod.name))?;
            pod.pid = pause.pid();
            self.pod_pauses.push(pause);
        }
        Ok(())
    }

    pub(super) fn start_pod(&self, pod: &Pod) -> Result<Starting> {
        let node = &self.node_pauses[1 + self.node_of(pod)];
        let netns = pod
            .netns_name
            .as_ref()
            .map(|name| CString::new(format!("/run/netns/{name}")));
        let kind = Kind::Pod {
            hostname: pod.name.clone(),
            mounts: node
                .mounts()
                .context("opening the node's mount namespace")?,
            netns: netns.transpose()?,
        };
        pause::start(&kind, self.alive()?)
    }

    pub(super) fn build_nodes(&mut self) -> Result<()> {
        let Self { plan, options, .. } = self;
        let wire = self.node_pauses[0].netns()?;
        let mut wire_netlink = wiring::prepare(&wire, Role::Pod, options)?;
        self.echo = Some(Echo::start()?);
        // One loader reads the kernel's types once, which takes longer than everything else.
        let mut loader = EbpfLoader::new();
        for (place, node) in plan.nodes.iter().enumerate() {
            let other = &plan.nodes[1 - place];
            let namespace = self.node_pauses[1 + place].netns()?;
            let mut netlink = wiring::prepare(&namespace, Role::Node, options)?;
            wiring::node(&mut netlink, node, other, &wire, options)
                .with_context(|| format!("building node {}", node.name))?;
            wiring::up(&mut wire_netlink, &node.wire)?;
            self.netlinks.push(netlink);
            let mut datapath = namespace
                .run(|| Datapath::of_node(&mut loader, node, other, options))?
                .with_context(|| format!("the forwarding programs of node {}", node.name))?;
            if let Some(backend) = plan.backend() {
                datapath.lead_service_to(backend)?;
            }
            self.datapaths.push(datapath);
            let families = node.families(options.ipv6);
            let addresses = families.flat_map(|it| [it.node.addr(), it.router]);
            if let Some(echo) = &mut self.echo {
                echo.serve(node.pid, &namespace, addresses)?;
            }
        }
        let datapath = wire.run(|| Datapath::of_wire(&mut loader, &plan.nodes, options.attach))?;
        self.datapaths
            .push(datapath.context("the wire between the nodes")?);
        self.wire = Some(wire_netlink);
        Ok(())
    }

    pub(super) fn build_pods(&mut self) -> Result<()> {
        (0..self.plan.pods.len()).try_for_each(|place| self.build_pod(place))?;
        self.settle()
    }

    /// Waits until no link drops packets any more.
    pub(super) fn settle(&mut self) -> Result<()> {
        for netlink in self.netlinks.iter_mut().chain(&mut self.wire) {
            wait_until("every link is ready", || wiring::is_ready(netlink))?;
        }
        Ok(())
    }

    pub(super) fn build_pod(&mut self, place: usize) -> Result<()> {
        let pod = &self.plan.pods[place];
        let node = self.node_of(pod);
        let namespace = self.pod_pauses[place].netns()?;
        let options = &self.options;
        wiring::pod(
            &mut self.netlinks[node],
            &self.plan.nodes[node],
            pod,
            &namespace,
            options,
        )?;
        let datapath = &mut self.datapaths[node];
        let node_namespace = self.node_pauses[1 + node].netns()?;
        node_namespace.run(|| datapath.add_pod(pod, options.mode))??;
        if let Some(echo) = &mut self.echo {
            echo.serve(pod.pid, &namespace, pod.addresses(options.ipv6))?;
        }
        Files::of(&self.plan.nodes[node], pod)
            .map_or(Ok(()), |files| files.write())
            .context("writing the node's files about the pod")
    }
}
