//! Nodes, pods and doors in rows.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use crate::{
    model::{DoorId, DoorState, NetNsId, Snapshot, State, Untrusted},
    views::{
        building::layout::{Hallway, Layout},
        door::{Status, pair_name, state},
        query::{Pattern, Query, Subject, Term},
        text::list,
    },
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
        /// Groups that are hidden because they are idle.
        idle: usize,
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

/// The doors of a veth pair, or a single one, as a filter sees them.
pub(super) struct Ends<'a>(pub(super) &'a [&'a DoorState]);

impl Subject for Ends<'_> {
    fn fits(&self, term: &Term) -> bool {
        let any = |fits: &dyn Fn(&DoorState) -> bool| self.0.iter().any(|door| fits(door));
        let has = |name: &Option<Untrusted>, pattern: &Pattern| {
            name.as_ref().is_some_and(|name| pattern.fits(name.raw()))
        };
        let address = |fits: &dyn Fn(IpAddr) -> bool| {
            any(&|door| door.addresses.iter().any(|own| fits(own.addr())))
        };
        match term {
            Term::Word(word) => any(&|door| fields(door).to_lowercase().contains(word)),
            Term::Pod(name) => any(&|door| has(&door.pod, name) || has(&door.pod_label(), name)),
            Term::Namespace(name) => any(&|door| has(&door.namespace, name)),
            Term::Node(name) => any(&|door| name.fits(door.node.raw())),
            Term::Device(name) => any(&|door| has(&door.interface, name)),
            Term::State(word) => any(&|door| Status::of(door).word() == word),
            Term::Ip(wanted) => address(&|own| own == *wanted),
            Term::Cidr(network) => address(&|own| network.contains(&own)),
            Term::Proto(_) | Term::Port(_) => false,
        }
    }
}

/// A node without any door in view.
struct EmptyNode<'a>(&'a Untrusted);

impl Subject for EmptyNode<'_> {
    fn fits(&self, term: &Term) -> bool {
        match term {
            Term::Word(word) => self.0.raw().to_lowercase().contains(word),
            Term::Node(name) => name.fits(self.0.raw()),
            _ => false,
        }
    }
}

/// Every field that the screen shows of a door, in lines.
fn fields(door: &DoorState) -> String {
    let raw = |name: &Option<Untrusted>| name.as_ref().map_or("", Untrusted::raw).to_owned();
    let pod = door
        .pod_label()
        .map_or_else(|| pair_name(door), |it| it.raw().to_owned());
    format!(
        "{}\n{pod}\n{}\n{}\n{}\n{}\n",
        door.node.raw(),
        raw(&door.interface),
        list(&door.addresses, "\n"),
        Status::of(door).word(),
        state(door),
    )
}

/// What the rows contain.
#[derive(Debug)]
pub(super) struct Arrangement<'a> {
    pub(super) query: &'a Query,
    pub(super) folded: &'a HashSet<NetNsId>,
    /// One row for each group.
    pub(super) compact: bool,
    pub(super) hide_idle: bool,
}

/// All rows of a snapshot.
pub(super) fn arrange(
    snapshot: &Snapshot,
    arrangement: &Arrangement<'_>,
    fresh: impl Fn(DoorId) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let Arrangement { query, folded, .. } = arrangement;
    for (netns, name, groups) in groups(snapshot) {
        let mut idle = 0;
        let mut inside = Vec::new();
        for pairs in groups {
            let rows = group(snapshot, pairs, arrangement, &fresh);
            match rows.first() {
                Some(Row::Group { doors, .. })
                    if arrangement.hide_idle
                        && doors.iter().all(|door| is_idle(&snapshot.doors[*door])) =>
                {
                    idle += 1;
                }
                _ => inside.extend(rows),
            }
        }
        let is_named = !query.excludes() && query.fits(&EmptyNode(&name));
        if inside.is_empty() && idle == 0 && !is_named {
            continue;
        }
        // A filter also finds hidden doors.
        let folded = query.is_empty() && folded.contains(&netns);
        rows.push(Row::Node {
            name,
            netns,
            folded,
            idle,
        });
        if !folded {
            rows.extend(inside);
        }
    }
    rows
}

/// Whether it is seen well, and no packet crosses it.
pub(super) fn is_idle(door: &DoorState) -> bool {
    let rates = [&door.ingress, &door.egress].map(|traffic| traffic.packets_per_second);
    Status::of(door) == Status::Ok && rates == [Some(0.0); 2]
}

/// The rows of a group.
fn group(
    snapshot: &Snapshot,
    mut pairs: Vec<Pair>,
    arrangement: &Arrangement<'_>,
    fresh: &impl Fn(DoorId) -> bool,
) -> Vec<Row> {
    let door = |place: &usize| &snapshot.doors[*place];
    pairs.retain(|ends| {
        let ends: Vec<_> = ends.iter().map(door).collect();
        arrangement.query.fits(&Ends(&ends))
    });
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
    if arrangement.compact {
        return rows;
    }
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
