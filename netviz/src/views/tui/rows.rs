//! The building in rows: node, room, doors.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{DoorId, DoorState, Snapshot, State as Sight, Untrusted},
    sys::netns::NetNsId,
    views::{
        building::layout::{Hallway, Layout},
        table::pair_name,
    },
};

/// What a row is of, however its place may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A node, by its network namespace: two may have one name.
    Node(NetNsId),
    /// A room, by its first door.
    Room(DoorId),
    /// A door.
    Door(DoorId),
}

/// Whether a room has come or gone a short while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was there all the time.
    Stays,
    /// It came a few seconds ago.
    New,
    /// All its doors have gone.
    Gone,
}

/// One row of the building; doors by their place in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A node, and whether its rooms are hidden.
    Node {
        /// Its name.
        name: Untrusted,
        /// Its network namespace.
        netns: NetNsId,
        /// Whether its rooms are hidden.
        folded: bool,
    },
    /// A pod, or a veth pair of another kind.
    Room {
        /// Its doors.
        doors: Vec<usize>,
        /// Whether it has come or gone.
        mark: Mark,
    },
    /// A door.
    Door {
        /// Its place in the snapshot.
        door: usize,
        /// `┌` and `└` for the two ends of a veth pair, `╶` for a door without a far end.
        joint: char,
    },
}

impl Row {
    /// What the row is of.
    #[must_use]
    pub fn key(&self, snapshot: &Snapshot) -> Key {
        match self {
            Self::Node { netns, .. } => Key::Node(*netns),
            Self::Room { doors, .. } => Key::Room(snapshot.doors[doors[0]].id),
            Self::Door { door, .. } => Key::Door(snapshot.doors[*door].id),
        }
    }
}

/// A room under construction: its veth pairs, each with one door or two.
struct Room {
    pairs: Vec<Vec<usize>>,
}

/// All rows of a snapshot that fit `filter`, a part of a pod's, node's or device's name.
pub(super) fn arrange(
    snapshot: &Snapshot,
    filter: &str,
    folded: &HashSet<NetNsId>,
    fresh: impl Fn(DoorId) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let filter = filter.to_lowercase();
    let all = rooms(snapshot);
    for (netns, node, rooms) in all {
        let mut inside = Vec::new();
        for room in rooms {
            add(&mut inside, snapshot, room, &filter, &fresh);
        }
        if inside.is_empty() && !(filter.is_empty() || node.raw().to_lowercase().contains(&filter))
        {
            continue;
        }
        // A search looks behind closed doors as well.
        let folded = filter.is_empty() && folded.contains(&netns);
        rows.push(Row::Node {
            name: node,
            netns,
            folded,
        });
        if !folded {
            rows.extend(inside);
        }
    }
    rows
}

fn add(
    rows: &mut Vec<Row>,
    snapshot: &Snapshot,
    room: Room,
    filter: &str,
    fresh: &impl Fn(DoorId) -> bool,
) {
    let door = |place: usize| &snapshot.doors[place];
    let mut pairs = room.pairs;
    // Both ends of a veth pair are shown where one of them fits.
    pairs.retain(|ends| ends.iter().any(|end| fits(door(*end), filter)));
    let doors: Vec<_> = pairs.concat();
    if doors.is_empty() {
        return;
    }
    let mark = if doors.iter().all(|place| door(*place).state == Sight::Gone) {
        Mark::Gone
    } else if doors.iter().all(|place| fresh(door(*place).id)) {
        Mark::New
    } else {
        Mark::Stays
    };
    rows.push(Row::Room { doors, mark });
    for ends in pairs {
        for (place, end) in ends.iter().enumerate() {
            let joint = match (ends.len(), place) {
                (1, _) => '╶',
                (_, 0) => '┌',
                _ => '└',
            };
            rows.push(Row::Door { door: *end, joint });
        }
    }
}

/// The rooms of each node, in the order of the snapshot; those of one pod together.
fn rooms(snapshot: &Snapshot) -> Vec<(NetNsId, Untrusted, Vec<Room>)> {
    let doors = snapshot.doors.iter().enumerate();
    let places: HashMap<_, _> = doors.map(|(place, door)| (door.id, place)).collect();
    let layout = Layout::new(snapshot);
    let mut buildings: Vec<(NetNsId, Untrusted, Vec<Room>)> = Vec::new();
    for building in &layout.buildings {
        let ends = |hall: &Hallway| {
            let mut ends: Vec<usize> = hall
                .ends()
                .filter_map(|id| places.get(&id).copied())
                .collect();
            ends.sort_unstable();
            ends
        };
        let mut halls: Vec<_> = building.halls().map(ends).collect();
        // The layout pairs the doors; how they are sorted, the person has chosen.
        halls.sort_unstable();
        let rooms = together(snapshot, halls);
        buildings.push((building.netns, building.name.clone(), rooms));
    }
    // A node without a door is there all the same.
    for node in &snapshot.nodes {
        if !buildings.iter().any(|(netns, ..)| *netns == node.netns) {
            buildings.push((node.netns, node.name.clone(), Vec::new()));
        }
    }
    let order = |netns: NetNsId| snapshot.nodes.iter().position(|node| node.netns == netns);
    buildings.sort_by_key(|(netns, ..)| order(*netns).unwrap_or(usize::MAX));
    buildings
}

/// Puts the veth pairs of one pod into one room.
fn together(snapshot: &Snapshot, halls: Vec<Vec<usize>>) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    let mut named = HashMap::new();
    for ends in halls {
        let Some(door) = ends.first().map(|place| &snapshot.doors[*place]) else {
            continue;
        };
        // One that has gone and one that came in its place under the same name are two rooms.
        let gone = door.state == Sight::Gone;
        let name = (door.namespace.clone(), pair_name(door), gone);
        let known = door.pod.as_ref().and_then(|_| named.get(&name)).copied();
        match known.and_then(|known: usize| rooms.get_mut(known)) {
            Some(room) => room.pairs.push(ends),
            None => {
                named.insert(name, rooms.len());
                let pairs = vec![ends];
                rooms.push(Room { pairs });
            }
        }
    }
    rooms
}

/// Whether a part of the pod's, node's or device's name is `filter`, in small letters.
fn fits(door: &DoorState, filter: &str) -> bool {
    if filter.is_empty() {
        return true;
    }
    let raw = |name: &Option<Untrusted>| name.as_ref().map_or("", Untrusted::raw).to_lowercase();
    let pod = format!("{}/{}", raw(&door.namespace), raw(&door.pod));
    [door.node.raw().to_lowercase(), pod, raw(&door.interface)]
        .iter()
        .any(|name| name.contains(filter))
}
