//! Nodes, pods and doors in rows.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{DoorId, DoorState, NetNsId, Snapshot, State, Untrusted},
    views::building::layout::{Hallway, Layout},
};

/// Identifies a row, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A node, by its network namespace: two may have one name.
    Node(NetNsId),
    /// A group, by its first door.
    Group(DoorId),
    /// A door.
    Door(DoorId),
}

/// Whether a group has just appeared or disappeared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Neither.
    Stays,
    /// It appeared a few seconds ago.
    New,
    /// All its doors were removed.
    Gone,
}

/// One row; doors are indexes of the snapshot's doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A node.
    Node {
        /// Its name.
        name: Untrusted,
        /// Its network namespace.
        netns: NetNsId,
        /// Whether its groups are hidden.
        folded: bool,
    },
    /// A pod, or a veth pair or interface of no pod.
    Group {
        /// Its doors.
        doors: Vec<usize>,
        /// Whether it has just appeared or disappeared.
        mark: Mark,
    },
    /// A door.
    Door {
        /// Its index.
        door: usize,
        /// `┌` and `└` for the two ends of a veth pair, `╶` for a single door.
        joint: char,
    },
}

impl Row {
    /// The row's identity.
    #[must_use]
    pub fn key(&self, snapshot: &Snapshot) -> Key {
        match self {
            Self::Node { netns, .. } => Key::Node(*netns),
            Self::Group { doors, .. } => Key::Group(snapshot.doors[doors[0]].id),
            Self::Door { door, .. } => Key::Door(snapshot.doors[*door].id),
        }
    }
}

/// The doors of a veth pair, or a single one.
type Pair = Vec<usize>;

/// All rows of a snapshot whose pod, node or interface contains `filter`.
pub(super) fn arrange(
    snapshot: &Snapshot,
    filter: &str,
    folded: &HashSet<NetNsId>,
    fresh: impl Fn(DoorId) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let filter = filter.to_lowercase();
    for (netns, name, groups) in groups(snapshot) {
        let groups = groups.into_iter();
        let inside: Vec<_> = groups
            .flat_map(|pairs| group(snapshot, pairs, &filter, &fresh))
            .collect();
        if inside.is_empty() && !name.raw().to_lowercase().contains(&filter) {
            continue;
        }
        // A filter also finds hidden doors.
        let folded = filter.is_empty() && folded.contains(&netns);
        rows.push(Row::Node {
            name,
            netns,
            folded,
        });
        if !folded {
            rows.extend(inside);
        }
    }
    rows
}

/// The rows of a group.
fn group(
    snapshot: &Snapshot,
    mut pairs: Vec<Pair>,
    filter: &str,
    fresh: &impl Fn(DoorId) -> bool,
) -> Vec<Row> {
    let door = |place: &usize| &snapshot.doors[*place];
    // Both ends of a veth pair are shown if one of them matches.
    pairs.retain(|ends| ends.iter().any(|end| fits(door(end), filter)));
    let doors: Vec<_> = pairs.concat();
    if doors.is_empty() {
        return Vec::new();
    }
    let mark = if doors.iter().all(|place| door(place).state == State::Gone) {
        Mark::Gone
    } else if doors.iter().all(|place| fresh(door(place).id)) {
        Mark::New
    } else {
        Mark::Stays
    };
    let mut rows = vec![Row::Group { doors, mark }];
    for ends in pairs {
        let joints = if ends.len() == 1 { "╶" } else { "┌└" };
        let ends = ends.into_iter().zip(joints.chars());
        rows.extend(ends.map(|(door, joint)| Row::Door { door, joint }));
    }
    rows
}

/// The groups of each node, in the order of the snapshot.
fn groups(snapshot: &Snapshot) -> Vec<(NetNsId, Untrusted, Vec<Vec<Pair>>)> {
    let doors = snapshot.doors.iter().enumerate();
    let places: HashMap<_, _> = doors.map(|(place, door)| (door.id, place)).collect();
    let ends = |hallway: &Hallway| {
        let ends = hallway.ends().filter_map(|id| places.get(&id).copied());
        let mut ends: Pair = ends.collect();
        ends.sort_unstable();
        ends
    };
    let layout = Layout::new(snapshot);
    let buildings = layout.buildings.iter().map(|building| {
        // The layout pairs the doors; the snapshot has the order that the user chose.
        let mut pairs: Vec<_> = building.halls().map(ends).collect();
        pairs.sort_unstable();
        let groups = together(snapshot, pairs);
        (building.netns, building.name.clone(), groups)
    });
    let mut nodes: Vec<_> = buildings.collect();
    // Nodes without a door.
    for node in &snapshot.nodes {
        if !nodes.iter().any(|(netns, ..)| *netns == node.netns) {
            nodes.push((node.netns, node.name.clone(), Vec::new()));
        }
    }
    let order = |netns: NetNsId| snapshot.nodes.iter().position(|node| node.netns == netns);
    nodes.sort_by_key(|(netns, ..)| order(*netns).unwrap_or(usize::MAX));
    nodes
}

/// Groups the veth pairs of one pod.
fn together(snapshot: &Snapshot, pairs: Vec<Pair>) -> Vec<Vec<Pair>> {
    let mut groups: Vec<Vec<Pair>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for pair in pairs {
        let door = pair.first().map(|place| &snapshot.doors[*place]);
        let Some(door) = door.filter(|door| door.pod.is_some()) else {
            groups.push(vec![pair]);
            continue;
        };
        // A removed pod, and a new one with the same name, are two groups.
        let gone = door.state == State::Gone;
        match known.get(&(door.pod_label(), gone)) {
            Some(group) => groups[*group].push(pair),
            None => {
                known.insert((door.pod_label(), gone), groups.len());
                groups.push(vec![pair]);
            }
        }
    }
    groups
}

/// Whether a name of the door contains `filter`, in lower case.
fn fits(door: &DoorState, filter: &str) -> bool {
    let raw = |name: &Option<Untrusted>| name.as_ref().map_or("", Untrusted::raw).to_lowercase();
    let pod = format!("{}/{}", raw(&door.namespace), raw(&door.pod));
    let names = [door.node.raw().to_lowercase(), pod, raw(&door.interface)];
    names.iter().any(|name| name.contains(filter))
}
