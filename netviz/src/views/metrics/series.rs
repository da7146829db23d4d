//! Which interfaces have series, and under which labels.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::path_tests::PathTests;
use crate::model::{DoorId, DoorState, NetNsId, Node, PairDirection, Role, Side, Snapshot, State};

/// Labels of one series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The interfaces that have metrics of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Those of nodes: uplinks, tunnels, `cilium_host`.
    Node,
    /// Also one per pod: its own end.
    #[default]
    Pod,
    /// All of them, with segments and other programs.
    Door,
}

/// What the metrics of one snapshot are written from.
#[derive(Debug)]
pub struct Metrics {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) tests: Option<PathTests>,
    pub(super) level: Level,
    /// How long the scrape before took.
    pub(super) last_scrape: Duration,
    /// Places in the snapshot's doors, with the labels; no two have the same labels.
    pub(super) doors: Vec<(usize, Labels)>,
    /// How many interfaces have no series because another one has the same labels.
    pub(super) hidden: u64,
    /// The value of the label `node`, by network namespace.
    pub(super) nodes: HashMap<NetNsId, String>,
}

impl Metrics {
    /// The metrics of `snapshot` and `tests` at a level of detail; `last_scrape` is how long the
    /// scrape before took.
    #[must_use]
    pub fn new(
        snapshot: Arc<Snapshot>,
        tests: Option<PathTests>,
        level: Level,
        last_scrape: Duration,
    ) -> Self {
        let nodes = node_labels(&snapshot);
        let (mut doors, mut labelled, mut hidden) = (Vec::new(), HashSet::new(), 0);
        for (place, door) in snapshot.doors.iter().enumerate() {
            if door.state == State::Gone || !is_shown(door, level) {
                continue;
            }
            let labels = labels(door, &nodes);
            match labelled.insert(labels.clone()) {
                true => doors.push((place, labels)),
                false => hidden += 1,
            }
        }
        Self {
            snapshot,
            tests,
            level,
            last_scrape,
            doors,
            hidden,
            nodes,
        }
    }
}

/// What left each interface for the other end of its veth pair.
pub(super) fn outward(snapshot: &Snapshot) -> HashMap<DoorId, &PairDirection> {
    let pairs = snapshot.pairs.iter();
    let ends = pairs.flat_map(|pair| pair.ends.iter().zip(&pair.directions));
    ends.map(|(end, direction)| (*end, direction)).collect()
}

fn is_shown(door: &DoorState, level: Level) -> bool {
    let of_pod = door.side == Side::Pod || matches!(door.role, Role::Pod | Role::Health);
    match level {
        Level::Door => true,
        Level::Pod => !of_pod || (door.side == Side::Pod && door.role == Role::Pod),
        Level::Node => !of_pod,
    }
}

fn labels(door: &DoorState, nodes: &HashMap<NetNsId, String>) -> Labels {
    let text = |name: &Option<_>| name.as_ref().map_or_else(String::new, ToString::to_string);
    let side = match door.side {
        Side::Node => "node",
        Side::Pod => "pod",
        Side::Host => "host",
    };
    let node = nodes.get(&door.node_netns);
    vec![
        (
            "node",
            node.cloned().unwrap_or_else(|| door.node.to_string()),
        ),
        ("namespace", text(&door.namespace)),
        ("pod", text(&door.pod)),
        ("interface", text(&door.interface)),
        ("side", side.into()),
    ]
}

/// The names of nodes; those that several nodes have are told apart by the network namespace.
fn node_labels(snapshot: &Snapshot) -> HashMap<NetNsId, String> {
    let mut numbers = BTreeMap::new();
    for node in &snapshot.nodes {
        *numbers.entry(&node.name).or_insert(0) += 1;
    }
    let label = |node: &Node| match numbers.get(&node.name) {
        Some(2..) => format!("{} {}", node.name, node.netns),
        _ => node.name.to_string(),
    };
    let nodes = snapshot.nodes.iter();
    nodes.map(|node| (node.netns, label(node))).collect()
}
