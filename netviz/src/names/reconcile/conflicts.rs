//! Where the sources do not agree with the kernel, or with one another.

use std::{collections::BTreeSet, fmt::Display};

use super::{
    claims::{Claim, Inside, elsewhere},
    is_node,
    pod_doors::Rooms,
    share,
};
use crate::model::{Cluster, Disagreement, Report, Role, Side, Source, Status};

/// Ranges of pods' addresses.
pub(super) fn of_nodes(cluster: &Cluster, reports: &[&Report]) -> Vec<Disagreement> {
    let mut said = Vec::new();
    for node in &cluster.nodes {
        let ranges: Vec<(Source, BTreeSet<&String>)> = reports
            .iter()
            .flat_map(|report| report.nodes.iter().map(|fact| (report.source, fact)))
            .filter(|(_, fact)| is_node(fact, &node.name, &node.addresses))
            .map(|(source, fact)| (source, fact.pod_cidrs.iter().collect::<BTreeSet<_>>()))
            .filter(|(_, ranges)| !ranges.is_empty())
            .collect();
        let Some((first, believed)) = ranges.first() else {
            continue;
        };
        let other = ranges.iter().find(|(source, ranges)| {
            // One of them may know one family of addresses only.
            source != first && ranges.is_disjoint(believed)
        });
        if let Some((source, ranges)) = other {
            said.push(Disagreement {
                node: node.name.clone(),
                about: node.name.to_string(),
                what: format!(
                    "{first} says its pods have {}, {source} says {}",
                    list(believed),
                    list(ranges)
                ),
            });
        }
    }
    said
}

/// Two names for one room, or an address that the room has not.
pub(super) fn of_rooms(cluster: &Cluster, rooms: &Rooms, inside: &Inside<'_>) -> Vec<Disagreement> {
    let mut said = Vec::new();
    for room in rooms.all() {
        let node = &cluster.nodes[room.node].name;
        let here = inside.get(&room.key).map_or(&[][..], Vec::as_slice);
        let believed = here.iter().find(|claim| claim.fact.name.is_some());
        for claim in here {
            let about = believed
                .and_then(|claim| claim.fact.label())
                .unwrap_or_else(|| room.interfaces.join(", "));
            if let Some(believed) = believed
                && differ(believed, claim)
            {
                let (first, other) = (believed.fact.label(), claim.fact.label());
                said.push(Disagreement {
                    node: node.clone(),
                    about: about.clone(),
                    what: format!(
                        "{} says {}, {} says {}",
                        believed.source,
                        first.unwrap_or_default(),
                        claim.source,
                        other.unwrap_or_default()
                    ),
                });
            }
            if elsewhere(room, claim) {
                said.push(Disagreement {
                    node: node.clone(),
                    about: about.clone(),
                    what: format!(
                        "{} says it has {}, the kernel has {} there",
                        claim.source,
                        list(&claim.fact.addresses),
                        list(&room.addresses)
                    ),
                });
            }
            if let Some((source, identity)) = identity(here)
                && let Some(other) = claim.fact.identity.filter(|other| known(*other))
                && other != identity
            {
                said.push(Disagreement {
                    node: node.clone(),
                    about: about.clone(),
                    what: format!(
                        "{source} says its identity is {identity}, {} says {other}",
                        claim.source
                    ),
                });
            }
            if let Some(mac) = &claim.fact.mac
                && !room.macs.is_empty()
                && !room.macs.contains(mac)
            {
                said.push(Disagreement {
                    node: node.clone(),
                    about,
                    what: format!(
                        "{} says its Ethernet address is {mac}, the kernel says {}",
                        claim.source,
                        room.macs.join(", ")
                    ),
                });
            }
        }
    }
    said
}

/// The identity that is believed, and who says so.
pub(super) fn identity(claims: &[Claim<'_>]) -> Option<(Source, u32)> {
    let mut said = claims
        .iter()
        .filter_map(|claim| Some((claim.source, claim.fact.identity?)));
    said.find(|(_, identity)| known(*identity))
}

/// 0 is Cilium's word for an identity that is not known.
pub(super) fn known(identity: u32) -> bool {
    identity != 0
}

fn differ(one: &Claim<'_>, other: &Claim<'_>) -> bool {
    let names = other.fact.name.is_some() && one.fact.name != other.fact.name;
    let both = one.fact.namespace.is_some() && other.fact.namespace.is_some();
    names || other.fact.name.is_some() && both && one.fact.namespace != other.fact.namespace
}

/// What a source has and the kernel has not.
pub(super) fn of_outsiders(cluster: &Cluster, outside: &[Claim<'_>]) -> Vec<Disagreement> {
    let mut said = Vec::new();
    if cluster.partial {
        return said;
    }
    for claim in outside {
        let (fact, node) = (claim.fact, &cluster.nodes[claim.node]);
        let own = fact.host_network || share(&fact.addresses, &node.addresses);
        // Where a far end is out of reach, an address that is not seen may well be there.
        let hidden = || {
            let mut doors = cluster.doors.iter().filter(|door| door.node == claim.node);
            doors.any(|door| door.problem.is_some())
        };
        let is_there = |name: &str| {
            let mut doors = cluster.doors.iter().filter(|door| door.node == claim.node);
            doors.any(|door| door.interface == name)
        };
        let what = match claim.source {
            Source::CiliumMaps => fact.ifindex.map(|ifindex| {
                format!(
                    "cilium's maps deliver {} to the interface with index {ifindex}, no pod's has it",
                    list(&fact.addresses)
                )
            }),
            Source::Cilium => fact.interface.as_ref().filter(|name| !is_there(name)).map(|interface| {
                let endpoint = fact.endpoint.map_or_else(String::new, |id| format!(" {id}"));
                format!(
                    "cilium has the endpoint{endpoint} at {interface}, the kernel has no such interface"
                )
            }),
            Source::Kubernetes if !own && !fact.addresses.is_empty() && !hidden() => Some(format!(
                "kubernetes has it running here with {}, no interface has that address",
                list(&fact.addresses)
            )),
            _ => None,
        };
        if let Some(what) = what {
            let about = fact.label().or_else(|| fact.interface.clone());
            said.push(Disagreement {
                node: node.name.clone(),
                about: about.unwrap_or_else(|| "an endpoint without a name".into()),
                what,
            });
        }
    }
    said
}

/// What the kernel has, and a source that should know it has not.
pub(super) fn of_silence(
    cluster: &Cluster,
    rooms: &Rooms,
    inside: &Inside<'_>,
    reports: &[&Report],
) -> Vec<Disagreement> {
    let mut said = Vec::new();
    for room in rooms.all().iter().filter(|room| !room.health) {
        let node = &cluster.nodes[room.node];
        let here = |source| {
            let claims = inside.get(&room.key);
            claims.is_some_and(|claims| claims.iter().any(|claim| claim.source == source))
        };
        let is_endpoint = room.doors.iter().any(|index| {
            let door = &cluster.doors[*index];
            door.side == Side::Node && door.role == Role::Pod
        });
        let answered = |source| {
            reports.iter().any(|report| {
                report.source == source
                    && report.node == Some(node.netns)
                    && matches!(report.status, Status::Ok { .. })
                    && !report.pods.is_empty()
            })
        };
        let silent = [
            (Source::Cilium, "cilium has"),
            (Source::CiliumMaps, "cilium's maps have"),
        ]
        .into_iter()
        .filter(|(source, _)| is_endpoint && answered(*source) && !here(*source));
        for (_, who) in silent {
            let name = room.doors.iter().find_map(|index| {
                let door = &cluster.doors[*index];
                door.pod.clone()
            });
            let interface = room.interfaces.join(", ");
            said.push(Disagreement {
                node: node.name.clone(),
                about: name.unwrap_or_else(|| interface.clone()),
                what: format!("the kernel has {interface}, {who} no endpoint for it"),
            });
        }
    }
    said
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}
