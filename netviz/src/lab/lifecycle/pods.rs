//! Adds and removes pods.

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, umount2};

use super::Lab;
use crate::{
    lab::{files::Files, plan::Pod},
    sys::pause,
};

impl Lab {
    /// Adds a pod, as CNI ADD does.
    pub fn add_pod(&mut self, node: &str, name: &str) -> Result<&Pod> {
        let mut pod = self.plan.extra(node, name)?;
        let pause = self
            .start_pod(&pod)?
            .ready()
            .with_context(|| format!("starting pod {name}"))?;
        pod.pid = pause.pid();
        self.plan.pods.push(pod);
        self.pod_pauses.push(pause);
        let last = self.plan.pods.len() - 1;
        if let Err(error) = self.build_pod(last).and_then(|()| self.settle()) {
            self.remove_pod(name).ok();
            return Err(error).with_context(|| format!("building pod {name}"));
        }
        Ok(&self.plan.pods[last])
    }

    /// Removes a pod, as CNI DEL does: first the link, then the namespace.
    pub fn remove_pod(&mut self, name: &str) -> Result<()> {
        let pods = self.plan.pods.iter();
        let Some(place) = pods
            .enumerate()
            .skip(self.health().len())
            .find_map(|(place, pod)| (pod.name == name).then_some(place))
        else {
            bail!("there is no pod {name} in the lab");
        };
        let pod = self.plan.pods.remove(place);
        let pause = self.pod_pauses.remove(place);
        let node = self.node_of(&pod);
        let deleted = self.netlinks[node].delete_link(pod.interface.index);
        let closed = self.echo.as_mut().map_or(Ok(()), |it| it.close(pod.pid));
        let forgotten = Files::of(&self.plan.nodes[node], &pod).map_or(Ok(()), |it| it.remove());
        let unbound = self.unbind(&pod, node);
        pause.end();
        self.datapaths[node].remove_pod(&pod)?;
        forgotten.with_context(|| format!("removing the node's files about pod {name}"))?;
        deleted.with_context(|| format!("deleting {} of pod {name}", pod.interface.name))?;
        closed?;
        unbound
    }

    /// Removes a pod from the maps of its node's programs, as an agent that lost an endpoint does. The pod
    /// itself stays; the node's stack forwards packets to it.
    pub fn forget_endpoint(&mut self, name: &str) -> Result<()> {
        let pod = self.pods().iter().find(|pod| pod.name == name);
        let pod = pod.with_context(|| format!("there is no pod {name} in the lab"))?;
        let (node, pod) = (self.node_of(pod), pod.clone());
        self.datapaths[node].unlearn(&pod)
    }

    /// Unmounts the pod's namespace in the node's `/run/netns`: the mount keeps it alive.
    fn unbind(&self, pod: &Pod, node: usize) -> Result<()> {
        let Some(name) = &pod.netns_name else {
            return Ok(());
        };
        let path = format!("/run/netns/{name}");
        let mounts = self.node_pauses[1 + node].mounts()?;
        pause::in_mounts(&mounts, || {
            umount2(path.as_str(), MntFlags::MNT_DETACH)?;
            std::fs::remove_file(&path)
        })
        .with_context(|| format!("unmounting {path} on {}", pod.node))
    }
}
