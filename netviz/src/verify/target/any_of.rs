//! Any pod of a workload as an end.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::{
    family::choose,
    pods::Candidate,
    search::{Search, Target},
    workload::Workload,
};
use crate::model::{near, safe};

impl Search<'_> {
    /// Any pod of a workload: one that is here, and has an address.
    pub(super) fn workload(&self, workload: Workload) -> Result<Target> {
        let (namespace, name) = match self.spelling.name.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (self.reading.namespace, self.spelling.name),
        };
        let word = workload.word();
        let is_own = |pod: &&Candidate<'_>| {
            let in_it = namespace.is_none() || namespace == pod.namespace;
            in_it && workload.has(name, pod)
        };
        let mut pods: Vec<_> = self.candidates().filter(is_own).collect();
        // Names are the second best: a sandbox that was left behind has that of a pod.
        if pods.iter().any(|pod| pod.owner().is_some()) {
            pods.retain(|pod| pod.owner().is_some());
        }
        let namespaces = pods.iter().map(|pod| pod.namespace.unwrap_or_default());
        let namespaces: BTreeSet<_> = namespaces.collect();
        if namespaces.len() > 1 {
            let each = namespaces.iter().map(|it| format!("{word}/{it}/{name}"));
            let each = safe(&each.collect::<Vec<_>>().join(", "));
            let number = namespaces.len();
            bail!("{number} namespaces have a {word} {name:?}; use one of {each}");
        }
        let family = self.reading.family;
        let rank = |pod: &&&Candidate<'_>| {
            let without = choose(&pod.addresses, family).is_none();
            (
                !pod.is_here(),
                without,
                Some(pod.place) == self.reading.avoid,
            )
        };
        match pods.iter().min_by_key(rank) {
            Some(pod) => Ok(self.chosen(pod, pods.len())),
            None => {
                let spellings = self.pods.spellings(name);
                let near = near(name, &spellings, "pod", self.pods.all.len());
                bail!("no pod of a {word} {name:?}{near}")
            }
        }
    }
}
