//! Differences between a node's ipcache and the kernel: packets to such an address are dropped or
//! misdirected, although every configuration looks right.

use std::{collections::HashMap, net::IpAddr};

use super::{
    nodes::{disagreement, share},
    pods::{PodDoors, Pods},
};
use crate::{
    model::{Cluster, Disagreement, Node, Untrusted},
    names::report::{Lookup, Report},
};

/// Cilium's identities of nodes: host, remote node, node with the API server.
const NODES: [u32; 3] = [1, 6, 7];

/// The differences between the nodes' ipcaches and the pods' own nodes.
pub(super) fn conflicts(
    cluster: &Cluster,
    pods: &Pods<'_>,
    reports: &[&Report],
) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let owners = owners(pods);
    for report in reports {
        let mut nodes = cluster.nodes.iter();
        let Some(here) = nodes.position(|node| Some(node.netns) == report.node) else {
            continue;
        };
        for lookup in &report.lookups {
            let Some(pod) = owners.get(&lookup.address).copied().flatten() else {
                continue;
            };
            if !knows(cluster, report, here, pod.node) {
                continue;
            }
            let address = lookup.address;
            let there = &cluster.nodes[pod.node].name;
            let about = pod.claims.iter().find_map(|claim| claim.fact.label());
            let about = about.unwrap_or_else(|| address.to_string());
            if let Some((source, identity)) = pod.identity()
                && identity != lookup.identity
            {
                let what = format!(
                    "cilium's ipcache here has the identity {} for {address}, {source} on {there} reports {identity}",
                    lookup.identity
                );
                found.push(disagreement(cluster, here, &about, what));
            }
            if let Some(other) = misdirected(cluster, lookup, pod) {
                let what =
                    format!("cilium's ipcache here sends {address} to {other}, it is on {there}");
                found.push(disagreement(cluster, here, &about, what));
            }
        }
    }
    found
}

/// The pod that has each address; `None` if several have it, as in two clusters on one machine.
fn owners<'a>(pods: &'a Pods<'_>) -> HashMap<IpAddr, Option<&'a PodDoors<'a>>> {
    let mut owners = HashMap::new();
    for pod in &pods.all {
        for address in &pod.addresses {
            owners
                .entry(*address)
                .and_modify(|owner| *owner = None)
                .or_insert(Some(pod));
        }
    }
    owners
}

/// Whether a node has the other in its ipcache as a node: one of another cluster is outside.
fn knows(cluster: &Cluster, report: &Report, here: usize, there: usize) -> bool {
    let addresses = &cluster.nodes[there].addresses;
    here == there
        || report
            .lookups
            .iter()
            .any(|lookup| NODES.contains(&lookup.identity) && share(&[lookup.address], addresses))
}

/// The wrong node to which packets for the pod are tunnelled. An address that no node here has may
/// belong to the right one.
fn misdirected<'a>(
    cluster: &'a Cluster,
    lookup: &Lookup,
    pod: &PodDoors<'_>,
) -> Option<&'a Untrusted> {
    let tunnel = lookup.tunnel?;
    let has = |node: &&Node| share(&[tunnel], &node.addresses);
    let right = &cluster.nodes[pod.node];
    let to = cluster.nodes.iter().find(has).filter(|_| !has(&right))?;
    Some(&to.name)
}
