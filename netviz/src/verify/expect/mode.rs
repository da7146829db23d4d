//! The routing mode of a node: from its agent, from its devices and programs, or from the command line.

use std::collections::BTreeMap;

use super::doors;
use crate::{
    model::{Cluster, Datapath, Direction, HostRouting, Node, Role, Routing, Tunnel},
    verify::{Hooks, Mode, ModeSource, Route},
};

/// At an uplink with BPF host routing, and with kube-proxy replacement.
pub(crate) const TO_NETDEV: &str = "cil_to_netdev";
/// At an lxc with an endpoint route. The kernel truncates names at 15 bytes.
pub(super) const TO_CONTAINER: &str = "cil_to_contain";

/// One candidate: the mode of each node of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// By index in [`Cluster::nodes`].
    pub nodes: BTreeMap<usize, Mode>,
    /// How it is known.
    pub source: ModeSource,
}

impl Modes {
    /// The mode of one node; the default if it is unknown.
    pub fn of(&self, node: usize) -> Mode {
        self.nodes.get(&node).copied().unwrap_or_default()
    }

    /// In words, by node if they differ.
    pub fn words(&self, cluster: &Cluster) -> String {
        let of = |(index, mode): (&usize, &Mode)| {
            let node = cluster.nodes.get(*index)?;
            Some((&node.name, words(cluster, *index, node, *mode)))
        };
        let all: Vec<_> = self.nodes.iter().filter_map(of).collect();
        match all.first() {
            None => "unknown".into(),
            Some((_, first)) if all.iter().all(|(_, words)| words == first) => first.clone(),
            Some(_) => {
                let each = all.iter().map(|(name, words)| format!("{name}: {words}"));
                each.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

fn words(cluster: &Cluster, index: usize, node: &Node, mode: Mode) -> String {
    if !node.cilium {
        return "no Cilium".into();
    }
    let device = doors::device(cluster, index, Role::Overlay, "");
    let device = device.and_then(|id| cluster.door(id));
    let device = device.and_then(|door| door.interface.strip_prefix("cilium_"));
    let reported = node.datapath.as_ref();
    let tunnel = reported.and_then(|datapath| datapath.tunnel.clone());
    let tunnel = tunnel.or_else(|| device.map(Tunnel::from));
    let datapath = Datapath {
        routing: Some(match mode.tunnel {
            true => Routing::Tunnel,
            false => Routing::Native,
        }),
        tunnel: tunnel.filter(|_| mode.tunnel),
        host_routing: Some(match mode.host_routing {
            true => HostRouting::Bpf,
            false => HostRouting::Legacy,
        }),
        endpoint_routes: Some(mode.endpoint_routes),
        encryption: reported.and_then(|datapath| datapath.encryption.clone()),
        ..Datapath::default()
    };
    datapath.summary().unwrap_or_default()
}

/// Whether a program of this name is at a hook.
pub(crate) fn runs(chain: &[String], name: &str) -> bool {
    chain.iter().any(|program| program.starts_with(name))
}

/// Every mode that the nodes of a path may be in, the most likely first: one if the agents report it,
/// several if it has to be inferred. `asked` overrides both.
pub fn candidates(
    cluster: &Cluster,
    route: &Route,
    hooks: &Hooks,
    asked: Option<Mode>,
) -> Vec<Modes> {
    let nodes = [&route.from, &route.to].map(|party| party.place.node());
    let mut all = vec![BTreeMap::new()];
    let mut source = ModeSource::Agent;
    for index in nodes.into_iter().flatten() {
        let Some(node) = cluster.nodes.get(index) else {
            continue;
        };
        let (options, from) = match asked {
            Some(mode) => (vec![mode], ModeSource::Asked),
            None => options(cluster, index, node, hooks),
        };
        if from != ModeSource::Agent {
            source = from;
        }
        let with = |mode: &Mode| {
            let mut all = all.clone();
            for nodes in &mut all {
                nodes.entry(index).or_insert(*mode);
            }
            all
        };
        all = options.iter().flat_map(with).collect();
    }
    // The nodes of one cluster mostly have the same mode.
    all.sort_by_key(|nodes| {
        let first = nodes.values().next();
        nodes.values().any(|mode| Some(mode) != first)
    });
    let mut candidates: Vec<Modes> = Vec::new();
    for nodes in all {
        let modes = Modes { nodes, source };
        if !candidates.contains(&modes) {
            candidates.push(modes);
        }
    }
    candidates
}

/// The modes that one node may be in, and how that is known.
fn options(cluster: &Cluster, index: usize, node: &Node, hooks: &Hooks) -> (Vec<Mode>, ModeSource) {
    if !node.cilium {
        return (vec![Mode::default()], ModeSource::Inferred);
    }
    let reported = node.datapath.clone().unwrap_or_default();
    let tunnel = match reported.routing {
        Some(Routing::Tunnel) => Some(true),
        Some(Routing::Native) => Some(false),
        Some(Routing::Other(_)) | None => None,
    };
    let host = match reported.host_routing {
        Some(HostRouting::Bpf) => Some(true),
        Some(HostRouting::Legacy) => Some(false),
        Some(HostRouting::Other(_)) | None => None,
    };
    let source = match (tunnel, host) {
        (Some(_), Some(_)) => ModeSource::Agent,
        _ => ModeSource::Inferred,
    };
    let overlay = || doors::device(cluster, index, Role::Overlay, "").is_some();
    let tunnel = tunnel.unwrap_or_else(overlay);
    let inferred = |role, name| inferred(cluster, index, role, name, hooks);
    let hosts = host.map_or_else(|| inferred(Role::Uplink, TO_NETDEV), |host| vec![host]);
    let routes = reported.endpoint_routes;
    let routes = routes.map_or_else(|| inferred(Role::Pod, TO_CONTAINER), |on| vec![on]);
    let modes = hosts.iter().flat_map(|host_routing| {
        routes.iter().map(|endpoint_routes| Mode {
            tunnel,
            host_routing: *host_routing,
            endpoint_routes: *endpoint_routes,
        })
    });
    (modes.collect(), source)
}

/// Whether a node has a feature that adds this program to the egress hooks of its doors of one kind, the
/// more likely answer first. Without the program, it has not.
fn inferred(cluster: &Cluster, node: usize, role: Role, name: &str, hooks: &Hooks) -> Vec<bool> {
    let doors = doors::devices(cluster, node, role);
    let chains = doors.filter_map(|door| hooks.get(&(door.id, Direction::Egress)));
    let found: Vec<_> = chains.map(|chain| runs(chain, name)).collect();
    match found.contains(&true) {
        true => vec![true, false],
        false if found.is_empty() => vec![false, true],
        false => vec![false],
    }
}
