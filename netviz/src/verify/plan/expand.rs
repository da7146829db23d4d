//! Expands a plan to pairs of existing pods, in the order of the file and of their names.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    PlanError, PlannedPair, Wanted,
    file::{End, Limits, Plan, Selector, Test, glob},
};
use crate::{
    model::{self, Pod, Untrusted, safe},
    verify::protocol::Protocol,
};

/// The most pairs of one run: 140 pods, each to each. More is a load on the cluster, not a test.
pub const MOST_PAIRS: usize = 20_000;

/// The pairs of all tests. A pod is never paired with itself.
///
/// # Errors
/// A selector that matches no pod, with similar names; more than [`MOST_PAIRS`] pairs.
pub fn expand(plan: &Plan, pods: &[Pod]) -> Result<Vec<PlannedPair>, PlanError> {
    let mut pairs = Vec::new();
    for (number, test) in plan.tests.iter().enumerate() {
        let wrong = |what: String, remedy: String| PlanError {
            place: plan.place(number),
            what,
            remedy,
        };
        let from = ends(&test.from, pods, true)
            .map_err(|(what, remedy)| wrong(format!("from: {what}"), remedy))?;
        let to = ends(&test.to, pods, false)
            .map_err(|(what, remedy)| wrong(format!("to: {what}"), remedy))?;
        let before = pairs.len();
        join(test, &from, &to, &mut pairs).map_err(|Many| too_many(&plan.place(number)))?;
        if pairs.len() == before {
            let what = "no pair is left: only a pod and itself, or no addresses of one family";
            return Err(wrong(what.into(), "widen `from` or `to`".into()));
        }
    }
    Ok(pairs)
}

/// Every ordered pair of pods that have addresses of one family.
///
/// # Errors
/// More than [`MOST_PAIRS`] pairs.
pub fn all(pods: &[Pod], test: &Test) -> Result<Vec<PlannedPair>, PlanError> {
    let everyone = |sends| selected(&Selector::default(), pods, sends).unwrap_or_default();
    let mut pairs = Vec::new();
    join(test, &everyone(true), &everyone(false), &mut pairs).map_err(|Many| too_many("--all"))?;
    Ok(pairs)
}

impl Test {
    /// The test of `--all`.
    #[must_use]
    pub fn usual(protocol: Protocol, port: Option<u16>, count: u32, size: Option<u16>) -> Self {
        Self {
            name: None,
            from: End::Pods(Selector::default()),
            to: End::Pods(Selector::default()),
            protocol,
            port,
            count,
            size,
            expect: None,
            doors: None,
            round_trip: Limits::default(),
        }
    }
}

/// Too many pairs.
struct Many;

fn too_many(place: &str) -> PlanError {
    PlanError {
        place: place.into(),
        what: format!("more than {MOST_PAIRS} pairs"),
        remedy: "narrow the selectors, or split the tests over several runs".into(),
    }
}

/// A name and, where it is a selected pod's, an address.
type Named = (String, Option<IpAddr>);

fn join(
    test: &Test,
    from: &[Named],
    to: &[Named],
    pairs: &mut Vec<PlannedPair>,
) -> Result<(), Many> {
    for (from, from_address) in from {
        for (to, to_address) in to {
            let other_family = from_address
                .zip(*to_address)
                .is_some_and(|(a, b)| a.is_ipv4() != b.is_ipv4());
            if from == to || other_family {
                continue;
            }
            if pairs.len() == MOST_PAIRS {
                return Err(Many);
            }
            pairs.push(PlannedPair {
                test: test.name.clone(),
                from: from.clone(),
                from_address: *from_address,
                to: to.clone(),
                to_address: *to_address,
                protocol: test.protocol,
                port: test.port,
                count: test.count,
                size: test.size,
                wanted: Wanted {
                    verdict: test.expect,
                    doors: test.doors.clone(),
                    round_trip: test.round_trip,
                },
            });
        }
    }
    Ok(())
}

fn ends(end: &End, pods: &[Pod], sends: bool) -> Result<Vec<Named>, (String, String)> {
    match end {
        End::Name(name) => Ok(vec![(name.clone(), None)]),
        End::Pods(selector) => selected(selector, pods, sends),
    }
}

/// Pods that match, by name, with one address of each family.
fn selected(
    selector: &Selector,
    pods: &[Pod],
    sends: bool,
) -> Result<Vec<Named>, (String, String)> {
    let pattern = match &selector.pods {
        Some(pattern) => Some(glob(pattern).map_err(|what| (what, "fix the pattern".into()))?),
        None => None,
    };
    let fits = |pod: &&Pod| {
        let named = pattern.as_ref();
        let named = named.is_none_or(|glob| glob.is_match(pod.name.raw()));
        let spaced = selector.namespace.is_none()
            || pod.namespace.as_ref().map(Untrusted::raw) == selector.namespace.as_deref();
        named
            && spaced
            && selector
                .labels()
                .all(|label| pod.labels.iter().any(|own| *own == label))
    };
    let fitting: Vec<&Pod> = pods.iter().filter(fits).collect();
    if fitting.is_empty() {
        let words = words(selector);
        return Err((format!("no pod has {words}"), remedy(selector, pods)));
    }
    let mut named = BTreeSet::new();
    // Packets leave from the pod's own namespace, which has to be on this machine.
    for pod in fitting.iter().filter(|pod| !sends || pod.netns.is_some()) {
        let addresses = pod.addresses.iter().copied();
        let mut families = BTreeSet::new();
        for address in addresses.filter(|address| families.insert(address.is_ipv4())) {
            named.insert((pod.label().raw().to_owned(), Some(address)));
        }
    }
    if named.is_empty() {
        let what = format!(
            "{} pods have {}, and none of them is reachable from here",
            fitting.len(),
            words(selector)
        );
        return Err((what, "run netviz on their node".into()));
    }
    Ok(named.into_iter().collect())
}

fn words(selector: &Selector) -> String {
    let Selector {
        namespace,
        labels,
        pods,
    } = selector;
    let word = |what: &str, text: &Option<String>| Some(format!("{what} {}", safe(text.as_ref()?)));
    let words = [
        word("namespace", namespace),
        word("labels", labels),
        word("a name like", pods),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Names that are similar to those of a selector without pods.
fn remedy(selector: &Selector, pods: &[Pod]) -> String {
    let mut near = Vec::new();
    if let Some(name) = &selector.namespace {
        near.extend(nearest(
            name,
            pods.iter()
                .filter_map(|pod| Some(pod.namespace.as_ref()?.raw())),
        ));
    }
    for label in selector.labels() {
        near.extend(nearest(
            label,
            pods.iter().flat_map(|pod| &pod.labels).map(Untrusted::raw),
        ));
    }
    if let Some(name) = &selector.pods {
        near.extend(nearest(name, pods.iter().map(|pod| pod.name.raw())));
    }
    if near.is_empty() {
        return format!(
            "{} pods found here, list them: netviz doors --once",
            pods.len()
        );
    }
    format!("near: {}", near.join(", "))
}

/// Similar names; none if `name` itself exists.
fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let all: BTreeSet<&str> = all.collect();
    if all.contains(name) {
        return Vec::new();
    }
    model::nearest(name, all)
}
