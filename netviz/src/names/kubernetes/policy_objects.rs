//! Policies, and what their selectors are about, as the API sends them: only the fields that are used.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/>
//! <https://docs.cilium.io/en/stable/security/policy/>

use std::{fmt, net::IpAddr};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::objects::resource;
use crate::names::policies::{Policy, rule::Rule, selector::Selector};

/// A kind of policies.
pub(super) trait PolicyObject:
    Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned
{
    /// Whom it selects.
    fn rules(self) -> Vec<Rule>;

    /// `None` without a name.
    fn policy(&self) -> Option<Policy> {
        let metadata = self.meta();
        Some(Policy {
            kind: Self::kind(&()).into_owned(),
            namespace: metadata.namespace.clone().map(Into::into),
            name: metadata.name.clone()?.into(),
        })
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct NetworkPolicy {
    metadata: ObjectMeta,
    spec: Option<NetworkPolicySpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NetworkPolicySpec {
    pod_selector: Option<Selector>,
    policy_types: Option<Vec<String>>,
    egress: Option<Vec<IgnoredAny>>,
}

impl PolicyObject for NetworkPolicy {
    fn rules(self) -> Vec<Rule> {
        let spec = self.spec.unwrap_or_default();
        let types = spec.policy_types.unwrap_or_default();
        let has = |name: &str| types.iter().any(|it| it == name);
        let has_egress = spec.egress.is_some_and(|egress| !egress.is_empty());
        let (ingress, egress) = match types.as_slice() {
            [] => (true, has_egress),
            _ => (has("Ingress"), has("Egress")),
        };
        let selector = spec.pod_selector.unwrap_or_default();
        vec![Rule::restricting(selector, ingress, egress)]
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CiliumNetworkPolicy {
    metadata: ObjectMeta,
    spec: Option<Rule>,
    specs: Option<Vec<Rule>>,
}

impl PolicyObject for CiliumNetworkPolicy {
    fn rules(self) -> Vec<Rule> {
        let several = self.specs.into_iter().flatten();
        self.spec.into_iter().chain(several).collect()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct CiliumClusterwideNetworkPolicy {
    metadata: ObjectMeta,
    spec: Option<Rule>,
    specs: Option<Vec<Rule>>,
}

impl PolicyObject for CiliumClusterwideNetworkPolicy {
    fn rules(self) -> Vec<Rule> {
        let several = self.specs.into_iter().flatten();
        self.spec.into_iter().chain(several).collect()
    }
}

/// A pod, for its labels.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PodObject {
    pub(super) metadata: ObjectMeta,
    spec: Option<PodSpec>,
    status: Option<PodStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    service_account_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodIp {
    ip: Option<String>,
}

impl PodObject {
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let status = self.status.as_ref();
        let listed = status.and_then(|status| status.pod_ips.as_ref());
        let listed = listed.into_iter().flatten().filter_map(|it| it.ip.as_ref());
        let first = status.and_then(|status| status.pod_ip.as_ref());
        listed.chain(first).filter_map(|ip| ip.parse().ok())
    }

    pub(super) fn service_account(&self) -> Option<&str> {
        self.spec.as_ref()?.service_account_name.as_deref()
    }
}

/// A namespace, for its labels.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NamespaceObject {
    pub(super) metadata: ObjectMeta,
}

resource!(
    NetworkPolicy,
    NamespaceResourceScope,
    "networking.k8s.io",
    "v1",
    "NetworkPolicy",
    "networkpolicies"
);
resource!(
    CiliumNetworkPolicy,
    NamespaceResourceScope,
    "cilium.io",
    "v2",
    "CiliumNetworkPolicy",
    "ciliumnetworkpolicies"
);
resource!(
    CiliumClusterwideNetworkPolicy,
    ClusterResourceScope,
    "cilium.io",
    "v2",
    "CiliumClusterwideNetworkPolicy",
    "ciliumclusterwidenetworkpolicies"
);
resource!(PodObject, NamespaceResourceScope, "", "v1", "Pod", "pods");
resource!(
    NamespaceObject,
    ClusterResourceScope,
    "",
    "v1",
    "Namespace",
    "namespaces"
);
