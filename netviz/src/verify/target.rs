//! Resolves an end on the command line: a pod, a node, a service or an address.

pub(crate) mod service;

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Result, bail};

use ipnet::IpNet;

use super::{
    expect::doors,
    protocol::Protocol,
    route::{Party, Place},
};
use crate::{
    model::{Cluster, Door, Role, Service, Side, is_link_local, near, qualified},
    sys::netns::NetNsId,
};

/// An end, with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) party: Party,
    /// The port given, or the only port of a service.
    pub(crate) port: Option<u16>,
    /// The protocol of the service at this port.
    pub(crate) protocol: Option<Protocol>,
}

/// IPv4 or IPv6, for names that have both.
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

/// Resolves `text`: `namespace/pod`, an unambiguous pod name, `node/NAME`, `svc/NAME` (`svc/` is optional
/// if no pod has the name) or an address, each with an optional `:port` that overrides `port`.
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
        bail!("no service {name:?}{}", service::near(cluster, name));
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

/// The owner of this address: a pod, a node, or neither.
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
    // The peer of an uplink belongs to the machine, which is not part of the cluster.
    door.side != Side::Host && door.has(address)
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

fn pod_name(door: &Door) -> Option<String> {
    Some(qualified(door.namespace.as_deref(), door.pod.as_deref()?))
}

fn by_node(cluster: &Cluster, name: &str, family: Option<Family>) -> Result<Party> {
    let nodes = &cluster.nodes;
    let Some(node) = nodes.iter().position(|node| node.name == name) else {
        let names: Vec<_> = nodes
            .iter()
            .map(|node| node.name.raw().to_owned())
            .collect();
        bail!("no node {name:?}{}", near(name, &names));
    };
    let uplinks = doors::devices(cluster, node, Role::Uplink);
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

/// One door of each pod, by network namespace.
fn pods(cluster: &Cluster) -> BTreeMap<NetNsId, &Door> {
    let doors = cluster.doors.iter().rev();
    doors
        .filter(|door| door.side == Side::Pod && matches!(door.role, Role::Pod | Role::Health))
        .filter_map(|door| Some((door.id.netns.known()?, door)))
        .collect()
}

/// One door of each pod with this name.
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
            if cluster.nodes.iter().any(|node| node.name == name) {
                bail!("no pod {name:?}; a node has that name: node/{name}");
            }
            // It may be a service, if those are unknown here.
            let unknown = match &cluster.services {
                Some(_) => "",
                None => ", and no source here reports services",
            };
            bail!("no pod {name:?}{unknown}{}", near(name, &names))
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
                "{} pods are named {name:?}: use namespace/name or an address: {}",
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

/// Addresses without link-local ones.
fn global(door: &Door) -> Vec<IpAddr> {
    let addresses = door.addresses.iter().map(IpNet::addr);
    addresses
        .filter(|address| !is_link_local(*address))
        .collect()
}

/// The first of the requested family; IPv4 before IPv6 without a request.
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
