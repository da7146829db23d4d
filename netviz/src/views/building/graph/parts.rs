//! The nodes and lines of a graph, the same in both languages.

use crate::{
    model::{DoorState, Role},
    views::{
        building::{
            Hall, Map, RESIDENTS, index,
            layout::{Building, WayKind, few},
            remark,
        },
        door::{name, rates},
        text::{list, safe},
    },
};

pub(super) struct Graph {
    pub(super) clusters: Vec<Cluster>,
    /// The connection between the buildings, in words.
    pub(super) way: Option<String>,
    /// The doors that lead to it, with their rates.
    pub(super) ends: Vec<(usize, Option<f64>)>,
}

/// A building.
pub(super) struct Cluster {
    pub(super) title: String,
    pub(super) edges: Vec<Edge>,
    /// The number of rooms that are left out.
    pub(super) left: usize,
}

/// A veth pair, or a box without one.
pub(super) struct Edge {
    /// The number of its far end; that of the near end is the next.
    pub(super) id: usize,
    /// The lines in the box of each end, the far one with the room's name.
    pub(super) far: Vec<String>,
    pub(super) near: Option<Vec<String>>,
    /// The rate of its busiest hook.
    pub(super) busiest: Option<f64>,
}

impl Edge {
    pub(super) fn is_quiet(&self) -> bool {
        self.busiest == Some(0.0)
    }
}

impl Graph {
    /// A graph of the busiest `most` rooms of each building.
    pub(super) fn new(map: &Map<'_>, most: usize) -> Self {
        let mut graph = Self {
            clusters: Vec::new(),
            way: None,
            ends: Vec::new(),
        };
        let mut id = 0;
        for building in &map.layout.buildings {
            let mut edges = Vec::new();
            for hall in busiest(map, building, most).chain(map.gates(building)) {
                let edge = edge(id, &hall.outwards(), map.aside(building, &hall));
                if hall.joined {
                    // From the outermost end.
                    let outer = id + usize::from(edge.near.is_some());
                    graph.ends.push((outer, edge.busiest));
                }
                edges.push(edge);
                id += 2;
            }
            if let Some(edge) = residents(id, building) {
                edges.push(edge);
                id += 2;
            }
            graph.clusters.push(Cluster {
                title: map.heading(building),
                edges,
                left: building.rooms.len().saturating_sub(most),
            });
        }
        graph.way = way(map).filter(|_| !graph.ends.is_empty());
        graph
    }
}

/// The busiest rooms of a building, in its order. Of equally busy rooms, the first ones stay.
fn busiest<'a>(
    map: &'a Map<'_>,
    building: &'a Building,
    most: usize,
) -> impl Iterator<Item = Hall<'a>> {
    let rate = |hall: &Hall<'_>| hall.busiest().unwrap_or(0.0);
    let mut rooms: Vec<_> = map.rooms(building).enumerate().collect();
    rooms.sort_by(|(_, a), (_, b)| rate(b).total_cmp(&rate(a)));
    rooms.truncate(most);
    rooms.sort_by_key(|(place, _)| *place);
    rooms.into_iter().map(|(_, hall)| hall)
}

/// The pods without a door of their own, in one box.
fn residents(id: usize, building: &Building) -> Option<Edge> {
    let names = few(&building.residents);
    (!names.is_empty()).then(|| Edge {
        id,
        far: [vec![RESIDENTS.into()], names].concat(),
        near: None,
        busiest: None,
    })
}

fn edge(id: usize, hall: &Hall<'_>, aside: &str) -> Edge {
    let title = match hall.role {
        Role::Pod | Role::Health => hall.label.to_string(),
        _ => hall.purpose().to_owned(),
    };
    let mut far = vec![title];
    far.extend(door(hall.far, hall.near.is_none()));
    far.push(aside.into());
    far.retain(|line| !line.is_empty());
    Edge {
        id,
        far,
        near: hall.near.map(|near| door(near, false)),
        busiest: hall.busiest(),
    }
}

/// `eth0 8`, `▼ 12.0 ▲ 12.0`, its addresses, and a remark.
fn door(door: &DoorState, single: bool) -> Vec<String> {
    let mut lines = vec![
        format!("{} {}", name(door), index(door, single)),
        rates(door),
    ];
    if !door.addresses.is_empty() {
        lines.push(list(&door.addresses, " "));
    }
    lines.extend(remark(door).map(|remark| format!("! {remark}")));
    lines
}

/// `tunnel vxlan`
fn way(map: &Map<'_>) -> Option<String> {
    let way = map.layout.way.as_ref()?;
    let kind = match way.kind {
        WayKind::Tunnel => "tunnel",
        WayKind::Network => "network",
    };
    let name = way.name.as_deref().map(safe).unwrap_or_default();
    Some(format!("{kind} {name}").trim_end().to_owned())
}
