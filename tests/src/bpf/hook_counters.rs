//! netviz's counting object at every door of a lab, at the head and the tail of the chain.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, PerCpuArray},
    programs::{LinkOrder, SchedClassifier, TcAttachType, tc::TcAttachOptions},
};
use netviz::{
    lab::{Lab, Place},
    sys::objects,
};
use netviz_ebpf::{
    COUNTERS_MAP, DoorCounters, EGRESS_PROGRAM, INGRESS_PROGRAM,
    lab::{LastPacket, SEEN_MAP},
};

use crate::bpf::test_objects;

/// A hook: owner of the device, device, and `ingress` or `egress`. Health endpoints are named after
/// their node, because their pods have the same name.
pub type Hook = (String, String, &'static str);

/// Counts of one hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// At the head of the chain.
    pub head: u64,
    /// At the tail of the chain.
    pub tail: u64,
}

/// One door with its counters.
struct Counted {
    owner: String,
    device: String,
    head: Ebpf,
    tail: Ebpf,
    probe: Ebpf,
}

/// All doors of a lab with their counters. Drop it after the lab: a link whose device is gone
/// closes at once.
pub struct HookCounters {
    doors: Vec<Counted>,
}

impl HookCounters {
    /// Attaches to each door of both nodes and of all pods.
    pub fn attach(lab: &Lab) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        let mut doors = Vec::new();
        for node in lab.nodes() {
            let pods = lab.pods().iter().chain(lab.health());
            let mut devices = vec!["cilium_net", "cilium_host", "eth0"];
            devices.extend(
                pods.filter(|pod| pod.node == node.name)
                    .map(|pod| pod.interface.name.as_str()),
            );
            if lab.options().mode.tunnels() {
                devices.push("cilium_vxlan");
            }
            for device in devices {
                doors.push(counted(&mut loader, lab, node, &node.name, device)?);
            }
        }
        for pod in lab.pods() {
            doors.push(counted(&mut loader, lab, pod, &pod.name, "eth0")?);
        }
        for pod in lab.health() {
            let owner = format!("{} of {}", pod.name, pod.node);
            doors.push(counted(&mut loader, lab, pod, &owner, "eth0")?);
        }
        Ok(Self { doors })
    }

    /// Returns the counts of all hooks so far.
    pub fn read(&self) -> Result<Vec<(Hook, Count)>> {
        let mut counts = Vec::new();
        for door in &self.doors {
            let (head, tail) = (totals(&door.head)?, totals(&door.tail)?);
            for (hook, head, tail) in [
                ("ingress", head.ingress, tail.ingress),
                ("egress", head.egress, tail.egress),
            ] {
                let count = Count {
                    head: head.packets,
                    tail: tail.packets,
                };
                counts.push(((door.owner.clone(), door.device.clone(), hook), count));
            }
        }
        Ok(counts)
    }

    /// Returns the fields of the last packet at a hook.
    pub fn seen(&self, (owner, device, hook): &Hook) -> Result<LastPacket> {
        let mut doors = self.doors.iter();
        let door = doors.find(|door| door.owner == *owner && door.device == *device);
        let door = door.with_context(|| format!("{owner} has no {device}"))?;
        let map = door.probe.map(SEEN_MAP).context("the probe has no map")?;
        let seen: Array<_, LastPacket> = map.try_into()?;
        Ok(seen.get(&u32::from(*hook == "egress"), 0)?)
    }
}

fn counted(
    loader: &mut EbpfLoader<'_>,
    lab: &Lab,
    place: &impl Place,
    owner: &str,
    device: &str,
) -> Result<Counted> {
    let count = [INGRESS_PROGRAM, EGRESS_PROGRAM];
    let probe = ["netviz_probe_in", "netviz_probe_out"];
    lab.netns(place)?
        .run(|| {
            anyhow::Ok(Counted {
                owner: owner.into(),
                device: device.into(),
                head: attached(loader, objects::COUNT, device, count, LinkOrder::first)?,
                tail: attached(loader, objects::COUNT, device, count, LinkOrder::last)?,
                probe: attached(loader, test_objects::PROBE, device, probe, LinkOrder::first)?,
            })
        })?
        .with_context(|| format!("counting at {device} of {owner}"))
}

fn attached(
    loader: &mut EbpfLoader<'_>,
    object: &[u8],
    device: &str,
    names: [&str; 2],
    order: fn() -> LinkOrder,
) -> Result<Ebpf> {
    let mut object = loader.load(object)?;
    for (name, hook) in names
        .into_iter()
        .zip([TcAttachType::Ingress, TcAttachType::Egress])
    {
        let program = object
            .program_mut(name)
            .with_context(|| format!("{name} is missing"))?;
        let program: &mut SchedClassifier = program.try_into()?;
        program.load()?;
        program.attach_with_options(device, hook, TcAttachOptions::TcxOrder(order()))?;
    }
    Ok(object)
}

fn totals(object: &Ebpf) -> Result<DoorCounters> {
    let map = object
        .map(COUNTERS_MAP)
        .context("the counting object has no map")?;
    let counters: PerCpuArray<_, DoorCounters> = map.try_into()?;
    let mut sum = DoorCounters::default();
    for one in counters.get(&0, 0)?.iter() {
        sum.ingress.packets += one.ingress.packets;
        sum.egress.packets += one.egress.packets;
    }
    Ok(sum)
}
