//! Where a node's datapath takes an address for somebody else's than it is: the packets are dropped,
//! or go elsewhere, while every configuration looks right.

use std::{collections::HashMap, net::IpAddr};

use super::{
    claims::Inside,
    conflicts::identity,
    pod_doors::{Room, Rooms},
    share,
};
use crate::model::{Cluster, Disagreement, Lookup, Node, Report, Untrusted};

/// Security identities that Cilium gives to nodes: host, remote node, node with the API server.
const NODES: [u32; 3] = [1, 6, 7];

/// What nodes' lookups say otherwise than the kernel and the endpoint's own node.
pub(super) fn conflicts(
    cluster: &Cluster,
    rooms: &Rooms,
    inside: &Inside<'_>,
    reports: &[&Report],
) -> Vec<Disagreement> {
    let owners = owners(rooms);
    let mut said = Vec::new();
    for report in reports.iter().filter(|report| !report.lookups.is_empty()) {
        let here = cluster
            .nodes
            .iter()
            .position(|node| Some(node.netns) == report.node);
        let Some(here) = here else {
            continue;
        };
        for lookup in &report.lookups {
            let Some(room) = owners.get(&lookup.address).copied().flatten() else {
                continue;
            };
            if !knows(cluster, report, here, room.node) {
                continue;
            }
            let claims = inside.get(&room.key).map_or(&[][..], Vec::as_slice);
            let about = claims.iter().find_map(|claim| claim.fact.label());
            let mut say = |what| {
                said.push(Disagreement {
                    node: cluster.nodes[here].name.clone(),
                    about: about.clone().unwrap_or_else(|| lookup.address.to_string()),
                    what,
                });
            };
            if let Some((source, identity)) = identity(claims)
                && identity != lookup.identity
            {
                say(format!(
                    "cilium's ipcache here has the identity {} for {}, {source} on {} says {identity}",
                    lookup.identity, lookup.address, cluster.nodes[room.node].name
                ));
            }
            if let Some(other) = misled(cluster, lookup, room) {
                say(format!(
                    "cilium's ipcache here sends {} to {other}, it is on {}",
                    lookup.address, cluster.nodes[room.node].name
                ));
            }
        }
    }
    said
}

/// The room that has each address; `None` where more than one has it, as in two clusters on one
/// machine.
fn owners(rooms: &Rooms) -> HashMap<IpAddr, Option<&Room>> {
    let mut owners = HashMap::new();
    for room in rooms.all() {
        for address in &room.addresses {
            owners
                .entry(*address)
                .and_modify(|owner| *owner = None)
                .or_insert(Some(room));
        }
    }
    owners
}

/// Whether a node takes another one for a node: one of another cluster is as good as the internet.
fn knows(cluster: &Cluster, report: &Report, here: usize, there: usize) -> bool {
    let addresses = &cluster.nodes[there].addresses;
    here == there
        || report
            .lookups
            .iter()
            .any(|lookup| NODES.contains(&lookup.identity) && share(&[lookup.address], addresses))
}

/// The other node to which packets for the room are tunnelled. An address that none of these nodes
/// has may still be the right one's.
fn misled<'a>(cluster: &'a Cluster, lookup: &Lookup, room: &Room) -> Option<&'a Untrusted> {
    let tunnel = lookup.tunnel?;
    let has = |node: &&Node| share(&[tunnel], &node.addresses);
    let right = &cluster.nodes[room.node];
    let to = cluster.nodes.iter().find(has).filter(|_| !has(&right))?;
    Some(&to.name)
}
