//! A service for B: who it is, at which port, and what a loss on the way to it says.

use std::net::IpAddr;

use anyhow::{Result, bail};

use super::Target;
use crate::{
    model::{
        Cluster, Direction, KubeProxyReplacement, Role, Service, ServicePort, Side, Untrusted,
    },
    verify::{
        Hooks,
        collect::probe::Protocol,
        route::{Party, Place, Route},
    },
    views::filter,
};

/// Backends that are named, at the most.
const MOST_BACKENDS: usize = 3;

pub(crate) fn by_address(cluster: &Cluster, address: IpAddr) -> Option<&Service> {
    let mut services = cluster.services.iter().flatten();
    services.find(|service| service.addresses.contains(&address))
}

/// By `namespace/name`, or by its name where that is unambiguous.
pub(crate) fn by_name<'a>(cluster: &'a Cluster, name: &str) -> Result<Option<&'a Service>> {
    let services = cluster.services.iter().flatten();
    let fits = |service: &&Service| service.label() == name || service.name == name;
    let found: Vec<_> = services.filter(fits).collect();
    match found.as_slice() {
        [] => Ok(None),
        [service] => Ok(Some(service)),
        several => {
            let labels: Vec<_> = several.iter().map(|service| service.label()).collect();
            bail!(
                "{name:?} is the name of {} services: say namespace/name: {}",
                several.len(),
                labels.join(", ")
            )
        }
    }
}

/// What to say to somebody who named a service that is not there.
pub(crate) fn near(cluster: &Cluster, name: &str) -> String {
    match &cluster.services {
        None => ": neither the Kubernetes API nor a Cilium agent tells of services here; name its address".into(),
        Some(services) => {
            // As it was written: with a namespace, or without one.
            let spelt = |service: &Service| match name.contains('/') {
                true => service.label(),
                false => service.name.clone(),
            };
            let names: Vec<_> = services.iter().map(spelt).collect();
            match filter::nearest(name, &names).as_slice() {
                [] => format!("; {} others are known", names.len()),
                best => format!("; near: {}", best.join(", ")),
            }
        }
    }
}

/// A service answers at its ports alone, and not to an echo request.
pub(crate) fn target(service: Option<&Service>, party: Party, port: Option<u16>) -> Result<Target> {
    let Some(service) = service.filter(|service| !service.ports.is_empty()) else {
        return Ok(Target {
            party,
            port,
            protocol: None,
        });
    };
    let fits = |one: &&ServicePort| port.is_none_or(|port| one.number == port);
    let found: Vec<_> = service.ports.iter().filter(fits).collect();
    let listed = || {
        let ports = service.ports.iter();
        let ports = ports.map(|port| format!("{}/{}", port.number, port.protocol));
        ports.collect::<Vec<_>>().join(", ")
    };
    match found.as_slice() {
        [] => bail!("{} has no such port: it has {}", service.label(), listed()),
        [one, rest @ ..] if rest.iter().all(|other| other.number == one.number) => Ok(Target {
            party,
            port: Some(one.number),
            protocol: protocol(&one.protocol),
        }),
        _ => bail!(
            "{} has several ports: say {}:PORT, one of {}",
            service.label(),
            service.label(),
            listed()
        ),
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "UDP" => Some(Protocol::Udp),
        "TCP" | "" => Some(Protocol::Tcp),
        _ => None,
    }
}

/// Why packets that were lost on their way to a service do not say that others' are: with the
/// replacement of kube-proxy, Cilium translates its address in the sockets of a node's processes.
pub(crate) fn doubts(cluster: &Cluster, route: &Route, hooks: &Hooks) -> Option<String> {
    let address = route
        .to
        .address
        .filter(|_| route.to.place == Place::Elsewhere)?;
    let (Place::Pod { node, .. } | Place::Node { node, .. }) = route.from.place else {
        return None;
    };
    if !is_replaced(cluster, node, hooks) {
        return None;
    }
    let translated = "Cilium translates in the sockets of its nodes' processes, so that there never is a packet to it; netviz's own packets are raw, and not translated";
    match by_address(cluster, address) {
        Some(service) => Some(format!(
            "{} is a service, whose address {translated}: {}",
            service.label(),
            instead(cluster, service)
        )),
        None if cluster.services.is_none() && is_private(address) => Some(format!(
            "if {address} is a service's, it is one that {translated}: verify one of its backends"
        )),
        None => None,
    }
}

fn instead(cluster: &Cluster, service: &Service) -> String {
    let mut backends: Vec<String> = service.backends.iter().map(ToString::to_string).collect();
    if backends.is_empty() && !service.selector.is_empty() {
        let pods = cluster.pods.iter().filter(|pod| {
            let mut labels = service.selector.iter();
            pod.namespace.as_ref().map(Untrusted::raw) == service.namespace.as_deref()
                && labels.all(|label| pod.labels.iter().any(|own| own == label))
        });
        backends.extend(pods.filter_map(|pod| pod.addresses.first().cloned()));
    }
    backends.truncate(MOST_BACKENDS);
    if backends.is_empty() {
        return "verify one of its backends".into();
    }
    format!("verify a backend, {}", backends.join(" or "))
}

/// Whether Cilium replaces kube-proxy on a node: as its agent says, or as `cil_to_netdev` at an uplink
/// lets one think, which stands there with the replacement and with BPF host routing alone.
fn is_replaced(cluster: &Cluster, node: usize, hooks: &Hooks) -> bool {
    let said = cluster
        .nodes
        .get(node)
        .and_then(|node| node.datapath.as_ref());
    if let Some(said) = said.and_then(|said| said.kube_proxy_replacement.as_ref()) {
        return *said != KubeProxyReplacement::Disabled;
    }
    let mut uplinks = cluster
        .doors
        .iter()
        .filter(|door| door.node == node && door.side == Side::Node && door.role == Role::Uplink);
    uplinks.any(|door| {
        let chain = hooks.get(&(door.id, Direction::Egress));
        chain.is_some_and(|chain| chain.iter().any(|name| name.starts_with("cil_to_netdev")))
    })
}

/// Addresses of services are.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}
