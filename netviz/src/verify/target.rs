//! From what a person wrote to who is meant: a pod, a node, an address.

pub(crate) mod service;

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Result, bail};

use super::{
    collect::probe::Protocol,
    route::{Party, Place},
};
use crate::{
    model::{Cluster, Door, Role, Service, Side, is_link_local, plain, qualified},
    sys::netns::NetNsId,
    views::filter::near,
};

/// Who was named, and the port that was named with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) party: Party,
    /// That of a service, where it has one alone and none was named.
    pub(crate) port: Option<u16>,
    /// What a service takes there.
    pub(crate) protocol: Option<Protocol>,
}

/// IPv4 or IPv6, where a name leaves that open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Finds who is meant by `text`: `namespace/pod`, a pod's name where it is unambiguous, `node/NAME`,
/// `svc/NAME` (a service; without `svc/` where no pod has the name) or an address, each with `:port`
/// behind it if wanted, in the place of `port`.
pub(crate) fn find(
    cluster: &Cluster,
    text: &str,
    family: Option<Family>,
    port: Option<u16>,
) -> Result<Target> {
    let (name, named) = split_port(text);
    let port = named.or(port);
    if let Ok(address) = name.trim_matches(['[', ']']).parse() {
        let party = by_address(cluster, address);
        let service = service::by_address(cluster, address);
        return service::target(service, party, port);
    }
    if let Some(name) = name.strip_prefix("node/") {
        return Ok(Target::of(by_node(cluster, name, family)?, port));
    }
    let named = name.strip_prefix("svc/").or(name.strip_prefix("service/"));
    let (found, name) = match named {
        Some(name) => (Vec::new(), name),
        None => (pods_called(cluster, name), name),
    };
    if found.is_empty()
        && let Some(service) = service::by_name(cluster, name)?
    {
        let address = choose(&service.addresses, family);
        let party = Party {
            name: service.label(),
            address,
            place: Place::Elsewhere,
        };
        return service::target(Some(service), party, port);
    }
    if named.is_some() {
        bail!(
            "there is no service {name:?}{}",
            service::near(cluster, name)
        );
    }
    Ok(Target::of(by_pod(cluster, &found, name, family)?, port))
}

impl Target {
    const fn of(party: Party, port: Option<u16>) -> Self {
        Self {
            party,
            port,
            protocol: None,
        }
    }
}

/// `name:80`, `10.0.0.1:80`, `[fd00::1]:80`; an IPv6 address without brackets has no port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if text.parse::<IpAddr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (text, None),
        },
        None => (text, None),
    }
}

/// Whoever has this address: a pod, a node, nobody here.
pub(crate) fn by_address(cluster: &Cluster, address: IpAddr) -> Party {
    let owner = cluster.doors.iter().find(|door| has(door, address));
    match owner {
        Some(door) => Party {
            name: owner_name(cluster, door),
            address: Some(address),
            place: place(door),
        },
        None => Party {
            name: address.to_string(),
            address: Some(address),
            place: Place::Elsewhere,
        },
    }
}

fn has(door: &Door, address: IpAddr) -> bool {
    // The far end of an uplink belongs to the machine, whose addresses say nothing of the cluster.
    door.side != Side::Host
        && door
            .addresses
            .iter()
            .any(|text| plain(text) == Some(address))
}

fn place(door: &Door) -> Place {
    match (door.side, door.id.netns.known()) {
        (Side::Pod, Some(netns)) => Place::Pod {
            node: door.node,
            netns,
        },
        (Side::Node, _) => Place::Node {
            node: door.node,
            router: door.role == Role::CiliumHost,
        },
        _ => Place::Elsewhere,
    }
}

fn owner_name(cluster: &Cluster, door: &Door) -> String {
    let node = || cluster.nodes.get(door.node).map(|node| node.name.raw());
    match door.side {
        Side::Pod => pod_name(door).unwrap_or_else(|| door.label()),
        _ => format!("node/{}", node().unwrap_or_default()),
    }
}

pub(crate) fn pod_name(door: &Door) -> Option<String> {
    Some(qualified(door.namespace.as_deref(), door.pod.as_deref()?))
}

fn by_node(cluster: &Cluster, name: &str, family: Option<Family>) -> Result<Party> {
    let nodes = &cluster.nodes;
    let Some(node) = nodes.iter().position(|node| node.name == name) else {
        let names: Vec<_> = nodes
            .iter()
            .map(|node| node.name.raw().to_owned())
            .collect();
        bail!("there is no node {name:?}{}", near(name, &names));
    };
    let uplinks = cluster
        .doors
        .iter()
        .filter(|door| door.node == node && door.side == Side::Node && door.role == Role::Uplink);
    let addresses: Vec<_> = uplinks.flat_map(global).collect();
    Ok(Party {
        name: format!("node/{name}"),
        address: choose(&addresses, family),
        place: Place::Node {
            node,
            router: false,
        },
    })
}

/// Pods by their namespace: one door each is enough.
pub(crate) fn pods(cluster: &Cluster) -> BTreeMap<NetNsId, &Door> {
    let doors = cluster.doors.iter().rev();
    doors
        .filter(|door| door.side == Side::Pod && matches!(door.role, Role::Pod | Role::Health))
        .filter_map(|door| Some((door.id.netns.known()?, door)))
        .collect()
}

/// Doors of the pods that have this name, one of each.
fn pods_called<'a>(cluster: &'a Cluster, name: &str) -> Vec<&'a Door> {
    let fits =
        |door: &&Door| door.pod.as_deref() == Some(name) || pod_name(door).as_deref() == Some(name);
    pods(cluster).into_values().filter(fits).collect()
}

fn by_pod(cluster: &Cluster, found: &[&Door], name: &str, family: Option<Family>) -> Result<Party> {
    match found {
        [door] => Ok(pod_party(door, family)),
        [] => {
            let pods = pods(cluster);
            let services = cluster.services.iter().flatten().map(Service::label);
            let names: Vec<_> = pods
                .values()
                .filter_map(|door| pod_name(door))
                .chain(services)
                .collect();
            // It may be one that cannot be known here.
            let unknown = match &cluster.services {
                Some(_) => "",
                None => ", and no source here tells of services",
            };
            bail!("there is no pod {name:?}{unknown}{}", near(name, &names))
        }
        several => {
            let names: Vec<_> = several
                .iter()
                .filter_map(|door| {
                    let address = choose(&global(door), family);
                    let address = address.map(|address| address.to_string());
                    Some(format!(
                        "{} ({})",
                        pod_name(door)?,
                        address.unwrap_or_default()
                    ))
                })
                .collect();
            bail!(
                "{name:?} is the name of {} pods: say namespace/name or an address: {}",
                several.len(),
                names.join(", ")
            )
        }
    }
}

pub(crate) fn pod_party(door: &Door, family: Option<Family>) -> Party {
    let address = choose(&global(door), family);
    Party {
        name: pod_name(door)
            .or_else(|| address.map(|address| address.to_string()))
            .unwrap_or_else(|| door.label()),
        address,
        place: place(door),
    }
}

/// Addresses that others can send to.
fn global(door: &Door) -> Vec<IpAddr> {
    let addresses = door.addresses.iter().filter_map(|text| plain(text));
    addresses
        .filter(|address| !is_link_local(*address))
        .collect()
}

/// The first of the family that is asked for; IPv4 before IPv6 where nothing is.
fn choose(addresses: &[IpAddr], family: Option<Family>) -> Option<IpAddr> {
    let of = |family| {
        let mut addresses = addresses.iter();
        addresses
            .find(|address| Family::of(**address) == family)
            .copied()
    };
    match family {
        Some(family) => of(family),
        None => of(Family::V4).or_else(|| of(Family::V6)),
    }
}
