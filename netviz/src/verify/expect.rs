//! The doors that packets should cross, by routing mode.

pub(crate) mod doors;
mod fragments;
mod join;
mod kernel_path;
pub(crate) mod mode;
mod path_builder;
mod unassigned;

use std::net::IpAddr;

pub use fragments::{Shape, hide};
pub(crate) use join::join;
pub use kernel_path::kernel_path;
pub use mode::{Modes, candidates};
pub(crate) use unassigned::remote;
pub use unassigned::unassigned;

use super::{Doubt, Expectation, Hooks, Mode, ModeSource, Note, Party, Place, Route};
use crate::model::{CILIUM_HOST, Cluster, Encryption, Role};
use doors::{PodDoors, node_name};
use path_builder::{By, Path};

/// The ordered doors from A to B and back, for each mode of [`candidates`]; modes with the same doors
/// make one expectation.
///
/// Empty if no path is known: [`not_expected`] returns why. A service has no doors; once the pod behind
/// it is known, call this again with that pod.
pub fn expectations(
    cluster: &Cluster,
    route: &Route,
    modes: &[Modes],
    hooks: &Hooks,
) -> Vec<Expectation> {
    if not_expected(cluster, route).is_some() {
        return Vec::new();
    }
    let mut all: Vec<Expectation> = Vec::new();
    for modes in modes {
        let expected = Expected {
            cluster,
            route,
            modes,
            hooks,
        };
        let new = expected.expectation();
        let mut known = all.iter();
        if !known.any(|known| known.request == new.request && known.reply == new.reply) {
            all.push(new);
        }
    }
    all
}

/// Why there is no expected path; `None` if there is one.
pub fn not_expected(cluster: &Cluster, route: &Route) -> Option<Doubt> {
    let ends = [&route.from, &route.to];
    if ends.iter().all(|end| end.place == Place::Elsewhere) {
        return Some(Doubt::BothElsewhere);
    }
    if let Some(end) = ends.iter().find(|end| without_doors(cluster, end)) {
        let name = end.name.clone();
        return Some(Doubt::NoDoors { name });
    }
    let mut nodes = ends.iter().filter_map(|end| end.place.node());
    let other = nodes.find(|node| cluster.nodes.get(*node).is_some_and(|node| !node.cilium))?;
    // Packets between pods of one node cross their veth pairs whatever the CNI.
    (!route.is_within_node()).then(|| Doubt::NoCilium {
        node: node_name(cluster, other).into(),
    })
}

fn without_doors(cluster: &Cluster, end: &Party) -> bool {
    match end.place {
        Place::Pod { node, netns } => {
            doors::of_pod(cluster, node, netns, end.address) == PodDoors::default()
        }
        Place::Node { node, .. } => node >= cluster.nodes.len(),
        Place::Elsewhere => false,
    }
}

struct Expected<'a> {
    cluster: &'a Cluster,
    route: &'a Route,
    modes: &'a Modes,
    hooks: &'a Hooks,
}

impl Expected<'_> {
    fn expectation(&self) -> Expectation {
        let mut expectation = Expectation {
            mode: self.modes.words(self.cluster),
            source: self.modes.source,
            request: Vec::new(),
            reply: Vec::new(),
            besides: Vec::new(),
            absent: Vec::new(),
            notes: Vec::new(),
        };
        let (from, to) = (&self.route.from, &self.route.to);
        if self.route.is_to_itself() {
            expectation.notes.push(Note::SentToItself);
            return expectation;
        }
        let routed = self.routed();
        let request = self.way(from, to, routed && self.mode_at(&[from, to]).tunnel);
        let reply = self.way(to, from, routed && self.mode_at(&[to, from]).tunnel);
        expectation.absent = request.absent;
        let known = expectation.absent.clone();
        let new = reply.absent.into_iter().filter(|it| !known.contains(it));
        expectation.absent.extend(new);
        (expectation.request, expectation.reply) = (request.steps, reply.steps);
        self.encrypt(&mut expectation);
        self.translate(&mut expectation);
        expectation
    }

    /// Whether Cilium routes between these addresses, through its tunnel if there is one. It does not
    /// for a pod's packets to a node's own address; it does for a node's packets to a pod, whose
    /// replies go to the node's `cilium_host`.
    fn routed(&self) -> bool {
        let (from, to) = (&self.route.from, &self.route.to);
        let is_pod = |end: &Party| match end.place {
            Place::Pod { .. } => true,
            Place::Node { router, .. } => router,
            Place::Elsewhere => remote(self.cluster, end).is_some(),
        };
        is_pod(to) && (from.place != Place::Elsewhere || is_pod(from))
    }

    /// The mode of the first end on a node of this machine.
    fn mode_at(&self, ends: &[&Party]) -> Mode {
        let node = ends.iter().find_map(|end| end.place.node());
        node.map(|node| self.modes.of(node)).unwrap_or_default()
    }

    fn way(&self, from: &Party, to: &Party, tunnel: bool) -> Path<'_> {
        let asked = self.modes.source == ModeSource::Asked;
        let mut path = Path {
            cluster: self.cluster,
            hooks: (!asked).then_some(self.hooks),
            steps: Vec::new(),
            absent: Vec::new(),
        };
        let (here, there) = (from.place.node(), to.place.node());
        let same = here.is_some() && here == there;
        match from.place {
            Place::Pod { node, netns } => {
                path.leave_pod(doors::of_pod(self.cluster, node, netns, from.address));
            }
            Place::Node { node, .. } if tunnel && !same => path.leave_by_router(node),
            Place::Node { .. } | Place::Elsewhere => {}
        }
        if !same {
            if let Some(node) = here {
                path.onto_wire(node, &self.wire_addresses(to), tunnel);
            }
            if let Some(node) = there {
                path.off_wire(node, &self.wire_addresses(from), tunnel);
            }
        }
        match to.place {
            Place::Pod { node, netns } => {
                let by = match (same, from.place) {
                    (true, Place::Node { .. }) => By::OwnNode,
                    (true, _) => By::Neighbour,
                    (false, _) if tunnel => By::Overlay,
                    (false, _) => By::Uplink,
                };
                let pod = doors::of_pod(self.cluster, node, netns, to.address);
                path.enter_pod(pod, node, self.modes.of(node), by);
            }
            Place::Node { node, .. } if tunnel && !same => path.enter_by_router(node),
            Place::Node { .. } | Place::Elsewhere => {}
        }
        path
    }

    /// The addresses of an end on the network between the nodes.
    fn wire_addresses(&self, end: &Party) -> Vec<IpAddr> {
        match end.place.node() {
            Some(node) => doors::addresses(self.cluster, node),
            None => end.address.into_iter().collect(),
        }
    }

    /// Marked packets are not recognised everywhere on encrypted links: packets need not be seen at those
    /// doors, and may cross the doors of the encryption.
    fn encrypt(&self, expectation: &mut Expectation) {
        let ends = [&self.route.from, &self.route.to].map(|end| end.place.node());
        if ends[0].is_some() && ends[0] == ends[1] {
            return;
        }
        let nodes = ends.into_iter().flatten();
        let Some(name) = nodes.clone().find_map(|node| self.encryption(node)) else {
            return;
        };
        expectation.besides = nodes
            .filter_map(|node| doors::device(self.cluster, node, Role::Encryption, ""))
            .collect();
        for step in expectation.request.iter_mut().chain(&mut expectation.reply) {
            let role = self.cluster.door(step.door).map(|door| door.role);
            if role == Some(Role::Uplink) || role == Some(Role::Overlay) && name == IPSEC {
                step.encryption = Some(name);
            }
        }
    }

    /// kube-proxy translates in the node's stack, whose routes to pods lead through `cilium_host` with
    /// legacy host routing. Cilium itself translates before that.
    fn translate(&self, expectation: &mut Expectation) {
        let ends = [&self.route.from, &self.route.to].map(|end| end.place.node());
        let nodes = ends.into_iter().flatten();
        let by_stack =
            nodes.filter(|node| self.route.translated && !self.modes.of(*node).host_routing);
        let hosts = by_stack
            .filter_map(|node| doors::device(self.cluster, node, Role::CiliumHost, CILIUM_HOST));
        expectation.besides.extend(hosts);
    }

    fn encryption(&self, node: usize) -> Option<&'static str> {
        let datapath = self.cluster.nodes.get(node)?.datapath.as_ref();
        match datapath.and_then(|datapath| datapath.encryption.as_ref()) {
            Some(Encryption::Ipsec) => Some(IPSEC),
            Some(Encryption::Wireguard) => Some(WIREGUARD),
            Some(_) => None,
            None => doors::device(self.cluster, node, Role::Encryption, "").map(|_| WIREGUARD),
        }
    }
}

const IPSEC: &str = "IPsec";
const WIREGUARD: &str = "WireGuard";
