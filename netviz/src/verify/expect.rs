//! By which doors packets should go, in one mode and another.

pub(in crate::verify) mod doors;
mod mode;
mod path_builder;
pub(in crate::verify) mod unassigned;

use std::net::IpAddr;

pub use mode::{Hooks, Modes, candidates};
pub use unassigned::nobody;

use super::route::{Expectation, Mode, Party, Place, Route};
use crate::model::{Cluster, Encryption, Role, Untrusted};
use doors::{Room, node_of};
use path_builder::{By, Path};

/// The ordered doors from A to B and back, for each candidate of [`self::mode::candidates`]; candidates
/// that would take the same doors make one expectation.
///
/// Empty where nothing can be expected: [`not_expected`] says why. What is sent to a service goes to
/// nobody that is here; once the pod that received it is known, it is asked again with that pod.
#[must_use]
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
        let expectation = Expected {
            cluster,
            route,
            modes,
            hooks,
        }
        .expectation();
        let same = |other: &Expectation| {
            other.request == expectation.request && other.reply == expectation.reply
        };
        if !all.iter().any(same) {
            all.push(expectation);
        }
    }
    all
}

/// Why there is nothing to compare with, in one sentence; `None` where there is.
#[must_use]
pub fn not_expected(cluster: &Cluster, route: &Route) -> Option<String> {
    let ends = [&route.from, &route.to];
    if ends.iter().all(|end| end.place == Place::Elsewhere) {
        return Some(format!(
            "neither {} nor {} is on a node that is here: no path is known; name one that is, or run netviz on its node",
            route.from.name, route.to.name
        ));
    }
    if let Some(end) = ends.iter().find(|end| without_doors(cluster, end)) {
        return Some(format!(
            "no door of {} was found: no path is known; see `netviz doors`",
            end.name
        ));
    }
    let mut nodes = ends.iter().filter_map(|end| node_of(&end.place));
    let strange = nodes.find_map(|node| cluster.nodes.get(node).filter(|node| !node.cilium))?;
    (!neighbours(route)).then(|| {
        format!(
            "{} has no cilium_host: how it routes is not known, and there is no path to compare with",
            strange.name
        )
    })
}

fn without_doors(cluster: &Cluster, end: &Party) -> bool {
    match end.place {
        Place::Pod { node, netns } => {
            doors::room(cluster, node, netns, end.address) == Room::default()
        }
        Place::Node { node, .. } => node >= cluster.nodes.len(),
        Place::Elsewhere => false,
    }
}

/// Two pods of one node, whose packets cross its two veth pairs whoever made them.
fn neighbours(route: &Route) -> bool {
    match (&route.from.place, &route.to.place) {
        (Place::Pod { node: a, .. }, Place::Pod { node: b, .. }) => a == b,
        _ => false,
    }
}

/// A and B are the same pod or the same node.
fn itself(route: &Route) -> bool {
    match (&route.from.place, &route.to.place) {
        (Place::Pod { netns: a, .. }, Place::Pod { netns: b, .. }) => a == b,
        (Place::Node { node: a, .. }, Place::Node { node: b, .. }) => a == b,
        _ => false,
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
        if itself(self.route) {
            let name = &from.name;
            let note = format!("what {name} sends to itself crosses no door");
            expectation.notes.push(note);
            return expectation;
        }
        let routed = self.routed();
        let request = self.way(from, to, routed && self.mode_at(&[from, to]).tunnel);
        let reply = self.way(to, from, routed && self.mode_at(&[to, from]).tunnel);
        expectation.absent = request.absent;
        for sentence in reply.absent {
            if !expectation.absent.contains(&sentence) {
                expectation.absent.push(sentence);
            }
        }
        (expectation.request, expectation.reply) = (request.steps, reply.steps);
        self.encrypt(&mut expectation);
        expectation
    }

    /// Whether it is between addresses that Cilium routes, and so goes into the tunnel where there
    /// is one. A pod's packets to a node's own address do not; a node's to a pod do, and their
    /// replies come to its `cilium_host`.
    fn routed(&self) -> bool {
        let (from, to) = (&self.route.from, &self.route.to);
        let pods = |end: &Party| match end.place {
            Place::Pod { .. } => true,
            Place::Node { router, .. } => router,
            Place::Elsewhere => self.is_far_pod(end.address),
        };
        let world = |end: &Party| end.place == Place::Elsewhere && !pods(end);
        pods(to) && !world(from)
    }

    /// A pod that a source has a name for, on a node that is not here.
    fn is_far_pod(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address else { return false };
        let mut pods = self.cluster.pods.iter();
        let here = |name: &Untrusted| self.cluster.nodes.iter().any(|node| node.name == *name);
        pods.any(|pod| {
            let mut addresses = pod.addresses.iter();
            !here(&pod.node) && addresses.any(|text| crate::model::plain(text) == Some(address))
        })
    }

    /// The mode of the first of them that is on a node that is here.
    fn mode_at(&self, ends: &[&Party]) -> Mode {
        let node = ends.iter().find_map(|end| node_of(&end.place));
        node.map(|node| self.modes.of(node)).unwrap_or_default()
    }

    fn way(&self, from: &Party, to: &Party, tunnel: bool) -> Path<'_> {
        let mut path = Path {
            cluster: self.cluster,
            hooks: Some(self.hooks).filter(|_| !self.modes.asked()),
            steps: Vec::new(),
            absent: Vec::new(),
        };
        let (here, there) = (node_of(&from.place), node_of(&to.place));
        let same = here.is_some() && here == there;
        match from.place {
            Place::Pod { node, netns } => {
                path.leave_pod(doors::room(self.cluster, node, netns, from.address));
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
                let room = doors::room(self.cluster, node, netns, to.address);
                path.enter_pod(room, node, self.modes.of(node), by(from, same, tunnel));
            }
            Place::Node { node, .. } if tunnel && !same => path.enter_by_router(node),
            Place::Node { .. } | Place::Elsewhere => {}
        }
        path
    }

    /// Under which addresses an end is reached on the network between the nodes.
    fn wire_addresses(&self, end: &Party) -> Vec<IpAddr> {
        match node_of(&end.place) {
            Some(node) => doors::addresses(self.cluster, node),
            None => end.address.into_iter().collect(),
        }
    }

    /// On encrypted links marked packets are not recognised everywhere: those doors need not be
    /// seen, and the doors of the encryption may be crossed.
    fn encrypt(&self, expectation: &mut Expectation) {
        let ends = [&self.route.from, &self.route.to].map(|end| node_of(&end.place));
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
        let wire = |role| role == Role::Uplink || (role == Role::Overlay && name == IPSEC);
        for step in expectation.request.iter_mut().chain(&mut expectation.reply) {
            if self
                .cluster
                .door(step.door)
                .is_some_and(|door| wire(door.role))
            {
                step.unreadable = Some(name);
            }
        }
    }

    fn encryption(&self, node: usize) -> Option<&'static str> {
        let said = self.cluster.nodes.get(node)?.datapath.as_ref();
        match said.and_then(|datapath| datapath.encryption.as_ref()) {
            Some(Encryption::Ipsec) => Some(IPSEC),
            Some(Encryption::Wireguard) => Some(WIREGUARD),
            Some(_) => None,
            None => doors::device(self.cluster, node, Role::Encryption, "").map(|_| WIREGUARD),
        }
    }
}

const IPSEC: &str = "IPsec";
const WIREGUARD: &str = "WireGuard";

fn by(from: &Party, same: bool, tunnel: bool) -> By {
    match (&from.place, same) {
        (Place::Node { .. }, true) => By::OwnNode,
        (_, true) => By::Neighbour,
        (_, false) if tunnel => By::Overlay,
        (_, false) => By::Uplink,
    }
}
