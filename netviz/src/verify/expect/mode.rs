//! The routing mode of a node: from its agent, from its devices and programs, or from the command line.

use std::{collections::BTreeMap, str::FromStr};

use super::doors;
use crate::{
    model::{Cluster, Datapath, Direction, HostRouting, Node, Role, Routing, Tunnel},
    verify::{
        observation::Hooks,
        route::{Mode, ModeSource, Route},
    },
};

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
    #[must_use]
    pub fn of(&self, node: usize) -> Mode {
        self.nodes.get(&node).copied().unwrap_or_default()
    }

    pub(super) fn asked(&self) -> bool {
        self.source == ModeSource::Asked
    }

    /// In words, by node if they differ.
    #[must_use]
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

/// Whether the programs at an lxc's egress hook are those of an endpoint route. The kernel truncates
/// names at 15 bytes.
pub(super) fn has_own_route(chain: &[String]) -> bool {
    chain.iter().any(|name| name.starts_with("cil_to_contain"))
}

/// Every mode that the nodes of a path may be in, the most likely first: one if the agents report it,
/// several if it has to be inferred. `asked` overrides both.
#[must_use]
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
            let (mode, all) = (*mode, all.clone());
            all.into_iter()
                .map(move |mut nodes: BTreeMap<usize, Mode>| {
                    nodes.entry(index).or_insert(mode);
                    nodes
                })
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
    let device = doors::device(cluster, index, Role::Overlay, "").is_some();
    let tunnel = tunnel.unwrap_or(device);
    let hosts = host.map_or_else(|| host_routing(cluster, index, hooks), |host| vec![host]);
    let routes = reported
        .endpoint_routes
        .map_or_else(|| own_routes(cluster, index, hooks), |on| vec![on]);
    let mut modes = Vec::new();
    for host_routing in hosts {
        for endpoint_routes in &routes {
            modes.push(Mode {
                tunnel,
                host_routing,
                endpoint_routes: *endpoint_routes,
            });
        }
    }
    (modes, source)
}

/// `cil_to_netdev` is at an uplink with BPF host routing, and with kube-proxy replacement: both are
/// possible then. Without it, the node's stack routes.
fn host_routing(cluster: &Cluster, node: usize, hooks: &Hooks) -> Vec<bool> {
    let chains = chains(cluster, node, Role::Uplink, hooks);
    match chains
        .iter()
        .any(|chain| chain.iter().any(|name| name.starts_with("cil_to_netdev")))
    {
        true => vec![true, false],
        false if chains.is_empty() => vec![false, true],
        false => vec![false],
    }
}

fn own_routes(cluster: &Cluster, node: usize, hooks: &Hooks) -> Vec<bool> {
    let chains = chains(cluster, node, Role::Pod, hooks);
    match chains.iter().any(|chain| has_own_route(chain)) {
        true => vec![true, false],
        false if chains.is_empty() => vec![false, true],
        false => vec![false],
    }
}

/// Programs at the egress hooks of a node's doors of one kind, if they are known.
fn chains<'a>(cluster: &Cluster, node: usize, role: Role, hooks: &'a Hooks) -> Vec<&'a [String]> {
    let doors = doors::devices(cluster, node, role);
    let chains = doors.filter_map(|door| hooks.get(&(door.id, Direction::Egress)));
    chains.map(Vec::as_slice).collect()
}

/// The names of the modes, as in the laboratory.
const NAMES: [(&str, Mode); 5] = [
    ("vxlan", mode(true, false, false)),
    ("vxlan-host-routing", mode(true, true, false)),
    ("native", mode(false, false, false)),
    ("native-host-routing", mode(false, true, false)),
    ("native-endpoint-routes", mode(false, false, true)),
];

const fn mode(tunnel: bool, host_routing: bool, endpoint_routes: bool) -> Mode {
    Mode {
        tunnel,
        host_routing,
        endpoint_routes,
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("no routing mode {text:?}; modes: {}", names.join(", "))
        })
    }
}
