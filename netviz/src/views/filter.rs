//! Shows a part of a snapshot: by node, pod or device.

use globset::Glob;

use crate::model::{DoorState, Snapshot};

/// Names, or glob patterns, of what is to be shown; an empty list takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Nodes.
    pub nodes: Vec<String>,
    /// Pods: `name`, `namespace/name` or an address.
    pub pods: Vec<String>,
    /// Interfaces.
    pub devices: Vec<String>,
}

/// A name that fits nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no {what} {name:?}{near}")]
pub struct Unknown {
    what: &'static str,
    name: String,
    near: String,
}

impl Filter {
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
            vec![door.node.clone()]
        })?;
        check("pod", &self.pods, snapshot, pod_names)?;
        check("device", &self.devices, snapshot, device_names)
    }

    /// Leaves only the doors that fit, and their nodes and corridors.
    pub fn apply(&self, snapshot: &mut Snapshot) {
        if self.is_empty() {
            return;
        }
        snapshot.doors.retain(|door| {
            fits(&self.nodes, &[door.node.clone()])
                && fits(&self.pods, &pod_names(door))
                && fits(&self.devices, &device_names(door))
        });
        let doors = &snapshot.doors;
        snapshot
            .nodes
            .retain(|node| doors.iter().any(|door| door.node == node.name));
        snapshot.corridors.retain(|corridor| {
            doors.iter().any(|door| {
                door.node == corridor.node && door.interface == corridor.passages[0].from
            })
        });
    }
}

fn check(
    what: &'static str,
    wanted: &[String],
    snapshot: &Snapshot,
    names: impl Fn(&DoorState) -> Vec<String>,
) -> Result<(), Unknown> {
    let all: std::collections::BTreeSet<String> = snapshot.doors.iter().flat_map(names).collect();
    let all: Vec<String> = all.into_iter().collect();
    for name in wanted {
        if !fits(std::slice::from_ref(name), &all) {
            return Err(Unknown {
                what,
                name: name.clone(),
                near: near(name, &all),
            });
        }
    }
    Ok(())
}

fn near(name: &str, all: &[String]) -> String {
    let mut scored: Vec<_> = all
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best: Vec<_> = scored
        .iter()
        .take(3)
        .filter(|(score, _)| *score > 0.6)
        .map(|(_, other)| super::text::safe(other))
        .collect();
    match (best.is_empty(), all.is_empty()) {
        (false, _) => format!("; near: {}", best.join(", ")),
        (true, false) => format!(
            "; there are {} others, `netviz doors` lists them",
            all.len()
        ),
        (true, true) => String::new(),
    }
}

fn fits(patterns: &[String], names: &[String]) -> bool {
    patterns.is_empty()
        || patterns.iter().any(|pattern| {
            let glob = Glob::new(pattern).ok().map(|glob| glob.compile_matcher());
            names.iter().any(|name| {
                name == pattern || glob.as_ref().is_some_and(|glob| glob.is_match(name))
            })
        })
}

fn pod_names(door: &DoorState) -> Vec<String> {
    let Some(pod) = &door.pod else {
        return Vec::new();
    };
    let qualified = door
        .namespace
        .as_ref()
        .map(|namespace| format!("{namespace}/{pod}"));
    let addresses = door
        .addresses
        .iter()
        .filter_map(|address| Some(address.split_once('/')?.0.to_owned()));
    [pod.clone()]
        .into_iter()
        .chain(qualified)
        .chain(addresses)
        .collect()
}

fn device_names(door: &DoorState) -> Vec<String> {
    door.interface.iter().cloned().collect()
}
