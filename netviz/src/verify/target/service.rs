//! A service as B: its name, its ports, and what a loss of its packets means.

use std::{io, net::IpAddr};

use anyhow::{Result, bail};

use crate::{
    model::{
        self, Cluster, Direction, KubeProxyReplacement, Pod, Role, Service, ServicePort, Untrusted,
    },
    sys::{cgroup::Cgroup, netns::NetNsId, processes},
    verify::{
        Doubt, Hooks, Place, Protocol, Route,
        expect::{
            doors,
            mode::{TO_NETDEV, runs},
        },
    },
};

/// The most backends to name.
const MOST_BACKENDS: usize = 3;

pub(crate) fn by_address(cluster: &Cluster, address: IpAddr) -> Option<&Service> {
    let mut services = cluster.services.iter().flatten();
    services.find(|service| service.addresses.contains(&address))
}

/// By `namespace/name`, or by an unambiguous name; `namespace` is that of a name without.
pub(super) fn by_name<'a>(
    cluster: &'a Cluster,
    name: &str,
    namespace: Option<&str>,
) -> Result<Option<&'a Service>> {
    let services = cluster.services.iter().flatten();
    let in_it =
        |service: &Service| namespace.is_none() || service.namespace.as_deref() == namespace;
    let fits =
        |service: &&Service| service.label() == name || service.name == name && in_it(service);
    let found: Vec<_> = services.filter(fits).collect();
    match found.as_slice() {
        [] => Ok(None),
        [service] => Ok(Some(service)),
        several => {
            let labels: Vec<_> = several.iter().map(|service| service.label()).collect();
            bail!(
                "{} services are named {name:?}: use namespace/name: {}",
                several.len(),
                labels.join(", ")
            )
        }
    }
}

/// The name of a service, with or without its namespace, like `name`.
pub(super) fn spelt(service: &Service, name: &str) -> String {
    match name.contains('/') {
        true => service.label(),
        false => service.name.clone(),
    }
}

/// The end of an error about an unknown service.
pub(super) fn near(cluster: &Cluster, name: &str) -> String {
    match &cluster.services {
        None => ": neither the Kubernetes API nor a Cilium agent reports services here; name its address".into(),
        Some(services) => {
            let names: Vec<_> = services.iter().map(|it| spelt(it, name)).collect();
            match model::nearest(name, names.iter().map(String::as_str)).as_slice() {
                [] => format!("; {} services are known", names.len()),
                best => format!("; near: {}", best.join(", ")),
            }
        }
    }
}

/// The port of a service to send to, and its protocol. A service answers at its ports only, and never to
/// an echo request.
pub(super) fn port(service: &Service, port: Option<u16>) -> Result<(u16, Option<Protocol>)> {
    let fits = |one: &&ServicePort| port.is_none_or(|port| one.number == port);
    let found: Vec<_> = service.ports.iter().filter(fits).collect();
    let (label, ports) = (service.label(), service.ports.iter());
    let listed = ports.map(|port| format!("{}/{}", port.number, port.protocol));
    let listed = listed.collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [] => bail!("{label} has no such port; it has {listed}"),
        [one, rest @ ..] if rest.iter().all(|other| other.number == one.number) => {
            let protocol = match one.protocol.as_str() {
                "UDP" => Some(Protocol::Udp),
                "TCP" | "" => Some(Protocol::Tcp),
                _ => None,
            };
            Ok((one.number, protocol))
        }
        _ => bail!("{label} has several ports: use {label}:PORT, one of {listed}"),
    }
}

/// Why a loss of these packets does not mean that other traffic to a service is lost: with kube-proxy
/// replacement, Cilium translates its address in the sockets of the node's processes. `no_cgroup`: why
/// netviz has no such socket.
pub(crate) fn doubt(
    cluster: &Cluster,
    route: &Route,
    hooks: &Hooks,
    no_cgroup: Option<&String>,
) -> Option<Doubt> {
    let to = &route.to;
    let address = to.address.filter(|_| to.place == Place::Elsewhere)?;
    let service = by_address(cluster, address);
    let may_be_one = service.is_some() || cluster.services.is_none() && is_private(address);
    let replaced = is_replaced(cluster, route.from.place.node()?, hooks);
    (may_be_one && replaced).then(|| Doubt::ServiceTranslated {
        service: service.map(Service::label),
        backends: service.map_or_else(Vec::new, |service| backends(cluster, service)),
        error: no_cgroup.cloned(),
    })
}

/// The cgroup of the processes in a network namespace, if programs at it may translate the address of
/// a service; `None` if there are no such programs.
///
/// # Errors
/// Why sockets of that cgroup cannot be made.
pub(crate) fn cgroup(netns: NetNsId, to: IpAddr) -> io::Result<Option<Cgroup>> {
    let process = processes::in_netns(netns)?;
    let process = process.ok_or_else(|| io::Error::other("no process of the sender is visible"))?;
    let cgroup = Cgroup::of_process(process)?;
    let has_programs = cgroup.has_connect_programs(to)?;
    Ok(has_programs.then_some(cgroup))
}

fn backends(cluster: &Cluster, service: &Service) -> Vec<String> {
    let mut backends: Vec<String> = service.backends.iter().map(ToString::to_string).collect();
    if backends.is_empty() {
        let pods = selected(cluster, service);
        backends.extend(pods.filter_map(|pod| Some(pod.addresses.first()?.to_string())));
    }
    backends.truncate(MOST_BACKENDS);
    backends
}

/// The pods that a service selects, by their labels.
pub(super) fn selected<'a>(
    cluster: &'a Cluster,
    service: &'a Service,
) -> impl Iterator<Item = &'a Pod> {
    cluster.pods.iter().filter(|pod| {
        let mut labels = service.selector.iter();
        !service.selector.is_empty()
            && pod.namespace.as_ref().map(Untrusted::raw) == service.namespace.as_deref()
            && labels.all(|label| pod.labels.iter().any(|own| own == label))
    })
}

/// Whether Cilium replaces kube-proxy on a node: from its agent, or else inferred from `cil_to_netdev` at
/// an uplink, which is there with the replacement or with BPF host routing only.
fn is_replaced(cluster: &Cluster, node: usize, hooks: &Hooks) -> bool {
    let node_datapath = cluster.nodes.get(node).and_then(|it| it.datapath.as_ref());
    match node_datapath.and_then(|it| it.kube_proxy_replacement.as_ref()) {
        Some(reported) => *reported != KubeProxyReplacement::Disabled,
        None => doors::devices(cluster, node, Role::Uplink).any(|door| {
            let chain = hooks.get(&(door.id, Direction::Egress));
            chain.is_some_and(|chain| runs(chain, TO_NETDEV))
        }),
    }
}

/// Addresses of services are private.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}
