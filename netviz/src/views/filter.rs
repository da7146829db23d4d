//! Shows a part of a snapshot: by node, pod or device.

use globset::{Glob, GlobMatcher};

use crate::model::{DoorState, Snapshot, near};

/// Names, or glob patterns, of what is to be shown; an empty list takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    nodes: Vec<Pattern>,
    pods: Vec<Pattern>,
    devices: Vec<Pattern>,
}

/// A name as it was given, and the pattern that it is.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    glob: GlobMatcher,
}

/// A pattern that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "--{what}: the pattern {pattern:?} cannot be read: {why}; [*], [?] and [[] stand for the signs themselves"
)]
pub struct BadPattern {
    what: &'static str,
    pattern: String,
    why: String,
}

/// A name that fits nothing.
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
    /// [`BadPattern`] for the first one that is no glob: passed over, it would show too much or
    /// nothing.
    pub fn new(nodes: &[String], pods: &[String], devices: &[String]) -> Result<Self, BadPattern> {
        Ok(Self {
            nodes: patterns("node", nodes)?,
            pods: patterns("pod", pods)?,
            devices: patterns("device", devices)?,
        })
    }

    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.pods.is_empty() && self.devices.is_empty()
    }

    /// Says which name fits nothing in `snapshot`, and which are near.
    ///
    /// # Errors
    /// [`Unknown`] for the first such name.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Unknown> {
        check("node", &self.nodes, snapshot, |door| {
            vec![door.node.raw().to_owned()]
        })?;
        check("pod", &self.pods, snapshot, pod_names)?;
        check("device", &self.devices, snapshot, device_names)
    }

    /// Leaves only the doors that fit, and their nodes and veth pairs.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        if self.is_empty() {
            return;
        }
        snapshot.doors.retain(|door| {
            fits(&self.nodes, &[door.node.raw().to_owned()])
                && fits(&self.pods, &pod_names(door))
                && fits(&self.devices, &device_names(door))
        });
        let doors = &snapshot.doors;
        snapshot
            .nodes
            .retain(|node| doors.iter().any(|door| door.node_netns == node.netns));
        // By identity: every pod has an eth0.
        let shown: std::collections::HashSet<_> = doors.iter().map(|door| door.id).collect();
        snapshot
            .pairs
            .retain(|pair| pair.ends.iter().any(|end| shown.contains(end)));
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
            why: super::text::safe(&error.kind().to_string()),
        }),
    };
    texts.iter().map(read).collect()
}

fn check(
    what: &'static str,
    wanted: &[Pattern],
    snapshot: &Snapshot,
    names: impl Fn(&DoorState) -> Vec<String>,
) -> Result<(), Unknown> {
    let all: std::collections::BTreeSet<String> = snapshot.doors.iter().flat_map(names).collect();
    let all: Vec<String> = all.into_iter().collect();
    for pattern in wanted {
        if !fits(std::slice::from_ref(pattern), &all) {
            return Err(Unknown {
                what,
                name: pattern.text.clone(),
                near: near(&pattern.text, &all),
            });
        }
    }
    Ok(())
}

fn fits(patterns: &[Pattern], names: &[String]) -> bool {
    let fits = |pattern: &Pattern| {
        let mut names = names.iter();
        names.any(|name| *name == pattern.text || pattern.glob.is_match(name))
    };
    patterns.is_empty() || patterns.iter().any(fits)
}

fn pod_names(door: &DoorState) -> Vec<String> {
    let Some(pod) = &door.pod else {
        return Vec::new();
    };
    let qualified = door.pod_label().filter(|_| door.namespace.is_some());
    let addresses = door.addresses.iter().map(|it| it.addr().to_string());
    let names = [Some(pod), qualified.as_ref()].into_iter().flatten();
    let names = names.map(|name| name.raw().to_owned());
    names.chain(addresses).collect()
}

fn device_names(door: &DoorState) -> Vec<String> {
    let name = door.interface.iter();
    name.map(|name| name.raw().to_owned()).collect()
}
