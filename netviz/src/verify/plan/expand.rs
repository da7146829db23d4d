//! Expands a plan to pairs of existing pods, in the order of the file and of their names.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    PlanError, PlannedPair,
    file::{End, Limits, Plan, Selector, Test, glob},
};
use crate::{
    model::{self, Pod, Untrusted, safe},
    verify::Protocol,
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
        let place = plan.place(number);
        let wrong = |key: &str, Wrong(what, remedy): Wrong| {
            PlanError::new(&place, format!("{key}{what}"), remedy)
        };
        let from = ends(&test.from, pods, true).map_err(|it| wrong("from: ", it))?;
        let to = ends(&test.to, pods, false).map_err(|it| wrong("to: ", it))?;
        let before = pairs.len();
        let test = Arc::new(test.clone());
        join(&test, &from, &to, &mut pairs).map_err(|it| wrong("", it))?;
        if pairs.len() == before {
            let what = "no pair is left: only a pod and itself, or no addresses of one family";
            return Err(PlanError::new(&place, what, "widen `from` or `to`"));
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
    let (test, mut pairs) = (Arc::new(test.clone()), Vec::new());
    join(&test, &everyone(true), &everyone(false), &mut pairs)
        .map_err(|Wrong(what, remedy)| PlanError::new("--all-pairs", what, remedy))?;
    Ok(pairs)
}

impl Test {
    /// The test of `--all-pairs`.
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

/// What is wrong with a test, and the remedy.
#[derive(Debug)]
struct Wrong(String, String);

/// A name and, if it is a selected pod's, an address.
type Named = (String, Option<IpAddr>);

fn join(
    test: &Arc<Test>,
    from: &[Named],
    to: &[Named],
    pairs: &mut Vec<PlannedPair>,
) -> Result<(), Wrong> {
    for (from, from_address) in from {
        for (to, to_address) in to {
            let addresses = from_address.zip(*to_address);
            let other_family = addresses.is_some_and(|(a, b)| a.is_ipv4() != b.is_ipv4());
            if from == to || other_family {
                continue;
            }
            if pairs.len() == MOST_PAIRS {
                return Err(Wrong(
                    format!("more than {MOST_PAIRS} pairs"),
                    "narrow the selectors, or split the tests over several runs".into(),
                ));
            }
            pairs.push(PlannedPair {
                test: Arc::clone(test),
                from: from.clone(),
                from_address: *from_address,
                to: to.clone(),
                to_address: *to_address,
            });
        }
    }
    Ok(())
}

/// The names of an end; one that `sends` has to be on this machine.
fn ends(end: &End, pods: &[Pod], sends: bool) -> Result<Vec<Named>, Wrong> {
    match end {
        End::Name(name) => Ok(vec![(name.clone(), None)]),
        End::Pods(selector) => selected(selector, pods, sends),
    }
}

/// Pods that match, by name, with one address of each family.
fn selected(selector: &Selector, pods: &[Pod], sends: bool) -> Result<Vec<Named>, Wrong> {
    let pattern = selector.pods.as_deref().map(glob).transpose();
    let pattern = pattern.map_err(|what| Wrong(what, "fix the pattern".into()))?;
    let fits = |pod: &&Pod| {
        let namespace = pod.namespace.as_ref().map(Untrusted::raw);
        let mut labels = selector.labels();
        let named = pattern.as_ref();
        named.is_none_or(|pattern| pattern.is_match(pod.name.raw()))
            && (selector.namespace.is_none() || namespace == selector.namespace.as_deref())
            && labels.all(|label| pod.labels.iter().any(|own| *own == label))
    };
    let fitting: Vec<&Pod> = pods.iter().filter(fits).collect();
    if fitting.is_empty() {
        let what = format!("no pod has {}", words(selector));
        return Err(Wrong(what, remedy(selector, pods)));
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
        let (number, words) = (fitting.len(), words(selector));
        return Err(Wrong(
            format!("{number} pods have {words}, and none of them is reachable from here"),
            "run netviz on their node".into(),
        ));
    }
    Ok(named.into_iter().collect())
}

fn words(selector: &Selector) -> String {
    let words = [
        ("namespace", &selector.namespace),
        ("labels", &selector.labels),
        ("a name like", &selector.pods),
    ];
    let words = words.into_iter();
    let words = words.filter_map(|(what, text)| Some(format!("{what} {}", safe(text.as_ref()?))));
    words.collect::<Vec<_>>().join(", ")
}

/// Names that are similar to those of a selector without pods.
fn remedy(selector: &Selector, pods: &[Pod]) -> String {
    let namespaces = pods.iter().filter_map(|pod| pod.namespace.as_ref());
    let labels = pods.iter().flat_map(|pod| &pod.labels);
    let names = pods.iter().map(|pod| &pod.name);
    let mut near = nearest(selector.namespace.as_deref(), namespaces);
    near.extend(nearest(selector.labels(), labels));
    near.extend(nearest(selector.pods.as_deref(), names));
    if near.is_empty() {
        let number = pods.len();
        return format!("{number} pods found here, list them: netviz doors --once");
    }
    format!("near: {}", near.join(", "))
}

/// Names that are similar to those that do not exist.
fn nearest<'a>(
    names: impl IntoIterator<Item = &'a str>,
    all: impl Iterator<Item = &'a Untrusted>,
) -> Vec<String> {
    let all: BTreeSet<&str> = all.map(Untrusted::raw).collect();
    let unknown = names.into_iter().filter(|name| !all.contains(name));
    let near = unknown.flat_map(|name| model::nearest(name, all.iter().copied()));
    near.collect()
}
