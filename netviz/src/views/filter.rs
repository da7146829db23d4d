//! Selects a part of a snapshot by node, pod or device.

use std::collections::{BTreeSet, HashSet};

use globset::{Glob, GlobMatcher};

use super::text::safe;
use crate::model::{DoorState, Side, Snapshot, near};

/// The names of a door by which it is selected.
type Names = fn(&DoorState) -> Vec<String>;

/// Names or glob patterns to show, by option; an empty list selects everything.
#[derive(Clone, Debug, Default)]
pub struct Filter(Vec<(&'static str, Vec<Pattern>, Names)>);

/// A name as it was given, and as a pattern.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    glob: GlobMatcher,
}

/// An invalid pattern.
#[derive(Debug, thiserror::Error)]
#[error("--{what}: invalid pattern {pattern:?}: {why}; escape glob characters as [*], [?], [[]")]
pub struct BadPattern {
    what: &'static str,
    pattern: String,
    why: String,
}

/// A name that matches nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no {what} {name:?}{near}")]
pub struct Unknown {
    what: &'static str,
    name: String,
    near: String,
}

impl Filter {
    /// A filter by nodes, by pods (`name`, `namespace/name` or an address) and by interfaces.
    ///
    /// # Errors
    /// [`BadPattern`] for the first invalid pattern.
    pub fn new(nodes: &[String], pods: &[String], devices: &[String]) -> Result<Self, BadPattern> {
        Ok(Self(vec![
            ("node", patterns("node", nodes)?, node_names),
            ("pod", patterns("pod", pods)?, pod_names),
            ("device", patterns("device", devices)?, device_names),
        ]))
    }

    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, patterns, _)| patterns.is_empty())
    }

    /// Checks that every name matches something in `snapshot`.
    ///
    /// # Errors
    /// [`Unknown`] for the first name that does not, with similar names.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Unknown> {
        for (what, patterns, names) in &self.0 {
            let all: BTreeSet<String> = snapshot.doors.iter().flat_map(names).collect();
            let all: Vec<String> = all.into_iter().collect();
            if let Some(pattern) = patterns.iter().find(|pattern| !pattern.fits(&all)) {
                let name = pattern.text.clone();
                let near = near(&name, &all, what, number(what, snapshot));
                return Err(Unknown { what, name, near });
            }
        }
        Ok(())
    }

    /// Whether it selects a door.
    #[must_use]
    pub fn fits(&self, door: &DoorState) -> bool {
        self.0.iter().all(|(_, patterns, names)| {
            let names = names(door);
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.fits(&names))
        })
    }

    /// Whether it selects by the names of devices.
    pub(super) fn names_devices(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|(what, patterns, _)| *what == "device" && !patterns.is_empty())
    }

    /// Keeps only the selected doors, their nodes and their veth pairs.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        if self.is_empty() {
            return;
        }
        snapshot.doors.retain(|door| self.fits(door));
        let doors = &snapshot.doors;
        let nodes: HashSet<_> = doors.iter().map(|door| door.node_netns).collect();
        snapshot.nodes.retain(|node| nodes.contains(&node.netns));
        // By identity: every pod has an eth0.
        let shown: HashSet<_> = doors.iter().map(|door| door.id).collect();
        let pairs = &mut snapshot.pairs;
        pairs.retain(|pair| pair.ends.iter().any(|end| shown.contains(end)));
    }
}

/// How many nodes, pods or devices there are.
fn number(what: &str, snapshot: &Snapshot) -> usize {
    let doors = snapshot.doors.iter();
    match what {
        "node" => snapshot.nodes.len(),
        "pod" => {
            let named = doors.filter(|door| door.side == Side::Pod && door.pod.is_some());
            named
                .map(|door| door.id.netns)
                .collect::<HashSet<_>>()
                .len()
        }
        _ => snapshot.doors.len(),
    }
}

impl Pattern {
    fn fits(&self, names: &[String]) -> bool {
        let fits = |name: &String| *name == self.text || self.glob.is_match(name);
        names.iter().any(fits)
    }
}

fn patterns(what: &'static str, texts: &[String]) -> Result<Vec<Pattern>, BadPattern> {
    let read = |text: &String| match Glob::new(text) {
        Ok(glob) => Ok(Pattern {
            text: text.clone(),
            glob: glob.compile_matcher(),
        }),
        Err(error) => Err(BadPattern {
            what,
            pattern: text.clone(),
            why: safe(&error.kind().to_string()),
        }),
    };
    texts.iter().map(read).collect()
}

fn node_names(door: &DoorState) -> Vec<String> {
    vec![door.node.raw().to_owned()]
}

fn pod_names(door: &DoorState) -> Vec<String> {
    if door.pod.is_none() {
        return Vec::new();
    }
    let qualified = door.pod_label().filter(|_| door.namespace.is_some());
    let names = door.pod.iter().chain(&qualified);
    let addresses = door.addresses.iter().map(|it| it.addr().to_string());
    let names = names.map(|name| name.raw().to_owned());
    names.chain(addresses).collect()
}

fn device_names(door: &DoorState) -> Vec<String> {
    let name = door.interface.iter();
    name.map(|name| name.raw().to_owned()).collect()
}
