//! Resolves an end on the command line: a pod, a node, a service or an address.

pub(crate) mod service;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Result, bail, ensure};
use ipnet::IpNet;

use super::{
    Party, Place, Protocol,
    expect::doors::{self, node_name, pod_name},
};
use crate::{
    model::{Cluster, Door, Role, Service, Side, is_link_local, near},
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
        ensure!(
            is_elsewhere(address),
            "{address} is never another pod or node: name one, or its address"
        );
        let service = service::by_address(cluster, address);
        return Target::new(by_address(cluster, address), port, service);
    }
    if let Some(name) = name.strip_prefix("node/") {
        return Target::new(by_node(cluster, name, family)?, port, None);
    }
    let service = name.strip_prefix("svc/").or(name.strip_prefix("service/"));
    let pods = match service {
        Some(_) => Vec::new(),
        None => pods_called(cluster, name),
    };
    let name = service.unwrap_or(name);
    if pods.is_empty()
        && let Some(service) = service::by_name(cluster, name)?
    {
        let party = Party {
            name: service.label(),
            address: choose(&service.addresses, family),
            place: Place::Elsewhere,
        };
        return Target::new(party, port, Some(service));
    }
    if service.is_some() {
        bail!("no service {name:?}{}", service::near(cluster, name));
    }
    Target::new(by_pod(cluster, &pods, name, family)?, port, None)
}

/// Whether packets to an address can leave the sender and reach one receiver.
fn is_elsewhere(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast)
}

impl Target {
    fn new(party: Party, port: Option<u16>, service: Option<&Service>) -> Result<Self> {
        let (port, protocol) = match service {
            Some(service) if !service.ports.is_empty() => {
                let (port, protocol) = service::port(service, port)?;
                (Some(port), protocol)
            }
            _ => (port, None),
        };
        Ok(Self {
            party,
            port,
            protocol,
        })
    }
}

/// `name:80`, `10.0.0.1:80`, `[fd00::1]:80`; an IPv6 address without brackets has no port.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if text.parse::<IpAddr>().is_ok() {
        return (text, None);
    }
    let split = text.rsplit_once(':');
    let split = split.and_then(|(name, port)| Some((name, Some(port.parse().ok()?))));
    split.unwrap_or((text, None))
}

/// The owner of this address: a pod, a node, or neither.
pub(crate) fn by_address(cluster: &Cluster, address: IpAddr) -> Party {
    // The peer of an uplink belongs to the machine, which is not part of the cluster.
    let mut doors = cluster.doors.iter().filter(|door| door.side != Side::Host);
    let owner = doors.find(|door| door.has(address));
    let name = owner.map(|door| match door.side {
        Side::Pod => pod_name(door).unwrap_or_else(|| door.label()),
        _ => format!("node/{}", node_name(cluster, door.node)),
    });
    Party {
        name: name.unwrap_or_else(|| address.to_string()),
        address: Some(address),
        place: owner.map_or(Place::Elsewhere, place),
    }
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

fn by_node(cluster: &Cluster, name: &str, family: Option<Family>) -> Result<Party> {
    let nodes = &cluster.nodes;
    let Some(node) = nodes.iter().position(|node| node.name == name) else {
        let names = nodes.iter().map(|node| node.name.raw().to_owned());
        bail!("no node {name:?}{}", near(name, &names.collect::<Vec<_>>()));
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
        [] if cluster.nodes.iter().any(|node| node.name == name) => {
            bail!("no pod {name:?}; a node has that name: node/{name}")
        }
        [] => {
            let pods = pods(cluster).into_values().filter_map(pod_name);
            let services = cluster.services.iter().flatten().map(Service::label);
            let names: Vec<_> = pods.chain(services).collect();
            // It may be a service, if those are unknown here.
            let unknown = match &cluster.services {
                Some(_) => "",
                None => ", and no source here reports services",
            };
            bail!("no pod {name:?}{unknown}{}", near(name, &names))
        }
        several => {
            let names = several.iter().filter_map(|door| {
                let address = choose(&global(door), family);
                let address = address.map_or_else(String::new, |it| it.to_string());
                Some(format!("{} ({address})", pod_name(door)?))
            });
            bail!(
                "{} pods are named {name:?}: use namespace/name or an address: {}",
                several.len(),
                names.collect::<Vec<_>>().join(", ")
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
    addresses.filter(|it| !is_link_local(*it)).collect()
}

/// The first of the requested family; IPv4 before IPv6 without a request.
fn choose(addresses: &[IpAddr], family: Option<Family>) -> Option<IpAddr> {
    let addresses = addresses.iter().copied();
    let fitting = addresses.filter(|it| family.is_none_or(|family| Family::of(*it) == family));
    fitting.min_by_key(IpAddr::is_ipv6)
}
