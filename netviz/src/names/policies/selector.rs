//! Label selectors, of Kubernetes and of Cilium.
//!
//! Cilium's labels have a source (`k8s:app`), and so may the keys of its selectors; `any:app` and `app`
//! are the label of any source. Keys of Kubernetes contain no colon, so its selectors are a special case.
//!
//! <https://docs.cilium.io/en/stable/gettingstarted/terminology/#labels>

use std::collections::BTreeMap;

use serde::Deserialize;

/// Labels with their sources, `k8s:app=web`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// From labels as Cilium writes them.
    pub(crate) fn of_cilium<'a>(labels: impl IntoIterator<Item = &'a String>) -> Self {
        let labels = labels.into_iter().map(|label| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            (key.to_owned(), value.to_owned())
        });
        Self(labels.collect())
    }

    /// Adds a label that Cilium derives from Kubernetes.
    pub(crate) fn insert(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(format!("k8s:{name}"), value.into());
    }

    fn value_of(&self, key: &str) -> Option<&str> {
        let name = match key.split_once(':') {
            None => key,
            Some(("any", name)) => name,
            Some(_) => return self.0.get(key).map(String::as_str),
        };
        self.0.iter().find_map(|(label, value)| {
            let (_, own) = label.split_once(':').unwrap_or(("", label));
            (own == name).then_some(value.as_str())
        })
    }
}

/// A label selector. Empty, it selects everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl Selector {
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        let mut equal = self.match_labels.iter().flatten();
        let mut expressions = self.match_expressions.iter().flatten();
        equal.all(|(key, value)| labels.value_of(key) == Some(value))
            && expressions.all(|it| it.fits(labels.value_of(&it.key)))
    }

    /// Whether it has a condition on a label whose name begins with `prefix`.
    pub(crate) fn mentions(&self, prefix: &str) -> bool {
        let equal = self.match_labels.iter().flatten().map(|(key, _)| key);
        let expressions = self.match_expressions.iter().flatten();
        let mut keys = equal.chain(expressions.map(|it| &it.key));
        keys.any(|key| name_in(key).starts_with(prefix))
    }

    /// Adds or replaces a condition.
    pub(crate) fn require(&mut self, key: &str, value: &str) {
        let equal = self.match_labels.get_or_insert_default();
        equal.insert(key.to_owned(), value.to_owned());
    }

    /// Removes the conditions on a label.
    pub(crate) fn ignore(&mut self, name: &str) {
        if let Some(equal) = &mut self.match_labels {
            equal.retain(|key, _| name_in(key) != name);
        }
        if let Some(expressions) = &mut self.match_expressions {
            expressions.retain(|it| name_in(&it.key) != name);
        }
    }
}

/// A key without its source.
fn name_in(key: &str) -> &str {
    key.split_once(':').map_or(key, |(_, name)| name)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: serde_json::Value) -> bool {
        let labels = [
            "k8s:app=web",
            "k8s:app.kubernetes.io/part-of=shop",
            "k8s:io.kubernetes.pod.namespace=default",
            "reserved:init",
        ];
        let labels = Labels::of_cilium(&labels.map(str::to_owned));
        let selector: Selector = serde_json::from_value(selector).unwrap();
        selector.selects(&labels)
    }

    #[test]
    fn labels_have_to_be_equal() {
        for (key, value, expected) in [
            ("app", "web", true),
            ("k8s:app", "web", true),
            ("any:app", "web", true),
            ("container:app", "web", false),
            ("app", "db", false),
            ("app", "", false),
            ("absent", "", false),
            ("app.kubernetes.io/part-of", "shop", true),
            ("k8s:io.kubernetes.pod.namespace", "default", true),
            ("reserved:init", "", true),
            ("reserved:host", "", false),
        ] {
            let found = selects(json!({"matchLabels": {key: value}}));
            assert_eq!(found, expected, "{key}={value}");
        }
        assert!(selects(json!({})));
        assert!(selects(
            json!({"matchLabels": null, "matchExpressions": null})
        ));
        assert!(!selects(
            json!({"matchLabels": {"app": "web", "tier": "front"}})
        ));
    }

    #[test]
    fn expressions_have_to_fit() {
        for (key, operator, values, expected) in [
            ("app", "In", json!(["db", "web"]), true),
            ("k8s:app", "In", json!(["db"]), false),
            ("absent", "In", json!(["db"]), false),
            ("any:app", "NotIn", json!(["db"]), true),
            ("app", "NotIn", json!(["web"]), false),
            ("absent", "NotIn", json!(["web"]), true),
            ("app", "Exists", json!(null), true),
            ("absent", "Exists", json!([]), false),
            ("app", "DoesNotExist", json!(null), false),
            ("absent", "DoesNotExist", json!(null), true),
            ("app", "Unknown", json!(["web"]), false),
        ] {
            let expression = json!({"key": key, "operator": operator, "values": values});
            let found = selects(json!({"matchExpressions": [expression]}));
            assert_eq!(found, expected, "{key} {operator} {values}");
        }
    }

    #[test]
    fn conditions_on_a_label_can_be_ignored() {
        let mut selector: Selector = serde_json::from_value(json!({
            "matchLabels": {"k8s:zone": "a", "app": "web"},
            "matchExpressions": [{"key": "zone", "operator": "Exists"}],
        }))
        .unwrap();
        assert!(selector.mentions("zo"));
        selector.ignore("zone");
        assert!(!selector.mentions("zo"));
        assert!(selector.selects(&Labels::of_cilium(&["k8s:app=web".to_owned()])));
        assert!(!selector.selects(&Labels::default()));
        selector.require("app", "db");
        assert!(!selector.selects(&Labels::of_cilium(&["k8s:app=web".to_owned()])));
    }
}
