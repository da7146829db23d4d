//! Names of addresses that no interface here has.

use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    names::Pod,
    service::{Service, ServicePort},
    untrusted::Untrusted,
};

/// What the sources report about the rest of the cluster: pods and nodes elsewhere, and services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Directory {
    /// Pods on other nodes.
    pub pods: Vec<Pod>,
    /// Other nodes.
    pub nodes: Vec<OtherNode>,
    /// Services, and the pods behind them.
    pub services: Vec<ServiceEntry>,
}

/// A node that is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherNode {
    /// Its name.
    pub name: Untrusted,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A service by its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceEntry {
    /// Kubernetes namespace.
    pub namespace: Option<Untrusted>,
    /// Its name.
    pub name: Untrusted,
    /// Its addresses inside of the cluster.
    pub addresses: Vec<IpAddr>,
    /// Its port numbers.
    pub ports: Vec<u16>,
    /// Addresses and ports of its backends, as far as a source lists them.
    pub backends: Vec<SocketAddr>,
    /// Labels of its backends' pods, `key=value`, as far as a source lists them.
    pub selector: Vec<Untrusted>,
}

impl From<&Service> for ServiceEntry {
    fn from(service: &Service) -> Self {
        let port = |port: &ServicePort| port.number;
        Self {
            namespace: service.namespace.as_ref().map(Into::into),
            name: (&service.name).into(),
            addresses: service.addresses.clone(),
            ports: service.ports.iter().map(port).collect(),
            backends: service.backends.clone(),
            selector: service.selector.iter().map(Into::into).collect(),
        }
    }
}
