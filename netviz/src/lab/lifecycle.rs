//! From nothing to a cluster, and back to nothing.

use std::{
    ffi::CString,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::EbpfLoader;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{
    Node, Place, Pod, PodKind, SERVICE,
    datapath::Datapath,
    echo::Echo,
    logs::Pump,
    options::Options,
    pause::{self, Alive, Kind, Pause, Starting},
    plan::Plan,
    sysctl::Role,
    wiring,
};
use crate::sys::{netlink::Netlink, netns::NetNs};

/// How long the kernel may take to clear away what nobody holds any more.
const TEARDOWN: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A running laboratory. It ends with this value, or with its owner's process, whichever is first.
pub struct Lab {
    options: Options,
    plan: Plan,
    // In the order of going: whatever holds a namespace before what waits for it.
    pump: Option<Pump>,
    echo: Option<Echo>,
    /// One for each node: its own netlink socket.
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
    /// Says which step failed at which object. Nothing is left then.
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
        raise_descriptor_limit();
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
            alive: Some(
                Alive::new().context("making the pipe that ties a laboratory to its owner")?,
            ),
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

    /// The pods, those of the blog first. Health endpoints are no pods: [`Lab::health`].
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

    /// What the laboratory was asked to be.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The network namespace of a node or a pod. It stays for as long as the handle is held.
    pub fn netns(&self, place: &impl Place) -> io::Result<NetNs> {
        NetNs::of_process(place.pid())
    }

    /// Whom a packet to `to` is really sent to: the service's backend, or `to` itself.
    ///
    /// The service exists under BPF host routing alone, as the replacement of kube-proxy does.
    #[must_use]
    pub fn resolve(&self, to: SocketAddr) -> SocketAddr {
        if !self.options.mode.bypasses_stack() || to.ip() != IpAddr::V4(SERVICE) {
            return to;
        }
        SocketAddr::new(self.backend().map_or(to.ip(), IpAddr::V4), to.port())
    }

    /// `netshoot` on the first node.
    fn backend(&self) -> Option<Ipv4Addr> {
        let mut pods = self.pods().iter();
        let backend = pods
            .find(|pod| pod.name.starts_with("netshoot") && self.plan.nodes[0].name == pod.node);
        backend.map(|pod| pod.address)
    }

    /// Starts one more pod, as a CNI ADD does.
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
        if let Err(error) = self.build_pod(last) {
            self.remove_pod(name).ok();
            return Err(error).with_context(|| format!("building pod {name}"));
        }
        Ok(&self.plan.pods[last])
    }

    /// Removes a pod, as a CNI DEL does: first the link, then the namespace.
    pub fn remove_pod(&mut self, name: &str) -> Result<()> {
        let pods = self.plan.pods.iter();
        let Some(place) = pods
            .enumerate()
            .skip(self.health().len())
            .find_map(|(place, pod)| (pod.name == name).then_some(place))
        else {
            bail!("there is no pod {name} in the laboratory");
        };
        let pod = self.plan.pods.remove(place);
        let pause = self.pod_pauses.remove(place);
        let node = self.node_of(&pod);
        let deleted = self.netlinks[node].delete_link(pod.interface.index);
        if let Some(echo) = &self.echo {
            echo.forget(pod.pid);
        }
        let unbound = self.unbind(&pod, node);
        pause.end();
        self.datapaths[node].remove_pod(&pod)?;
        deleted.with_context(|| format!("deleting {} of pod {name}", pod.interface.name))?;
        unbound
    }

    /// Takes everything down and waits until it is gone.
    ///
    /// # Errors
    /// Says what was still there after the time that the kernel usually needs many times over.
    pub fn down(mut self) -> Result<()> {
        self.tear_down()
    }

    fn start_processes(&mut self) -> Result<()> {
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

    fn start_pod(&self, pod: &Pod) -> Result<Starting> {
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

    fn build_nodes(&mut self) -> Result<()> {
        let Self { plan, options, .. } = self;
        let wire = self.node_pauses[0].netns()?;
        let mut wire_netlink = wiring::prepare(&wire, Role::Pod, options)?;
        self.echo = Some(Echo::start()?);
        // One loader: it reads the kernel's types once, which takes longer than all the rest.
        let mut loader = EbpfLoader::new();
        for (place, node) in plan.nodes.iter().enumerate() {
            let other = &plan.nodes[1 - place];
            let namespace = self.node_pauses[1 + place].netns()?;
            let mut netlink = wiring::prepare(&namespace, Role::Node, options)?;
            wiring::node(&mut netlink, node, other, &wire, options)
                .with_context(|| format!("building node {}", node.name))?;
            wiring::up(&mut wire_netlink, &node.wire)?;
            self.netlinks.push(netlink);
            let datapath = namespace
                .run(|| Datapath::of_node(&mut loader, node, other, options))?
                .with_context(|| format!("the forwarding programs of node {}", node.name))?;
            self.datapaths.push(datapath);
            let mut addresses: Vec<IpAddr> = vec![node.address.into(), node.router_address.into()];
            if options.ipv6 {
                addresses.extend([IpAddr::from(node.address6), node.router_address6.into()]);
            }
            if let Some(echo) = &self.echo {
                echo.serve(node.pid, &namespace, &addresses)?;
            }
        }
        let datapath = wire.run(|| Datapath::of_wire(&mut loader, &plan.nodes, options.attach))?;
        self.datapaths
            .push(datapath.context("the wire between the nodes")?);
        self.wire = Some(wire_netlink);
        Ok(())
    }

    fn build_pods(&mut self) -> Result<()> {
        (0..self.plan.pods.len()).try_for_each(|place| self.build_pod(place))
    }

    fn build_pod(&mut self, place: usize) -> Result<()> {
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
        let mut addresses = vec![IpAddr::from(pod.address)];
        if options.ipv6 {
            addresses.push(pod.address6.into());
        }
        match &self.echo {
            Some(echo) => echo.serve(pod.pid, &namespace, &addresses),
            None => Ok(()),
        }
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
        self.alive.as_ref().context("the laboratory is going down")
    }

    /// Takes the pod's namespace out of the node's `/run/netns`: the mount keeps it alive.
    fn unbind(&self, pod: &Pod, node: usize) -> Result<()> {
        let Some(name) = &pod.netns_name else {
            return Ok(());
        };
        let path = format!("/run/netns/{name}");
        let mounts = self.node_pauses[1 + node].mounts()?;
        pause::in_mounts(&mounts, || {
            nix::mount::umount2(path.as_str(), nix::mount::MntFlags::MNT_DETACH)?;
            std::fs::remove_file(&path)
        })
        .with_context(|| format!("unmounting {path} on {}", pod.node))
    }

    fn tear_down(&mut self) -> Result<()> {
        self.pump = None;
        self.echo = None;
        self.netlinks.clear();
        self.alive = None;
        for pause in self.pod_pauses.drain(..).chain(self.node_pauses.drain(..)) {
            pause.wait();
        }
        let left = self.wire.take().map_or(Ok(()), |mut wire| {
            wait_until("the nodes' links are gone", || Ok(wire.links()?.len() <= 1))
        });
        // Links of devices that are gone close at once.
        let ids: Vec<_> = self
            .datapaths
            .iter()
            .flat_map(Datapath::program_ids)
            .collect();
        self.datapaths.clear();
        left?;
        wait_until("the forwarding programs are unloaded", || {
            Ok(!any_loaded(&ids))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.tear_down() {
            log::warn!("the laboratory's end: {error:#}");
        }
    }
}

fn any_loaded(ids: &[u32]) -> bool {
    let mut loaded = aya::programs::loaded_programs().filter_map(Result::ok);
    !ids.is_empty() && loaded.any(|program| ids.contains(&program.id()))
}

fn wait_until(what: &str, mut done: impl FnMut() -> io::Result<bool>) -> Result<()> {
    let limit = Instant::now() + TEARDOWN;
    while !done()? {
        if Instant::now() > limit {
            bail!("waited {} s, and still not: {what}", TEARDOWN.as_secs());
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Each pod costs three descriptors. Where the limit cannot be raised, an error tells soon enough.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok();
    }
}
