//! The answers of an agent: only the fields that are used.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;
use serde_json::Value;

use crate::model::{
    Datapath, HostRouting, Masquerading, Routing, Service, ServicePort, Source, Tunnel,
};
use crate::names::report::{NodeFact, PodFact};

/// Longer than any name in Kubernetes or Cilium; a label has a key and a value.
const TEXT: usize = 512;

/// The answers of one agent at one moment.
#[derive(Debug, Default)]
pub struct Answers {
    /// `/v1/endpoint`.
    pub endpoints: Vec<Endpoint>,
    /// `/v1/healthz`.
    pub health: Health,
    /// `/v1/config`.
    pub config: Config,
    /// `/v1/cluster/nodes`.
    pub nodes: Nodes,
    /// `/v1/service`; `None`: not requested, or no answer.
    pub services: Option<Vec<Served>>,
}

impl Answers {
    /// `agent 1.19.0`, or `agent`.
    #[must_use]
    pub fn agent(&self) -> String {
        match self.version() {
            Some(version) => format!("agent {version}"),
            None => "agent".into(),
        }
    }

    /// The endpoints: pods, and Cilium's own.
    #[must_use]
    pub fn pods(&self) -> Vec<PodFact> {
        self.endpoints.iter().map(Endpoint::fact).collect()
    }

    /// All nodes that the agent knows.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeFact> {
        self.nodes.nodes_added.iter().flatten().map(node).collect()
    }

    /// Services by name, without those that are reached only from outside.
    #[must_use]
    pub fn services(&self) -> Option<Vec<Service>> {
        let reported: Vec<_> = self
            .services
            .as_ref()?
            .iter()
            .filter_map(Served::fact)
            .collect();
        Some(Service::together(&reported))
    }

    /// How this node routes. The state that the agent reports comes before its configuration.
    #[must_use]
    pub fn datapath(&self) -> Datapath {
        let (health, config) = (&self.health, &self.config.status.daemon_configuration_map);
        let text = |key| config.get(key).and_then(Value::as_str).map(short);
        let flag = |key| config.get(key).and_then(Value::as_bool);
        let state = health.routing.as_ref();
        // Up to 1.15 one option, `Tunnel`, holds both.
        let old = text("Tunnel").filter(|tunnel| !tunnel.is_empty());
        let enabled = old.clone().filter(|tunnel| tunnel != "disabled");
        let old_routing = old.map(|_| match enabled {
            Some(_) => Routing::Tunnel,
            None => Routing::Native,
        });
        let routing = state
            .and_then(|state| word(&state.inter))
            .or_else(|| text("RoutingMode").map(Routing::from))
            .or(old_routing);
        let tunnel = state
            .and_then(|state| word(&state.tunnel_protocol))
            .or_else(|| text("TunnelProtocol").or(enabled).map(Tunnel::from));
        let host_routing = state
            .and_then(|state| word(&state.intra))
            .or_else(|| word(&health.host_routing.as_ref()?.mode))
            .or_else(|| {
                Some(match flag("EnableHostLegacyRouting")? {
                    true => HostRouting::Legacy,
                    false => HostRouting::Bpf,
                })
            });
        Datapath {
            version: self.version(),
            health: health.cilium.as_ref().and_then(|it| it.state.clone()),
            tunnel: tunnel.filter(|_| routing != Some(Routing::Native)),
            routing,
            host_routing,
            endpoint_routes: flag("EnableEndpointRoutes"),
            masquerading: health.masquerading.as_ref().map(Mode::masquerading),
            encryption: health.encryption.as_ref().and_then(|it| word(&it.mode)),
            kube_proxy_replacement: health
                .kube_proxy_replacement
                .as_ref()
                .and_then(|it| word(&it.mode)),
            attach: word(&health.attach_mode),
        }
    }

    /// `cilium.msg` reads `1.19.0 (v1.19.0-abcdef)`; a development build leaves both empty.
    fn version(&self) -> Option<String> {
        let message = self.health.cilium.as_ref()?.msg.as_ref()?;
        let version = message.split_whitespace().next()?;
        let is_version = version.starts_with(|c: char| c.is_ascii_digit());
        is_version.then(|| short(version))
    }
}

/// An element of `/v1/endpoint`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    id: Option<i64>,
    status: EndpointStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct EndpointStatus {
    external_identifiers: Option<Identifiers>,
    identity: Option<Identity>,
    networking: Option<Networking>,
    state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Identifiers {
    k8s_namespace: Option<String>,
    k8s_pod_name: Option<String>,
    /// `namespace/name`, in every version; `/` without a pod.
    pod_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Identity {
    id: Option<u32>,
    labels: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Networking {
    addressing: Option<Vec<Addressing>>,
    interface_index: Option<i64>,
    interface_name: Option<String>,
    mac: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Addressing {
    ipv4: Option<String>,
    ipv6: Option<String>,
}

impl Endpoint {
    pub(super) fn fact(&self) -> PodFact {
        let status = &self.status;
        let identity = status.identity.as_ref();
        let mut labels: Vec<String> = identity
            .and_then(|identity| identity.labels.as_ref())
            .into_iter()
            .flatten()
            .map(|label| short(label))
            .collect();
        labels.sort();
        let networking = status.networking.as_ref();
        let addresses = networking
            .and_then(|networking| networking.addressing.as_ref())
            .into_iter()
            .flatten()
            .flat_map(|pair| [&pair.ipv4, &pair.ipv6])
            .filter_map(|text| text.as_ref()?.parse().ok());
        let (namespace, name) = status
            .external_identifiers
            .as_ref()
            .map_or((None, None), Identifiers::names);
        PodFact {
            namespace,
            name,
            addresses: addresses.collect(),
            interface: networking
                .and_then(|networking| networking.interface_name.as_ref())
                .map(|name| short(name))
                .filter(|name| !name.is_empty()),
            ifindex: networking
                .and_then(|networking| u32::try_from(networking.interface_index?).ok())
                .filter(|index| *index > 0),
            mac: networking
                .and_then(|networking| networking.mac.as_ref())
                .map(|mac| short(mac).to_lowercase())
                .filter(|mac| !mac.is_empty()),
            // The node's own endpoint: its door is `cilium_host`.
            host_network: labels.iter().any(|label| label == "reserved:host"),
            endpoint: self.id.and_then(|id| u16::try_from(id).ok()),
            identity: identity.and_then(|identity| identity.id),
            labels,
            condition: status
                .state
                .as_ref()
                .filter(|state| *state != "ready")
                .map(|state| format!("cilium's endpoint is {}", short(state))),
            ..PodFact::default()
        }
    }
}

impl Identifiers {
    fn names(&self) -> (Option<String>, Option<String>) {
        let given = |text: &Option<String>| {
            let text = text.as_ref().filter(|text| !text.is_empty())?;
            Some(short(text))
        };
        let joined = self.pod_name.as_ref().and_then(|name| name.split_once('/'));
        let part = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(short);
        (
            given(&self.k8s_namespace).or_else(|| part(joined.map(|(namespace, _)| namespace))),
            given(&self.k8s_pod_name).or_else(|| part(joined.map(|(_, name)| name))),
        )
    }
}

/// An element of `/v1/service`: one frontend of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Served {
    spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ServiceSpec {
    backend_addresses: Option<Vec<ServiceAddress>>,
    flags: Option<ServiceFlags>,
    frontend_address: Option<ServiceAddress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceAddress {
    ip: Option<String>,
    port: Option<u16>,
    /// In capital letters, or `NONE` and `ANY` in older versions.
    protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceFlags {
    name: Option<String>,
    namespace: Option<String>,
    r#type: Option<String>,
}

impl Served {
    fn fact(&self) -> Option<Service> {
        let flags = self.spec.flags.as_ref()?;
        let name = flags.name.as_ref().filter(|name| !name.is_empty())?;
        if flags.r#type.as_deref() != Some("ClusterIP") {
            return None;
        }
        let frontend = self.spec.frontend_address.as_ref()?;
        let protocol = frontend.protocol.as_deref().unwrap_or_default();
        let backends = self.spec.backend_addresses.iter().flatten();
        let socket = |backend: &ServiceAddress| {
            let address = backend.ip.as_ref()?.parse().ok()?;
            Some(SocketAddr::new(address, backend.port?))
        };
        Some(Service {
            namespace: flags.namespace.as_deref().map(short),
            name: short(name),
            addresses: vec![frontend.ip.as_ref()?.parse().ok()?],
            ports: vec![ServicePort {
                number: frontend.port?,
                protocol: match protocol.to_ascii_uppercase().as_str() {
                    known @ ("TCP" | "UDP" | "SCTP") => known.into(),
                    _ => String::new(),
                },
            }],
            backends: backends.filter_map(socket).collect(),
            selector: Vec::new(),
            sources: vec![Source::Cilium],
        })
    }
}

/// `/v1/cluster/nodes`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Nodes {
    nodes_added: Option<Vec<ClusterNode>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct ClusterNode {
    /// `cluster/node`.
    name: Option<String>,
    primary_address: Option<BTreeMap<String, NodeAddress>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct NodeAddress {
    alloc_range: Option<String>,
    ip: Option<String>,
}

fn node(node: &ClusterNode) -> NodeFact {
    let name = node.name.as_deref().unwrap_or_default();
    let families = || node.primary_address.iter().flat_map(BTreeMap::values);
    let address = |family: &NodeAddress| family.ip.as_ref()?.parse::<IpAddr>().ok();
    let range = |family: &NodeAddress| family.alloc_range.as_ref()?.parse().ok();
    NodeFact {
        name: short(name.rsplit('/').next().unwrap_or(name)),
        addresses: families().filter_map(address).collect(),
        pod_cidrs: families().filter_map(range).collect(),
    }
}

/// `/v1/healthz`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Health {
    attach_mode: Option<String>,
    cilium: Option<State>,
    encryption: Option<Mode>,
    /// Up to 1.15.
    host_routing: Option<Mode>,
    kube_proxy_replacement: Option<Mode>,
    masquerading: Option<Mode>,
    /// From 1.16 on.
    routing: Option<RoutingState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    msg: Option<String>,
    state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mode {
    enabled: Option<bool>,
    mode: Option<String>,
}

impl Mode {
    fn masquerading(&self) -> Masquerading {
        match (self.enabled, &self.mode) {
            (Some(true), Some(mode)) => short(mode).into(),
            (Some(true), None) => Masquerading::Enabled,
            _ => Masquerading::Disabled,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RoutingState {
    #[serde(rename = "inter-host-routing-mode")]
    inter: Option<String>,
    #[serde(rename = "intra-host-routing-mode")]
    intra: Option<String>,
    #[serde(rename = "tunnel-protocol")]
    tunnel_protocol: Option<String>,
}

/// `/v1/config`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    status: ConfigStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigStatus {
    daemon_configuration_map: BTreeMap<String, Value>,
}

fn word<T: From<String>>(text: &Option<String>) -> Option<T> {
    text.as_deref().map(|text| short(text).into())
}

/// A text of a length that names can have.
pub(super) fn short(text: &str) -> String {
    text.chars().take(TEXT).collect()
}
