//! Which room each source's word is about.

use std::collections::HashMap;

use super::{
    is_node,
    pod_doors::{Key, Room, Rooms},
};
use crate::model::{Cluster, PodFact, Report, Source};

/// One source's word on one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    pub(super) source: Source,
    /// Index of the node.
    pub(super) node: usize,
    pub(super) fact: &'a PodFact,
}

/// The claims on each room.
pub(super) type Inside<'a> = HashMap<Key, Vec<Claim<'a>>>;

/// The claims that are about a room, and those for which there is none.
pub(super) fn claims<'a>(
    cluster: &Cluster,
    rooms: &Rooms,
    reports: &[&'a Report],
) -> (Inside<'a>, Vec<Claim<'a>>) {
    let (mut inside, mut outside) = (Inside::new(), Vec::new());
    for report in reports {
        for fact in &report.pods {
            let Some(node) = node_of(cluster, reports, report, fact) else {
                continue;
            };
            let claim = Claim {
                source: report.source,
                node,
                fact,
            };
            match room(rooms, &claim) {
                Some(room) => inside.entry(room.key).or_default().push(claim),
                None => outside.push(claim),
            }
        }
    }
    (inside, outside)
}

/// The node that a pod is said to be on; `None` where it is not one of those that are here.
fn node_of(
    cluster: &Cluster,
    reports: &[&Report],
    report: &Report,
    fact: &PodFact,
) -> Option<usize> {
    if let Some(netns) = report.node {
        return cluster.nodes.iter().position(|node| node.netns == netns);
    }
    let name = fact.node_name.as_deref()?;
    let known = cluster.nodes.iter().position(|node| node.name == name);
    known.or_else(|| {
        let facts = reports.iter().flat_map(|report| &report.nodes);
        let fact = facts.into_iter().find(|fact| fact.name == name)?;
        let mut nodes = cluster.nodes.iter();
        nodes.position(|node| is_node(fact, &node.name, &node.addresses))
    })
}

/// By the surest thing that the source says: the namespace, the interface, the address.
fn room<'a>(rooms: &'a Rooms, claim: &Claim<'_>) -> Option<&'a Room> {
    let fact = claim.fact;
    if fact.host_network {
        return None;
    }
    if let Some(netns) = fact.netns {
        return rooms.get(Key::Inside(netns));
    }
    if let Some(interface) = &fact.interface {
        return rooms.by_interface(claim.node, interface);
    }
    if let Some(ifindex) = fact.ifindex {
        return rooms.by_ifindex(claim.node, ifindex);
    }
    let mut addresses = fact.addresses.iter();
    addresses.find_map(|address| rooms.by_address(claim.node, *address))
}

/// Whether the claim and the kernel have no address in common though both have some.
pub(super) fn elsewhere(room: &Room, claim: &Claim<'_>) -> bool {
    let theirs = &claim.fact.addresses;
    !theirs.is_empty()
        && !room.addresses.is_empty()
        && !theirs
            .iter()
            .any(|address| room.addresses.contains(address))
}
