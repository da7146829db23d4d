//! Puts together what the sources say, without hiding where they disagree.
//!
//! Interfaces and addresses are the kernel's, and stay as they are. A name is believed from the
//! nearest source that has one ([`Source`]'s order); what another source says otherwise is kept as
//! a [`Disagreement`](crate::model::Disagreement).

mod claims;
mod conflicts;
mod lookups;
mod pod_doors;

use std::{collections::BTreeMap, net::IpAddr};

use claims::{Claim, claims};
use pod_doors::{Room, Rooms};

use crate::model::{
    Cluster, Node, NodeFact, Pod, PodFact, Report, Role, Service, Source, SourceStatus, Untrusted,
    plain,
};

/// Names the doors, pods and nodes of `cluster` by what `reports` say.
///
/// Works on the cluster as it was discovered: applied to one that was named already, old names
/// would stay.
pub fn apply(cluster: &mut Cluster, reports: &[Report]) {
    let mut reports: Vec<&Report> = reports.iter().collect();
    reports.sort_by_key(|report| (report.source, report.node));
    nodes(cluster, &reports);
    let rooms = Rooms::new(cluster);
    let (inside, outside) = claims(cluster, &rooms, &reports);
    let mut said = conflicts::of_nodes(cluster, &reports);
    said.extend(conflicts::of_rooms(cluster, &rooms, &inside));
    said.extend(conflicts::of_outsiders(cluster, &outside));
    said.extend(conflicts::of_silence(cluster, &rooms, &inside, &reports));
    said.extend(lookups::conflicts(cluster, &rooms, &inside, &reports));
    said.sort();
    said.dedup();
    let mut pods: Vec<Pod> = Vec::new();
    for room in rooms.all() {
        let here: Vec<&Claim<'_>> = inside.get(&room.key).into_iter().flatten().collect();
        name(cluster, room, &here);
        pods.extend(pod(cluster, room, &here));
    }
    pods.extend(without_door(cluster, &outside));
    pods.sort_by(|a, b| {
        (&a.node, &a.namespace, &a.name, a.netns).cmp(&(&b.node, &b.namespace, &b.name, b.netns))
    });
    cluster.pods = pods;
    cluster.services = services(&reports);
    cluster.disagreements = said;
    cluster.sources.extend(statuses(cluster, &reports));
}

/// Kubernetes' own name for each node, the ranges of its pods, and how it routes.
fn nodes(cluster: &mut Cluster, reports: &[&Report]) {
    let names: Vec<Untrusted> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    for (index, node) in cluster.nodes.iter_mut().enumerate() {
        node.datapath = reports
            .iter()
            .filter(|report| report.node == Some(node.netns))
            .find_map(|report| report.datapath.clone());
        let facts: Vec<&NodeFact> = reports
            .iter()
            .flat_map(|report| &report.nodes)
            .filter(|fact| is_node(fact, &names[index], &node.addresses))
            .collect();
        if let Some(fact) = facts.iter().find(|fact| !fact.pod_cidrs.is_empty()) {
            node.pod_cidrs.clone_from(&fact.pod_cidrs);
        }
        // The hostname may be shorter or longer. A name that another node has says nothing.
        if let Some(fact) = facts.first()
            && !fact.name.is_empty()
            && !names.iter().any(|name| *name == fact.name)
        {
            node.name = (&fact.name).into();
        }
    }
}

fn is_node(fact: &NodeFact, name: &Untrusted, addresses: &[String]) -> bool {
    *name == fact.name || share(&fact.addresses, addresses)
}

/// Whether one of a node's addresses, as the kernel's are kept, is one of those that are said.
fn share(said: &[IpAddr], kept: &[String]) -> bool {
    let mut kept = kept.iter().filter_map(|text| plain(text));
    kept.any(|address| said.contains(&address))
}

/// Gives the doors of a room the name that is believed.
fn name(cluster: &mut Cluster, room: &Room, claims: &[&Claim<'_>]) {
    let named = claims.iter().find(|claim| claim.fact.name.is_some());
    for index in &room.doors {
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

/// What all sources together know of the pod in a room.
fn pod(cluster: &Cluster, room: &Room, claims: &[&Claim<'_>]) -> Option<Pod> {
    let named = claims.iter().find(|claim| claim.fact.name.is_some())?;
    let mut pod = told(named, claims);
    pod.node.clone_from(&cluster.nodes[room.node].name);
    pod.netns = room.netns;
    if !room.addresses.is_empty() {
        pod.addresses = room.addresses.iter().map(ToString::to_string).collect();
    }
    Some(pod)
}

fn told(named: &Claim<'_>, claims: &[&Claim<'_>]) -> Pod {
    let facts = || claims.iter().map(|claim| claim.fact);
    let mut sources: Vec<Source> = claims.iter().map(|claim| claim.source).collect();
    sources.sort();
    sources.dedup();
    let longest = |of: fn(&PodFact) -> &Vec<String>| {
        let first = facts().map(of).find(|list| !list.is_empty());
        first.into_iter().flatten().map(Into::into).collect()
    };
    Pod {
        node: Untrusted::default(),
        namespace: named.fact.namespace.as_ref().map(Into::into),
        name: named.fact.name.clone().unwrap_or_default().into(),
        netns: named.fact.netns,
        addresses: named
            .fact
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
        containers: longest(|fact| &fact.containers),
        endpoint: facts().find_map(|fact| fact.endpoint),
        identity: facts().find_map(|fact| fact.identity.filter(|it| conflicts::known(*it))),
        labels: longest(|fact| &fact.labels),
        condition: facts().find_map(|fact| Some(fact.condition.as_ref()?.into())),
        sources,
    }
}

/// What all sources together know of services.
fn services(reports: &[&Report]) -> Option<Vec<Service>> {
    let mut told = reports
        .iter()
        .filter_map(|report| report.services.as_ref())
        .peekable();
    told.peek()?;
    Some(Service::together(told.flatten()))
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

/// Pods in the node's own network namespace: they are there, and no door is theirs.
fn without_door(cluster: &Cluster, outside: &[Claim<'_>]) -> Vec<Pod> {
    let mut named: BTreeMap<(usize, String), Vec<&Claim<'_>>> = BTreeMap::new();
    for claim in outside.iter().filter(|claim| claim.fact.host_network) {
        if let Some(label) = claim.fact.label() {
            named.entry((claim.node, label)).or_default().push(claim);
        }
    }
    let pod = |((node, _), claims): (_, Vec<&Claim<'_>>)| {
        let node: &Node = &cluster.nodes[node];
        Pod {
            node: node.name.clone(),
            netns: Some(node.netns),
            ..told(claims[0], &claims)
        }
    };
    named.into_iter().map(pod).collect()
}
