//! The policies that select an endpoint, as its agent has them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::time::timeout;

use super::{
    LIMIT,
    answers::{Endpoint, short},
    find, get, json,
};
use crate::{names::policies::Policy, sys::rooted_fs::Root};

/// The policies on the node with these roots that select the endpoint with this address; none if the
/// agent does not answer.
pub(crate) async fn of_endpoint(roots: &[PathBuf], address: IpAddr) -> Vec<Policy> {
    let Some(socket) = Root::open(roots).ok().and_then(|root| find(&root).ok()) else {
        return Vec::new();
    };
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    match timeout(LIMIT, ask(Path::new(&path), address)).await {
        Ok(Ok(policies)) => policies,
        Ok(Err(why)) => {
            log::info!("cilium: no policies: {why}");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

async fn ask(socket: &Path, address: IpAddr) -> Result<Vec<Policy>, String> {
    let (endpoints, tree) = tokio::join!(get(socket, "/v1/endpoint"), get(socket, "/v1/policy"));
    let endpoints: Vec<Endpoint> = json("/v1/endpoint", &endpoints?)?;
    let tree: Tree = json("/v1/policy", &tree?)?;
    selecting(&endpoints, &tree, address)
}

/// The policies of a tree that select the endpoint with this address.
fn selecting(endpoints: &[Endpoint], tree: &Tree, address: IpAddr) -> Result<Vec<Policy>, String> {
    let rules: Vec<Rule> = json("/v1/policy", tree.policy.as_bytes())?;
    let mut facts = endpoints.iter().map(Endpoint::fact);
    let Some(endpoint) = facts.find(|fact| fact.addresses.contains(&address)) else {
        return Ok(Vec::new());
    };
    let labels = endpoint.labels.iter();
    let labels: BTreeMap<&str, &str> = labels
        .map(|label| label.split_once('=').unwrap_or((label, "")))
        .collect();
    let selecting = rules.iter().filter(|rule| rule.selects(&labels));
    let mut policies: Vec<_> = selecting.filter_map(Rule::policy).collect();
    policies.sort();
    policies.dedup();
    Ok(policies)
}

/// `/v1/policy`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tree {
    /// The rules as JSON.
    policy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    endpoint_selector: Option<Selector>,
    labels: Option<Vec<Label>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Label {
    key: String,
    value: Option<String>,
}

impl Rule {
    /// A rule without a selector is about nodes.
    fn selects(&self, labels: &BTreeMap<&str, &str>) -> bool {
        let Some(selector) = &self.endpoint_selector else {
            return false;
        };
        let mut equal = selector.match_labels.iter().flatten();
        let mut expressions = selector.match_expressions.iter().flatten();
        equal.all(|(key, value)| value_of(labels, key) == Some(value))
            && expressions.all(|it| it.fits(value_of(labels, &it.key)))
    }

    /// The object that the rule is from, by the labels that Cilium adds.
    fn policy(&self) -> Option<Policy> {
        let label = |name: &str| {
            let key = format!("io.cilium.k8s.policy.{name}");
            let mut labels = self.labels.iter().flatten();
            let label = labels.find(|label| label.key == key)?;
            label
                .value
                .as_deref()
                .filter(|value| !value.is_empty())
                .map(short)
        };
        Some(Policy {
            kind: label("derived-from")?,
            namespace: label("namespace").map(Into::into),
            name: label("name")?.into(),
        })
    }
}

impl Expression {
    fn fits(&self, value: Option<&str>) -> bool {
        let listed = || {
            let mut values = self.values.iter().flatten();
            value.is_some_and(|value| values.any(|it| it == value))
        };
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// A selector's key names the source of the label (`k8s:app`), or any source (`any:app`, `app`).
fn value_of<'a>(labels: &BTreeMap<&str, &'a str>, key: &str) -> Option<&'a str> {
    let name = key
        .strip_prefix("any:")
        .or((!key.contains(':')).then_some(key));
    match name {
        None => labels.get(key).copied(),
        Some(name) => labels.iter().find_map(|(label, value)| {
            let (_, own) = label.split_once(':').unwrap_or(("", label));
            (own == name).then_some(*value)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(selector: &str) -> Vec<String> {
        let endpoint = r#"[{"id": 7, "status": {
            "identity": {"labels": ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=default"]},
            "networking": {"addressing": [{"ipv4": "10.0.0.7"}]}}}]"#;
        let endpoints: Vec<Endpoint> = serde_json::from_str(endpoint).unwrap();
        let label = |key: &str, value: &str| serde_json::json!({"key": format!("io.cilium.k8s.policy.{key}"), "value": value, "source": "k8s"});
        let selector: serde_json::Value = serde_json::from_str(selector).unwrap();
        let rules = serde_json::json!([{
            "endpointSelector": selector,
            "ingress": [{}],
            "labels": [
                label("derived-from", "NetworkPolicy"),
                label("name", "nobody"),
                label("namespace", "default"),
            ],
        }]);
        let tree = Tree {
            policy: rules.to_string(),
        };
        let found = selecting(&endpoints, &tree, IpAddr::from([10, 0, 0, 7])).unwrap();
        found
            .iter()
            .map(|it| format!("{} {}", it.kind, it.name))
            .collect()
    }

    #[test]
    fn policies_select_endpoints_by_their_labels() {
        let found = ["NetworkPolicy nobody"];
        assert_eq!(names("{}"), found);
        assert_eq!(names(r#"{"matchLabels": {"k8s:app": "web"}}"#), found);
        assert_eq!(names(r#"{"matchLabels": {"any:app": "web"}}"#), found);
        assert_eq!(names(r#"{"matchLabels": {"k8s:app": "db"}}"#), [""; 0]);
        let expression = |operator: &str, values: &str| {
            names(&format!(
                r#"{{"matchExpressions": [{{"key": "any:app", "operator": "{operator}", "values": {values}}}]}}"#
            ))
        };
        assert_eq!(expression("In", r#"["db", "web"]"#), found);
        assert_eq!(expression("NotIn", r#"["db"]"#), found);
        assert_eq!(expression("NotIn", r#"["web"]"#), [""; 0]);
        assert_eq!(expression("Exists", "null"), found);
        assert_eq!(expression("DoesNotExist", "null"), [""; 0]);
        assert_eq!(names("null"), [""; 0]);
    }
}
