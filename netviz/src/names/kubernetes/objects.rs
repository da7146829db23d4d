//! Nodes, pods and services as the API sends them: only the fields that are used.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::Deserialize;

use ipnet::IpNet;

use crate::{
    model::{Owner, Service, ServicePort, Source},
    names::report::{NodeFact, PodFact},
};

/// A pod.
#[derive(Clone, Debug, Deserialize)]
pub struct PodSeen {
    metadata: ObjectMeta,
    spec: Option<PodSpec>,
    status: Option<PodStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    host_network: Option<bool>,
    containers: Option<Vec<Named>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Clone, Debug, Deserialize)]
struct PodIp {
    ip: Option<String>,
}

/// A node.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeSeen {
    metadata: ObjectMeta,
    spec: Option<NodeSpec>,
    status: Option<NodeStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct NodeStatus {
    addresses: Option<Vec<NodeAddress>>,
}

#[derive(Clone, Debug, Deserialize)]
struct NodeAddress {
    r#type: Option<String>,
    address: Option<String>,
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceSeen {
    metadata: ObjectMeta,
    spec: Option<ServiceSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    ports: Option<Vec<Port>>,
    selector: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Port {
    port: Option<u16>,
    protocol: Option<String>,
}

/// A kind of object that is listed and watched, and the part of it that is kept.
pub trait Object: Resource<DynamicType = ()> {
    /// What identifies an object.
    type Key: Ord + Clone;
    /// The part that is kept.
    type Fact: Clone + PartialEq;

    /// `None` without a name.
    fn key(&self) -> Option<Self::Key>;
    /// `None` if the object is of no interest (any more).
    fn fact(self) -> Option<Self::Fact>;
    /// Its approximate size in bytes.
    fn size(fact: &Self::Fact) -> usize;
}

impl Object for PodSeen {
    type Key = (String, String);
    type Fact = PodFact;

    fn key(&self) -> Option<Self::Key> {
        Some((
            self.metadata.namespace.clone()?,
            self.metadata.name.clone()?,
        ))
    }

    fn fact(self) -> Option<PodFact> {
        let (metadata, spec) = (self.metadata, self.spec.unwrap_or_default());
        let status = self.status.unwrap_or_default();
        // Its address may belong to another pod already.
        if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let listed = status.pod_ips.unwrap_or_default();
        let mut addresses: Vec<IpAddr> = listed
            .into_iter()
            .filter_map(|pod_ip| pod_ip.ip)
            .chain(status.pod_ip)
            .filter_map(|ip| ip.parse().ok())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let labels = metadata.labels.unwrap_or_default().into_iter();
        let mut owners = metadata.owner_references.unwrap_or_default().into_iter();
        let containers = spec.containers.unwrap_or_default().into_iter();
        Some(PodFact {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            containers: containers.map(|container| container.name).collect(),
            host_network: spec.host_network.unwrap_or_default(),
            addresses,
            node_name: spec.node_name,
            labels: labels
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            owner: owners
                .find(|owner| owner.controller == Some(true))
                .map(|owner| Owner {
                    kind: owner.kind.into(),
                    name: owner.name.into(),
                }),
            condition: metadata.deletion_timestamp.map(|_| "terminating".into()),
            ..PodFact::default()
        })
    }

    fn size(fact: &PodFact) -> usize {
        let one = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let single: usize = [&fact.namespace, &fact.name, &fact.uid, &fact.node_name]
            .map(one)
            .iter()
            .sum();
        let many = fact.containers.iter().chain(&fact.labels);
        let many: usize = many.map(|text| text.len() + size_of::<String>()).sum();
        let owner = fact.owner.as_ref();
        let owner = owner.map_or(0, |it| it.kind.raw().len() + it.name.raw().len());
        // The key repeats namespace and name.
        size_of::<PodFact>()
            + 2 * single
            + many
            + owner
            + fact.addresses.len() * size_of::<IpAddr>()
    }
}

impl Object for NodeSeen {
    type Key = String;
    type Fact = NodeFact;

    fn key(&self) -> Option<String> {
        self.metadata.name.clone()
    }

    fn fact(self) -> Option<NodeFact> {
        let spec = self.spec.unwrap_or_default();
        let addresses = self.status.unwrap_or_default().addresses;
        let addresses = addresses.unwrap_or_default().into_iter();
        let internal = addresses.filter(|address| address.r#type.as_deref() == Some("InternalIP"));
        let ranges = match spec.pod_cidrs {
            Some(ranges) if !ranges.is_empty() => ranges,
            _ => spec.pod_cidr.into_iter().collect(),
        };
        Some(NodeFact {
            name: self.metadata.name?,
            addresses: internal
                .filter_map(|address| address.address?.parse().ok())
                .collect(),
            pod_cidrs: ranges.iter().filter_map(|it| it.parse().ok()).collect(),
        })
    }

    fn size(fact: &NodeFact) -> usize {
        let ranges = fact.pod_cidrs.len() * size_of::<IpNet>();
        size_of::<NodeFact>() + 2 * fact.name.len() + ranges + fact.addresses.len() * 17
    }
}

impl Object for ServiceSeen {
    type Key = (String, String);
    type Fact = Service;

    fn key(&self) -> Option<Self::Key> {
        Some((
            self.metadata.namespace.clone()?,
            self.metadata.name.clone()?,
        ))
    }

    fn fact(self) -> Option<Service> {
        let spec = self.spec.unwrap_or_default();
        let listed = spec.cluster_ips.unwrap_or_default();
        // A headless service has the address `None`, and nothing can be sent to it.
        let mut addresses: Vec<IpAddr> = listed
            .into_iter()
            .chain(spec.cluster_ip)
            .filter_map(|ip| ip.parse().ok())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return None;
        }
        let ports = spec.ports.unwrap_or_default().into_iter();
        let selector = spec.selector.unwrap_or_default().into_iter();
        Some(Service {
            namespace: self.metadata.namespace,
            name: self.metadata.name?,
            addresses,
            ports: ports
                .filter_map(|port| {
                    Some(ServicePort {
                        number: port.port?,
                        protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
                    })
                })
                .collect(),
            backends: Vec::new(),
            selector: selector
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            sources: vec![Source::Kubernetes],
        })
    }

    fn size(fact: &Service) -> usize {
        let namespace = fact.namespace.as_ref().map_or(0, String::len);
        let protocols = fact.ports.iter().map(|port| &port.protocol);
        let texts: usize = protocols
            .chain(&fact.selector)
            .map(|text| text.len() + size_of::<String>())
            .sum();
        size_of::<Service>()
            + 2 * (namespace + fact.name.len())
            + texts
            + fact.addresses.len() * size_of::<IpAddr>()
    }
}

/// Where the API has objects of a type: scope, API version, kind and plural.
macro_rules! resource {
    ($type:ty, $scope:ty, $group:literal, $version:literal, $kind:literal, $plural:literal) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

pub(super) use resource;

resource!(PodSeen, NamespaceResourceScope, "", "v1", "Pod", "pods");
resource!(NodeSeen, ClusterResourceScope, "", "v1", "Node", "nodes");
resource!(
    ServiceSeen,
    NamespaceResourceScope,
    "",
    "v1",
    "Service",
    "services"
);
