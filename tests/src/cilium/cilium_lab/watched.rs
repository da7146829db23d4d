//! A running Cilium that runs the oracle's cases, with netviz at all doors.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context as _, Result, ensure};
use netviz::{
    attach::AttachOptions,
    model::{AttachState, Door, DoorId, DoorSample, Role, Side},
};

use super::CiliumLab;
use crate::{
    bpf::hook_counters::Hook,
    cilium::oracle::{Place, TestCluster},
    cli::observation::Observation,
};

/// Packets at each hook.
pub type Counts = BTreeMap<Hook, u64>;

/// netviz at all doors of a cluster.
pub struct Watched<'a> {
    cilium: &'a CiliumLab,
    netviz: Observation,
}

impl<'a> Watched<'a> {
    /// Attaches to all doors.
    pub fn start(cilium: &'a CiliumLab) -> Result<Self> {
        let netviz = Observation::start(cilium.netns(), AttachOptions::default())?;
        Ok(Self { cilium, netviz })
    }

    /// Returns the counts so far.
    pub fn counts(&mut self) -> Result<Counts> {
        let doors = self.netviz.sample().doors;
        let mut counts = Counts::new();
        for door in &self.netviz.found.cluster.doors {
            let Some((owner, device)) = self.name(door) else {
                continue;
            };
            let sample = counted(&doors, door.id)?;
            for (hook, seen) in [("ingress", sample.ingress), ("egress", sample.egress)] {
                let seen = seen.with_context(|| format!("{owner} {device} is not counted"))?;
                counts.insert((owner.clone(), device.clone(), hook), seen.packets);
            }
        }
        Ok(counts)
    }

    /// Returns owner and device as in hooks; `None` outside the nodes.
    fn name(&self, door: &Door) -> Option<(String, String)> {
        let node = &self
            .cilium
            .nodes
            .iter()
            .find(|node| self.netviz.found.cluster.nodes[door.node].netns == node.netns.id())?;
        match (door.side, door.role) {
            (Side::Host, _) => None,
            (Side::Node, _) => Some((node.name.clone(), door.interface.clone())),
            (Side::Pod, Role::Health) => {
                Some((format!("cilium-health of {}", node.name), "eth0".into()))
            }
            (Side::Pod, _) => {
                let netns = door.id.netns.known()?;
                let mut pods = self.cilium.pods.iter();
                let pod = pods.find(|pod| pod.netns.id() == netns)?;
                Some((pod.name.clone(), door.interface.clone()))
            }
        }
    }

    fn doors(&self) -> impl Iterator<Item = (&Door, String, String)> {
        let doors = self.netviz.found.cluster.doors.iter();
        doors.filter_map(|door| {
            let (owner, device) = self.name(door)?;
            Some((door, owner, device))
        })
    }

    /// Returns a pod's own door.
    fn pod_door(&self, pod: &str) -> Option<&Door> {
        let mut doors = self.doors();
        doors.find_map(|(door, owner, device)| (owner == pod && device == "eth0").then_some(door))
    }

    fn first(&self, owner: &str, device: &str, v4: bool) -> Option<IpAddr> {
        let mut doors = self.doors();
        let (door, ..) = doors.find(|(_, one, other)| one == owner && other == device)?;
        let mut addresses = door.addresses.iter().map(|own| own.addr());
        addresses.find(|address| match address {
            IpAddr::V4(_) => v4,
            IpAddr::V6(address) => !v4 && !address.is_unicast_link_local(),
        })
    }
}

fn counted(doors: &BTreeMap<DoorId, DoorSample>, id: DoorId) -> Result<&DoorSample> {
    let door = doors.get(&id).with_context(|| format!("{id:?}"))?;
    ensure!(
        door.meter == AttachState::Counting,
        "{id:?}: {:?}",
        door.meter
    );
    Ok(door)
}

impl TestCluster for Watched<'_> {
    fn node_names(&self) -> Vec<String> {
        let nodes = self.cilium.nodes.iter();
        nodes.map(|node| node.name.clone()).collect()
    }

    fn home(&self, pod: &str) -> Option<String> {
        let netns = self.netviz.found.cluster.nodes[self.pod_door(pod)?.node].netns;
        let mut nodes = self.cilium.nodes.iter();
        let node = nodes.find(|node| node.netns.id() == netns)?;
        Some(node.name.clone())
    }

    fn pair(&self, pod: &str) -> Option<String> {
        self.pod_door(pod)?.peer.as_ref()?.interface.clone()
    }

    fn address(&self, of: Place<'_>) -> Option<IpAddr> {
        match of {
            Place::Pod(pod) => self.first(pod, "eth0", true),
            Place::Pod6(pod) => self.first(pod, "eth0", false),
            Place::Node(node) => self.first(node, "eth0", true),
            Place::Router(node) => self.first(node, "cilium_host", true),
        }
    }
}
