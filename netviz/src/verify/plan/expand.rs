//! Expands a plan to pairs of existing pods, in the order of the file and of their names.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use super::{
    PlanError, PlannedPair,
    file::{End, Limits, Plan, Selector, Test, glob},
};
use crate::{
    model::{self, Cluster, Untrusted, safe},
    verify::{
        Place, Protocol, Route,
        target::{
            self, Family, Reading, Target,
            pods::{Candidate, Pods},
        },
    },
};

/// The most pairs of one run: 140 pods, each to each. More is a load on the cluster, not a test.
pub const MOST_PAIRS: usize = 20_000;

/// The pairs of all tests. A pod is never paired with itself.
///
/// # Errors
/// A name that is unknown or ambiguous; a selector that matches no pod, with similar names; an end to which
/// nothing can be sent, or from which nothing can; more than [`MOST_PAIRS`] pairs.
pub fn expand(plan: &Plan, cluster: &Cluster) -> Result<Vec<PlannedPair>, PlanError> {
    let pods = Pods::new(cluster);
    let mut pairs = Vec::new();
    for (number, test) in plan.tests.iter().enumerate() {
        let place = plan.place(number);
        let before = pairs.len();
        join(test, &pods, &mut pairs)
            .map_err(|Wrong(what, remedy)| PlanError::new(&place, what, remedy))?;
        if pairs.len() == before {
            let what = "no pair is left: only a pod and itself, or no addresses of one family";
            return Err(PlanError::new(&place, what, "widen `from` or `to`"));
        }
    }
    Ok(pairs)
}

/// Every ordered pair of the pods here that the test selects and that have addresses of one family.
///
/// # Errors
/// More than [`MOST_PAIRS`] pairs; probes that need a port.
pub fn all(cluster: &Cluster, test: &Test) -> Result<Vec<PlannedPair>, PlanError> {
    let mut pods = Pods::new(cluster);
    pods.all.retain(Candidate::is_here);
    let mut pairs = Vec::new();
    join(test, &pods, &mut pairs)
        .map_err(|Wrong(what, remedy)| PlanError::new("--all-pairs", what, remedy))?;
    Ok(pairs)
}

impl Test {
    /// The test of `--all-pairs`, in one Kubernetes namespace or in all.
    pub fn usual(
        namespace: Option<String>,
        protocol: Protocol,
        port: Option<u16>,
        count: u32,
        size: Option<u16>,
    ) -> Self {
        let selector = Selector {
            namespace,
            ..Selector::default()
        };
        Self {
            name: None,
            from: End::Pods(selector.clone()),
            to: End::Pods(selector),
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

impl Wrong {
    fn at(self, key: &str) -> Self {
        Self(format!("{key}: {}", self.0), self.1)
    }
}

/// Adds the pairs of one test.
fn join(test: &Test, pods: &Pods<'_>, pairs: &mut Vec<PlannedPair>) -> Result<(), Wrong> {
    let mut senders: BTreeMap<Option<Family>, Vec<Target>> = BTreeMap::new();
    senders.insert(None, senders_of(test, pods, None)?);
    let receivers = ends(test, &test.to, pods, None, false).map_err(|it| it.at("to"))?;
    let shared = Arc::new(test.clone());
    let before = pairs.len();
    for to in &receivers {
        let probe = to.probe(Some(test.protocol));
        let fix = |error: anyhow::Error| Wrong(format!("to: {error:#}"), "fix the test".into());
        let (protocol, port, served) = probe.map_err(fix)?;
        let address = to.party.needed_address().map_err(fix)?;
        let family = Some(Family::of(address));
        let senders = match senders.entry(family) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(senders_of(test, pods, family)?),
        };
        for from in senders.iter() {
            if from.party.place == Place::Elsewhere {
                let what = format!("from: {} is not on a node that is here", from.party.name);
                return Err(Wrong(what, "run netviz on its node".into()));
            }
            if from.party.place == to.party.place || from.party.name == to.party.name {
                continue;
            }
            if pairs.len() == MOST_PAIRS {
                return Err(Wrong(
                    format!("more than {MOST_PAIRS} pairs"),
                    "narrow the selectors, or split the tests over several runs".into(),
                ));
            }
            let notes = [&from.note, &to.note, &served].into_iter().flatten();
            pairs.push(PlannedPair {
                test: Arc::clone(&shared),
                route: Route::new(from.party.clone(), to.party.clone()),
                protocol,
                port,
                notes: notes.cloned().collect(),
            });
        }
    }
    pairs[before..].sort_by(|a, b| {
        let names = |pair: &PlannedPair| (pair.route.from.name.clone(), pair.route.to.name.clone());
        names(a).cmp(&names(b))
    });
    Ok(())
}

fn senders_of(test: &Test, pods: &Pods<'_>, family: Option<Family>) -> Result<Vec<Target>, Wrong> {
    ends(test, &test.from, pods, family, true).map_err(|it| it.at("from"))
}

/// The ends of one key, with addresses of one family, or of each.
fn ends(
    test: &Test,
    end: &End,
    pods: &Pods<'_>,
    family: Option<Family>,
    sends: bool,
) -> Result<Vec<Target>, Wrong> {
    let name = match end {
        End::Name(name) => name,
        End::Pods(selector) => return selected(selector, pods, family, sends, test.port),
    };
    let find = |family| {
        let reading = Reading {
            family,
            port: test.port.filter(|_| !sends),
            complete: true,
            ..Reading::default()
        };
        let found = target::find(pods, name, reading);
        found.map_err(|error| Wrong(format!("{error:#}"), "fix the name".into()))
    };
    let found = find(family)?;
    // A pod with addresses of the other family only is no end of such a pair.
    let other = found.party.address.is_none() && find(None)?.party.address.is_some();
    Ok(if other { Vec::new() } else { vec![found] })
}

/// Pods that match, with one address of each family; those that send have to be here.
fn selected(
    selector: &Selector,
    pods: &Pods<'_>,
    family: Option<Family>,
    sends: bool,
    port: Option<u16>,
) -> Result<Vec<Target>, Wrong> {
    let pattern = selector.pods.as_deref().map(glob).transpose();
    let pattern = pattern.map_err(|what| Wrong(what, "fix the pattern".into()))?;
    let fits = |it: &&Candidate<'_>| {
        let Some(pod) = it.pod else {
            return false;
        };
        let mut labels = selector.labels();
        let named = pattern.as_ref();
        named.is_none_or(|pattern| pattern.is_match(pod.name.raw()))
            && (selector.namespace.is_none() || it.namespace == selector.namespace.as_deref())
            && labels.all(|label| pod.labels.iter().any(|own| *own == label))
    };
    let fitting: Vec<_> = pods.all.iter().filter(fits).collect();
    if fitting.is_empty() && *selector != Selector::default() {
        let what = format!("no pod has {}", words(selector));
        return Err(Wrong(what, remedy(selector, pods.cluster)));
    }
    let here: Vec<_> = fitting.iter().filter(|it| !sends || it.is_here()).collect();
    if here.is_empty() && !fitting.is_empty() {
        let (number, words) = (fitting.len(), words(selector));
        return Err(Wrong(
            format!("{number} pods have {words}, and none of them is on a node that is here"),
            "run netviz on their node".into(),
        ));
    }
    let families = [Family::V4, Family::V6].into_iter();
    let families: Vec<_> = families
        .filter(|it| family.is_none_or(|family| family == *it))
        .collect();
    let targets = here.into_iter().flat_map(|pod| {
        let parties = families.iter().map(|family| pods.party(pod, Some(*family)));
        parties.filter(|party| party.address.is_some())
    });
    let target = |party| Target {
        party,
        port,
        protocol: None,
        note: None,
    };
    Ok(targets.map(target).collect())
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
fn remedy(selector: &Selector, cluster: &Cluster) -> String {
    let pods = &cluster.pods;
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
