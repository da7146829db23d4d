//! Creates the cluster, changes it, and removes it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    SERVICE, SERVICE_TCP_PORT, TCP_PORT,
    datapath::Datapath,
    echo::Echo,
    logs::Pump,
    options::Options,
    plan::{Node, Place, Plan, Pod, PodKind},
};
use crate::sys::{
    descriptors,
    netlink::Netlink,
    netns::NetNs,
    pause::{Alive, Pause},
};

mod build;
mod pods;
mod teardown;

/// The time limit for what the kernel does asynchronously.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval between two checks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A running lab. It ends when this value is dropped or its owner's process ends.
pub struct Lab {
    options: Options,
    plan: Plan,
    // In the order of dropping: what holds a namespace comes before what waits for it.
    pump: Option<Pump>,
    echo: Option<Echo>,
    /// A netlink socket in each node.
    netlinks: Vec<Netlink>,
    wire: Option<Netlink>,
    /// One for each node, then the wire's.
    datapaths: Vec<Datapath>,
    /// The wire's, then one for each node.
    node_pauses: Vec<Pause>,
    /// In the order of `plan.pods`.
    pod_pauses: Vec<Pause>,
    alive: Option<Alive>,
}

impl Lab {
    /// Builds the cluster; needs root.
    ///
    /// # Errors
    /// The failed step and its object. Nothing remains.
    pub fn up(options: &Options) -> Result<Self> {
        let mut plan = Plan::new()?;
        let names: Vec<_> = plan.nodes.iter().map(|node| node.name.clone()).collect();
        for number in 1..=usize::from(options.extra_pods_per_node) {
            for (place, node) in names.iter().enumerate() {
                let name = format!("extra-{}", (number - 1) * names.len() + place + 1);
                let pod = plan.extra(node, &name)?;
                plan.pods.push(pod);
            }
        }
        descriptors::raise_limit();
        let mut lab = Self {
            options: options.clone(),
            plan,
            pump: None,
            echo: None,
            netlinks: Vec::new(),
            wire: None,
            datapaths: Vec::new(),
            node_pauses: Vec::new(),
            pod_pauses: Vec::new(),
            alive: Some(Alive::new().context("making the pipe that ties a lab to its owner")?),
        };
        lab.start_processes()?;
        lab.build_nodes()?;
        lab.build_pods().context("building the pods")?;
        let nodes = lab.plan.nodes.len();
        lab.pump = Some(Pump::start(lab.datapaths[..nodes].iter_mut())?);
        Ok(lab)
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.plan.nodes
    }

    /// The pods, those of the blog first, without the health endpoints ([`Lab::health`]).
    #[must_use]
    pub fn pods(&self) -> &[Pod] {
        &self.plan.pods[self.health().len()..]
    }

    /// The health endpoint of each node.
    #[must_use]
    pub fn health(&self) -> &[Pod] {
        let pods = &self.plan.pods;
        &pods[..pods.partition_point(|pod| pod.kind == PodKind::Health)]
    }

    /// The options it was created with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The network namespace of a node or a pod. The handle keeps it alive.
    pub fn netns(&self, place: &impl Place) -> io::Result<NetNs> {
        NetNs::of_process(place.pid())
    }

    /// The network namespace that contains the network between the nodes.
    ///
    /// # Errors
    /// While the lab is removed.
    pub fn wire(&self) -> io::Result<NetNs> {
        let wire = self.node_pauses.first();
        wire.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
            .netns()
    }

    /// The address to which a packet to `to` is really sent: the service's backend, or `to` itself.
    ///
    /// Only with BPF host routing: there the kube-proxy replacement translates in sockets.
    #[must_use]
    pub fn resolve(&self, to: SocketAddr) -> SocketAddr {
        if !self.options.mode.bypasses_stack() || to.ip() != IpAddr::V4(SERVICE) {
            return to;
        }
        let port = match to.port() {
            SERVICE_TCP_PORT => TCP_PORT,
            port => port,
        };
        self.backend()
            .map_or(to, |backend| SocketAddr::new(backend.address.into(), port))
    }

    /// The backend of the service: `netshoot` on the first node.
    #[must_use]
    pub fn backend(&self) -> Option<&Pod> {
        self.plan.backend()
    }

    /// Removes everything and waits until it is gone.
    ///
    /// # Errors
    /// What still existed after the time limit.
    pub fn down(mut self) -> Result<()> {
        self.tear_down()
    }

    fn node_of(&self, pod: &Pod) -> usize {
        let place = self
            .plan
            .nodes
            .iter()
            .position(|node| node.name == pod.node);
        // A pod is only ever planned on a node of the plan.
        place.unwrap_or_default()
    }

    fn alive(&self) -> Result<&Alive> {
        self.alive.as_ref().context("the lab is going down")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.tear_down() {
            log::warn!("the lab's end: {error:#}");
        }
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> io::Result<bool>) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > limit {
            bail!(
                "timed out after {} s before {what}; the machine may be too busy: try again",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}
