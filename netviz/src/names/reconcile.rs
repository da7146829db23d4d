//! Combines the reports of all sources.
//!
//! Interfaces and addresses are the kernel's, and stay as they are. A name comes from the first source
//! that has one, in [`Source`]'s order; where another source differs, that is kept as a
//! [`Disagreement`](crate::model::Disagreement).

mod conflicts;
mod lookups;
mod nodes;
mod pods;

use std::collections::BTreeMap;

use nodes::{is_node, share};
use pods::{Claim, PodDoors, Pods, known};

use super::report::{NodeFact, PodFact, Report};
use crate::model::{Cluster, OtherNode, Pod, Role, Service, Source, SourceStatus, Untrusted};

/// Names the doors, pods and nodes of `cluster` after `reports`.
///
/// `cluster` is as it was discovered: names from an earlier call would stay.
pub fn apply(cluster: &mut Cluster, reports: &[Report]) {
    let mut reports: Vec<&Report> = reports.iter().collect();
    reports.sort_by_key(|report| (report.source, report.node));
    name_nodes(cluster, &reports);
    let pods = Pods::new(cluster, &reports);
    cluster.name_nodes_apart();
    let disagreements = conflicts::all(cluster, &pods, &reports);
    let mut named = host_network_pods(cluster, &pods.unmatched);
    for pod in &pods.all {
        name_doors(cluster, pod);
        named.extend(combined(cluster, pod));
    }
    named.sort_by(|a, b| {
        (&a.node, &a.namespace, &a.name, a.netns).cmp(&(&b.node, &b.namespace, &b.name, b.netns))
    });
    cluster.pods = named;
    cluster.services = services(&reports);
    cluster.disagreements = disagreements;
    cluster.sources.extend(statuses(cluster, &reports));
}

/// Kubernetes' name of each node, its pods' address ranges, and its datapath.
fn name_nodes(cluster: &mut Cluster, reports: &[&Report]) {
    let names: Vec<Untrusted> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    for (index, node) in cluster.nodes.iter_mut().enumerate() {
        node.datapath = reports
            .iter()
            .filter(|report| report.node == Some(node.netns))
            .find_map(|report| report.datapath.clone());
        // A name that several nodes have decides nothing.
        let is_single = names.iter().filter(|name| **name == names[index]).count() == 1;
        let is_about = |fact: &&NodeFact| match is_single {
            true => is_node(fact, &names[index], &node.addresses),
            false => share(&fact.addresses, &node.addresses),
        };
        let facts = reports.iter().flat_map(|report| &report.nodes);
        let facts: Vec<&NodeFact> = facts.filter(is_about).collect();
        if let Some(fact) = facts.iter().find(|fact| !fact.pod_cidrs.is_empty()) {
            node.pod_cidrs.clone_from(&fact.pod_cidrs);
        }
        // The hostname may be shorter or longer. The name of another node is a mistake.
        if let Some(fact) = facts.first()
            && !fact.name.is_empty()
            && !names.iter().any(|name| *name == fact.name)
        {
            node.name = (&fact.name).into();
        }
    }
}

fn name_doors(cluster: &mut Cluster, pod: &PodDoors<'_>) {
    let named = pod.named();
    for index in &pod.doors {
        let door = &mut cluster.doors[*index];
        if door.role == Role::Health {
            continue;
        }
        match named {
            Some(claim) => {
                door.pod.clone_from(&claim.fact.name);
                door.namespace.clone_from(&claim.fact.namespace);
                door.named_by = Some(claim.source);
            }
            None => door.named_by = door.pod.is_some().then_some(Source::Kernel),
        }
    }
}

/// A pod that has doors, by all sources together.
fn combined(cluster: &Cluster, pod: &PodDoors<'_>) -> Option<Pod> {
    let mut combined = merged(pod.named()?, pod.claims.iter());
    combined.node.clone_from(&cluster.nodes[pod.node].name);
    combined.netns = pod.netns;
    if !pod.addresses.is_empty() {
        combined.addresses.clone_from(&pod.addresses);
    }
    Some(combined)
}

/// The pods on nodes that are not part of `cluster`, which is as it was discovered.
pub(crate) fn remote_pods(cluster: &Cluster, reports: &[Report]) -> Vec<Pod> {
    let reports: Vec<&Report> = reports.iter().collect();
    let pod = |report: &Report, fact: &PodFact| {
        let is_remote =
            !fact.host_network && pods::node_of(cluster, &reports, report, fact).is_none();
        let node = fact.node_name.as_ref().filter(|_| is_remote)?;
        let (source, node_index) = (report.source, usize::MAX);
        let claim = Claim {
            source,
            node: node_index,
            fact,
        };
        let pod = merged(&claim, [claim].iter());
        Some(Pod {
            node: node.into(),
            ..pod
        })
    };
    let whole = reports.iter().filter(|report| report.node.is_none());
    let pods = whole.flat_map(|report| report.pods.iter().filter_map(|fact| pod(report, fact)));
    pods.collect()
}

/// The nodes that are not part of `cluster`, by the first source that knows each.
pub(crate) fn remote_nodes(cluster: &Cluster, reports: &[Report]) -> Vec<OtherNode> {
    let mut nodes: BTreeMap<&str, OtherNode> = BTreeMap::new();
    let is_here = |fact: &NodeFact| {
        let mut known = cluster.nodes.iter();
        known.any(|node| is_node(fact, &node.name, &node.addresses))
    };
    for fact in reports.iter().flat_map(|report| &report.nodes) {
        if !fact.addresses.is_empty() && !is_here(fact) {
            nodes.entry(&fact.name).or_insert_with(|| OtherNode {
                name: (&fact.name).into(),
                addresses: fact.addresses.clone(),
            });
        }
    }
    nodes.into_values().collect()
}

/// The facts of all `claims`, under the name in `named`.
fn merged<'a>(named: &Claim<'_>, claims: impl Iterator<Item = &'a Claim<'a>> + Clone) -> Pod {
    let facts = || claims.clone().map(|claim| claim.fact);
    let mut sources: Vec<Source> = claims.clone().map(|claim| claim.source).collect();
    sources.sort();
    sources.dedup();
    let first = |of: fn(&PodFact) -> &Vec<String>| {
        let first = facts().map(of).find(|list| !list.is_empty());
        first.into_iter().flatten().map(Into::into).collect()
    };
    Pod {
        node: Untrusted::default(),
        namespace: named.fact.namespace.as_ref().map(Into::into),
        name: named.fact.name.clone().unwrap_or_default().into(),
        netns: named.fact.netns,
        addresses: named.fact.addresses.clone(),
        containers: first(|fact| &fact.containers),
        endpoint: facts().find_map(|fact| fact.endpoint),
        identity: facts().find_map(|fact| known(fact.identity)),
        labels: first(|fact| &fact.labels),
        owner: facts().find_map(|fact| fact.owner.clone()),
        condition: facts().find_map(|fact| Some(fact.condition.as_ref()?.into())),
        sources,
    }
}

/// The pods in a node's own network namespace, which have no doors.
fn host_network_pods(cluster: &Cluster, claims: &[Claim<'_>]) -> Vec<Pod> {
    let mut named: BTreeMap<(usize, String), Vec<Claim<'_>>> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| claim.fact.host_network) {
        if let Some(label) = claim.fact.label() {
            named.entry((claim.node, label)).or_default().push(*claim);
        }
    }
    let pod = |((node, _), claims): ((usize, String), Vec<Claim<'_>>)| {
        let node = &cluster.nodes[node];
        Pod {
            node: node.name.clone(),
            netns: Some(node.netns),
            ..merged(&claims[0], claims.iter())
        }
    };
    named.into_iter().map(pod).collect()
}

/// All services; `None` if no source knows any.
fn services(reports: &[&Report]) -> Option<Vec<Service>> {
    let mut known = reports
        .iter()
        .filter_map(|report| report.services.as_ref())
        .peekable();
    known.peek()?;
    Some(Service::together(known.flatten()))
}

/// The status of each source on each node, in the order of the sources and nodes.
fn statuses(cluster: &Cluster, reports: &[&Report]) -> Vec<SourceStatus> {
    let place = |report: &Report| {
        let mut nodes = cluster.nodes.iter();
        nodes.position(|node| Some(node.netns) == report.node)
    };
    let mut reports = reports.to_vec();
    reports.sort_by_key(|report| (report.source, place(report)));
    let status = |report: &Report| SourceStatus {
        source: report.source,
        node: place(report).map(|node| cluster.nodes[node].name.clone()),
        status: report.status.clone(),
    };
    reports.into_iter().map(status).collect()
}
