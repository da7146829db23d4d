//! A rule of Cilium: as its agent reports it, and in the CRDs.

use serde::{Deserialize, de::IgnoredAny};

use super::selector::{Labels, Selector};
use crate::model::Direction;

/// Whom a rule selects, and what it restricts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rule {
    /// `None`: the rule is about nodes.
    pub(crate) endpoint_selector: Option<Selector>,
    ingress: Option<Vec<IgnoredAny>>,
    ingress_deny: Option<Vec<IgnoredAny>>,
    egress: Option<Vec<IgnoredAny>>,
    egress_deny: Option<Vec<IgnoredAny>>,
    enable_default_deny: Option<DefaultDeny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct DefaultDeny {
    ingress: Option<bool>,
    egress: Option<bool>,
}

impl Rule {
    /// A rule that restricts these directions.
    pub(crate) fn restricting(selector: Selector, ingress: bool, egress: bool) -> Self {
        Self {
            endpoint_selector: Some(selector),
            enable_default_deny: Some(DefaultDeny {
                ingress: Some(ingress),
                egress: Some(egress),
            }),
            ..Self::default()
        }
    }

    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        let selector = self.endpoint_selector.as_ref();
        selector.is_some_and(|selector| selector.selects(labels))
    }

    /// Whether it can be why packets in this direction are dropped: it denies some, or all that no rule
    /// allows. By default, the first allowing rule of a direction does that.
    pub(crate) fn restricts(&self, direction: Direction) -> bool {
        let deny = self.enable_default_deny.as_ref();
        let (allow, denied, by_default) = match direction {
            Direction::Ingress => (
                &self.ingress,
                &self.ingress_deny,
                deny.and_then(|it| it.ingress),
            ),
            Direction::Egress => (
                &self.egress,
                &self.egress_deny,
                deny.and_then(|it| it.egress),
            ),
        };
        let any = |rules: &Option<Vec<IgnoredAny>>| rules.iter().any(|rules| !rules.is_empty());
        any(denied) || by_default.unwrap_or(any(allow))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_sections_of_a_direction_restrict_it() {
        let both = |rule: serde_json::Value| {
            let rule: Rule = serde_json::from_value(rule).unwrap();
            Direction::BOTH.map(|direction| rule.restricts(direction))
        };
        assert_eq!(both(json!({"ingress": [{}]})), [true, false]);
        assert_eq!(both(json!({"egress": [{"toPorts": []}]})), [false, true]);
        assert_eq!(both(json!({"ingressDeny": [{}]})), [true, false]);
        assert_eq!(both(json!({"egressDeny": [{}]})), [false, true]);
        // Cilium ignores an empty list.
        assert_eq!(both(json!({"ingress": [], "egress": null})), [false, false]);
        let without = json!({"ingress": [{}], "enableDefaultDeny": {"ingress": false}});
        assert_eq!(both(without), [false, false]);
        let only = json!({"ingressDeny": [{}], "enableDefaultDeny": {"ingress": false}});
        assert_eq!(both(only), [true, false]);
        let empty = json!({"ingress": [], "enableDefaultDeny": {"ingress": true}});
        assert_eq!(both(empty), [true, false]);
    }
}
