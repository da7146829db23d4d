//! Disagreements of the sources with the kernel and with one another.

use std::collections::BTreeSet;

use super::{
    lookups,
    nodes::{disagreement, is_node, share},
    pods::{Claim, PodDoors, Pods, known},
};
use crate::{
    model::{Cluster, Disagreement, Role, Side, Source, Status, list},
    names::report::Report,
};

/// All disagreements, sorted.
pub(super) fn all(cluster: &Cluster, pods: &Pods<'_>, reports: &[&Report]) -> Vec<Disagreement> {
    let mut conflicts = Conflicts {
        cluster,
        found: Vec::new(),
    };
    conflicts.of_ranges(reports);
    for pod in &pods.all {
        conflicts.of_pod(pod);
        conflicts.of_missing_endpoint(pod, reports);
    }
    if !cluster.partial {
        for claim in &pods.unmatched {
            conflicts.of_missing_door(claim);
        }
    }
    let mut found = conflicts.found;
    found.extend(lookups::conflicts(cluster, pods, reports));
    found.sort();
    found.dedup();
    found
}

/// The disagreements found so far.
struct Conflicts<'a> {
    cluster: &'a Cluster,
    found: Vec<Disagreement>,
}

impl Conflicts<'_> {
    /// Adds one at the node with this index.
    fn add(&mut self, node: usize, about: impl Into<String>, what: String) {
        let found = disagreement(self.cluster, node, about, what);
        self.found.push(found);
    }

    /// Two sources have different address ranges for the pods of a node.
    fn of_ranges(&mut self, reports: &[&Report]) {
        for (index, node) in self.cluster.nodes.iter().enumerate() {
            let mut ranges = reports
                .iter()
                .flat_map(|report| report.nodes.iter().map(|fact| (report.source, fact)))
                .filter(|(_, fact)| is_node(fact, &node.name, &node.addresses))
                .map(|(source, fact)| (source, fact.pod_cidrs.iter().collect::<BTreeSet<_>>()))
                .filter(|(_, ranges)| !ranges.is_empty());
            let Some((first, believed)) = ranges.next() else {
                continue;
            };
            // A source may know only one address family.
            let other =
                ranges.find(|(source, other)| *source != first && other.is_disjoint(&believed));
            if let Some((source, other)) = other {
                let what = format!(
                    "{first} reports the pod range {}, {source} reports {}",
                    list(believed, ", "),
                    list(other, ", ")
                );
                self.add(index, node.name.to_string(), what);
            }
        }
    }

    /// Sources contradict one another or the kernel about a pod.
    fn of_pod(&mut self, pod: &PodDoors<'_>) {
        let named = pod.named();
        let about = named.and_then(|claim| claim.fact.label());
        let about = about.unwrap_or_else(|| pod.interfaces.join(", "));
        let identity = pod.identity();
        for claim in &pod.claims {
            let (source, fact) = (claim.source, claim.fact);
            let mut add = |what| self.add(pod.node, &about, what);
            if let Some(named) = named
                && differ(named, claim)
            {
                let label = |claim: &Claim<'_>| claim.fact.label().unwrap_or_default();
                add(format!(
                    "{} reports {}, {source} reports {}",
                    named.source,
                    label(named),
                    label(claim)
                ));
            }
            if !fact.addresses.is_empty()
                && !pod.addresses.is_empty()
                && !fact.addresses.iter().any(|it| pod.addresses.contains(it))
            {
                add(format!(
                    "{source} reports {}, the kernel has {}",
                    list(&fact.addresses, ", "),
                    list(&pod.addresses, ", ")
                ));
            }
            if let Some((first, identity)) = identity
                && let Some(other) = known(fact.identity)
                && other != identity
            {
                add(format!(
                    "{first} reports the identity {identity}, {source} reports {other}"
                ));
            }
            if let Some(mac) = &fact.mac
                && !pod.macs.is_empty()
                && !pod.macs.contains(mac)
            {
                add(format!(
                    "{source} reports the Ethernet address {mac}, the kernel has {}",
                    pod.macs.join(", ")
                ));
            }
        }
    }

    /// A source has a pod, and the kernel has no door for it.
    fn of_missing_door(&mut self, claim: &Claim<'_>) {
        let (fact, node) = (claim.fact, &self.cluster.nodes[claim.node]);
        let doors = || {
            let doors = self.cluster.doors.iter();
            doors.filter(|door| door.node == claim.node)
        };
        let own = fact.host_network || share(&fact.addresses, &node.addresses);
        let what = match claim.source {
            Source::CiliumMaps => fact.ifindex.map(|ifindex| {
                format!(
                    "cilium's maps deliver {} to the interface with index {ifindex}, no pod's has it",
                    list(&fact.addresses, ", ")
                )
            }),
            Source::Cilium => {
                let interface = fact.interface.as_ref();
                let missing =
                    interface.filter(|name| !doors().any(|door| door.interface == **name));
                missing.map(|interface| {
                    let endpoint = fact.endpoint.map_or_else(String::new, |id| format!(" {id}"));
                    format!(
                        "cilium has the endpoint{endpoint} at {interface}, the kernel has no such interface"
                    )
                })
            }
            // Behind a door with a problem there may be addresses that netviz cannot read.
            Source::Kubernetes
                if !own
                    && !fact.addresses.is_empty()
                    && !doors().any(|door| door.problem.is_some()) =>
            {
                Some(format!(
                    "kubernetes has it running here with {}, no interface has that address",
                    list(&fact.addresses, ", ")
                ))
            }
            _ => None,
        };
        if let Some(what) = what {
            let about = fact.label().or_else(|| fact.interface.clone());
            let about = about.unwrap_or_else(|| "an endpoint without a name".into());
            self.add(claim.node, about, what);
        }
    }

    /// The kernel has a pod's door, and Cilium has no endpoint for it.
    fn of_missing_endpoint(&mut self, pod: &PodDoors<'_>, reports: &[&Report]) {
        let mut doors = pod.doors.iter().map(|index| &self.cluster.doors[*index]);
        let is_lxc = doors
            .clone()
            .any(|door| door.side == Side::Node && door.role == Role::Pod);
        if pod.health || !is_lxc {
            return;
        }
        let netns = self.cluster.nodes[pod.node].netns;
        let name = doors.find_map(|door| door.pod.clone());
        let interfaces = pod.interfaces.join(", ");
        let about = name.unwrap_or_else(|| interfaces.clone());
        for (source, has) in [
            (Source::Cilium, "cilium has"),
            (Source::CiliumMaps, "cilium's maps have"),
        ] {
            let answered = reports.iter().any(|report| {
                report.source == source
                    && report.node == Some(netns)
                    && matches!(report.status, Status::Ok { .. })
                    && !report.pods.is_empty()
            });
            if answered && !pod.claims.iter().any(|claim| claim.source == source) {
                let what = format!("the kernel has {interfaces}, {has} no endpoint for it");
                self.add(pod.node, &about, what);
            }
        }
    }
}

/// Whether they have different names for a pod, as far as both have one.
fn differ(one: &Claim<'_>, other: &Claim<'_>) -> bool {
    let (one, other) = (one.fact, other.fact);
    let namespaces = one.namespace.is_some() && other.namespace.is_some();
    other.name.is_some()
        && (one.name != other.name || namespaces && one.namespace != other.namespace)
}
