//! The order of nodes, pods and interfaces, the same in every view.

use std::{cmp::Ordering, mem::take};

use super::door::Status;
use crate::model::{DoorState, NetNsId, Role, Snapshot, Traffic, Untrusted, natural_order};

/// The order of the veth pairs within their node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// As packets meet them: pods, then Cilium's own devices, the tunnel, the uplinks.
    #[default]
    Place,
    /// Interfaces that lose packets first, then those that cannot be observed.
    State,
    /// Most packets per second first.
    Rate,
    /// Most packets first.
    Packets,
    /// Most bytes first.
    Bytes,
    /// By the pod's and the interface's name.
    Name,
}

/// Sorts a snapshot: nodes by name, and the veth pairs of a node as asked for. The two ends of a
/// pair stay together.
pub fn sort(snapshot: &mut Snapshot, by: Sort) {
    let nodes = &mut snapshot.nodes;
    nodes.sort_by(|a, b| {
        let names = natural_order(a.name.raw(), b.name.raw());
        names.then_with(|| a.netns.cmp(&b.netns))
    });
    let node = |netns: NetNsId| nodes.iter().position(|node| node.netns == netns);
    let mut start = 0;
    let mut pairs = Vec::new();
    for pair in snapshot.doors.chunk_by(is_pair) {
        let doors = start..start + pair.len();
        start = doors.end;
        pairs.push((node(pair[0].node_netns), Place::of(pair, by), doors));
    }
    pairs.sort_by(|(node_a, a, _), (node_b, b, _)| node_a.cmp(node_b).then(a.compare(b)));
    let order: Vec<_> = pairs.into_iter().flat_map(|(_, _, doors)| doors).collect();
    let mut doors: Vec<_> = take(&mut snapshot.doors).into_iter().map(Some).collect();
    snapshot.doors = order
        .into_iter()
        .filter_map(|door| doors[door].take())
        .collect();
}

/// Whether two doors in a row are the ends of one veth pair.
pub(super) fn is_pair(first: &DoorState, second: &DoorState) -> bool {
    first.node_netns == second.node_netns
        && first.peer_ifindex == Some(second.ifindex)
        && second.peer_ifindex == Some(first.ifindex)
        && (first.side != second.side || first.netns == second.netns)
}

/// What decides the place of a veth pair in its node.
struct Place<'a> {
    status: Option<Status>,
    most: f64,
    role: Option<Role>,
    pod: Option<Untrusted>,
    interface: &'a str,
    ifindex: u32,
}

impl<'a> Place<'a> {
    fn of(pair: &'a [DoorState], by: Sort) -> Self {
        let first = &pair[0];
        let raw = |name: &'a Option<_>| name.as_ref().map_or("", Untrusted::raw);
        let worst = || pair.iter().map(Status::of).min();
        Self {
            status: worst().filter(|_| by == Sort::State),
            most: most(pair, by),
            role: Some(first.role).filter(|_| by != Sort::Name),
            pod: first.pod_label(),
            interface: raw(&first.interface),
            ifindex: first.ifindex,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let pods = || match (&self.pod, &other.pod) {
            (Some(a), Some(b)) => natural_order(a.raw(), b.raw()),
            // Named pods first.
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let status = self.status.cmp(&other.status);
        status
            .then_with(|| other.most.total_cmp(&self.most))
            .then_with(|| self.role.cmp(&other.role))
            .then_with(pods)
            .then_with(|| natural_order(self.interface, other.interface))
            .then_with(|| self.ifindex.cmp(&other.ifindex))
    }
}

/// The figure by which to sort, at the busiest hook; 0 if there is none.
fn most(pair: &[DoorState], by: Sort) -> f64 {
    let figure = |traffic: &Traffic| match by {
        Sort::Rate => traffic.packets_per_second.unwrap_or(0.0),
        Sort::Packets => traffic.packets.unwrap_or(0) as f64,
        Sort::Bytes => traffic.bytes.unwrap_or(0) as f64,
        Sort::Name | Sort::Place | Sort::State => 0.0,
    };
    let hooks = pair.iter().flat_map(|door| [&door.ingress, &door.egress]);
    hooks.map(figure).fold(0.0, f64::max)
}
