//! The policies that select an endpoint, as its agent has them.

use std::{
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
use crate::{
    model::Direction,
    names::policies::{Policy, rule::Rule, selector::Labels},
    sys::rooted_fs::Root,
};

/// The policies on the node with these roots that select the endpoint with this address and restrict
/// the direction; `None` if the agent does not answer, or does not know the endpoint.
pub(crate) async fn of_endpoint(
    roots: &[PathBuf],
    address: IpAddr,
    direction: Direction,
) -> Option<Vec<Policy>> {
    let socket = Root::open(roots).ok().and_then(|root| find(&root).ok())?;
    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    let answer = timeout(LIMIT, ask(Path::new(&path), address, direction)).await;
    let silent = || format!("no answer in {} s", LIMIT.as_secs());
    let answer = answer.unwrap_or_else(|_| Err(silent()));
    answer
        .inspect_err(|why| log::info!("cilium: no policies: {why}"))
        .ok()?
}

async fn ask(
    socket: &Path,
    address: IpAddr,
    direction: Direction,
) -> Result<Option<Vec<Policy>>, String> {
    let (endpoints, tree) = tokio::join!(get(socket, "/v1/endpoint"), get(socket, "/v1/policy"));
    let endpoints: Vec<Endpoint> = json("/v1/endpoint", &endpoints?)?;
    let tree: Tree = json("/v1/policy", &tree?)?;
    selecting(&endpoints, &tree, address, direction)
}

/// The policies of a tree that select the endpoint with this address.
fn selecting(
    endpoints: &[Endpoint],
    tree: &Tree,
    address: IpAddr,
    direction: Direction,
) -> Result<Option<Vec<Policy>>, String> {
    let rules: Vec<AgentRule> = json("/v1/policy", tree.policy.as_bytes())?;
    let mut facts = endpoints.iter().map(Endpoint::fact);
    let Some(endpoint) = facts.find(|fact| fact.addresses.contains(&address)) else {
        return Ok(None);
    };
    let labels = Labels::of_cilium(&endpoint.labels);
    let selecting = rules
        .iter()
        .filter(|it| it.rule.selects(&labels) && it.rule.restricts(direction));
    let mut policies: Vec<_> = selecting.filter_map(AgentRule::policy).collect();
    policies.sort();
    policies.dedup();
    Ok(Some(policies))
}

/// `/v1/policy`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tree {
    /// The rules as JSON.
    policy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AgentRule {
    #[serde(flatten)]
    rule: Rule,
    labels: Option<Vec<Label>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Label {
    key: String,
    value: Option<String>,
}

impl AgentRule {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(selector: &serde_json::Value, direction: Direction) -> Option<Vec<String>> {
        let endpoint = r#"[{"id": 7, "status": {
            "identity": {"labels": ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=default"]},
            "networking": {"addressing": [{"ipv4": "10.0.0.7"}]}}}]"#;
        let endpoints: Vec<Endpoint> = serde_json::from_str(endpoint).unwrap();
        let label = |key: &str, value: &str| serde_json::json!({"key": format!("io.cilium.k8s.policy.{key}"), "value": value, "source": "k8s"});
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
        let address = IpAddr::from([10, 0, 0, 7]);
        let found = selecting(&endpoints, &tree, address, direction).unwrap();
        let name = |it: &Policy| format!("{} {}", it.kind, it.name);
        found.map(|found| found.iter().map(name).collect())
    }

    #[test]
    fn policies_of_the_denied_direction_select_endpoints_by_their_labels() {
        let nobody = || Some(vec!["NetworkPolicy nobody".to_owned()]);
        let web = serde_json::json!({"matchLabels": {"any:app": "web"}});
        assert_eq!(found(&web, Direction::Ingress), nobody());
        assert_eq!(found(&web, Direction::Egress), Some(Vec::new()));
        let all = serde_json::json!({});
        assert_eq!(found(&all, Direction::Ingress), nobody());
        let db = serde_json::json!({"matchLabels": {"k8s:app": "db"}});
        assert_eq!(found(&db, Direction::Ingress), Some(Vec::new()));
        // About nodes.
        let none = serde_json::json!(null);
        assert_eq!(found(&none, Direction::Ingress), Some(Vec::new()));
    }
}
