//! The nodes and lines of a graph, the same in both languages.

use crate::{
    model::{DoorState, Role},
    views::{
        building::{
            Hall, Map, RESIDENTS, index,
            layout::{Building, Way, WayKind, few},
            remark,
        },
        door::{name, rates},
        text::{list, safe},
    },
};

pub(super) struct Graph {
    pub(super) clusters: Vec<Cluster>,
    /// From the node's end of a busy veth pair to the tunnel or the uplink, and from the tunnel to the
    /// uplink, with their rates.
    pub(super) links: Vec<(usize, usize, Option<f64>)>,
    /// The connections between the buildings.
    pub(super) ways: Vec<Connection>,
}

/// The tunnel or the network between the buildings.
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) tunnel: bool,
    /// The doors that lead to it, with their rates.
    pub(super) ends: Vec<(usize, Option<f64>)>,
}

/// A building.
pub(super) struct Cluster {
    pub(super) title: String,
    pub(super) edges: Vec<Edge>,
    /// Rooms that are not drawn.
    pub(super) more: Vec<String>,
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
        let layout = &map.layout;
        let connections = [(layout.tunnel(), true), (layout.network(), false)];
        let ways = connections.into_iter().filter_map(|(way, tunnel)| {
            Some(Connection {
                name: named(way?),
                tunnel,
                ends: Vec::new(),
            })
        });
        let mut graph = Self {
            clusters: Vec::new(),
            links: Vec::new(),
            ways: ways.collect(),
        };
        let mut id = 0;
        for building in map.buildings() {
            graph.add(map, building, most, &mut id);
        }
        graph.ways.retain(|way| !way.ends.is_empty());
        graph
    }

    fn add(&mut self, map: &Map<'_>, building: &Building, most: usize, id: &mut usize) {
        let (mut rooms, folded) = map.rooms(building);
        let left = rooms.len().saturating_sub(most);
        rooms.truncate(most);
        let halls = [rooms, map.gates(building).0].concat();
        let ids: Vec<_> = (*id..).step_by(2).take(halls.len()).collect();
        let outward = |role| {
            let mut all = halls.iter().zip(&ids);
            all.find(|(hall, _)| hall.role == role).map(|(_, id)| *id)
        };
        let (tunnel, uplink) = (outward(Role::Overlay), outward(Role::Uplink));
        let mut edges = Vec::new();
        for (hall, id) in halls.iter().zip(&ids) {
            let edge = edge(*id, hall, map.aside(building, hall));
            // An uplink's end on the node is the first.
            let inner = id + usize::from(hall.far.is_some() && hall.near.is_some());
            let outer = id + usize::from(edge.near.is_some());
            let onward = match hall.role {
                Role::Uplink => None,
                Role::Overlay => uplink,
                _ => tunnel.or(uplink),
            };
            let busy = hall.busiest().filter(|rate| *rate > 0.0);
            let link = onward.filter(|_| busy.is_some() || hall.role == Role::Overlay);
            self.links
                .extend(link.map(|to| (inner, to, hall.busiest())));
            for way in &mut self.ways {
                if (way.tunnel && hall.tunnel) || (!way.tunnel && hall.wire) {
                    way.ends.push((outer, edge.busiest));
                }
            }
            edges.push(edge);
        }
        *id += 2 * halls.len();
        if let Some(edge) = residents(*id, building) {
            edges.push(edge);
            *id += 2;
        }
        let pods = if left == 1 { "pod" } else { "pods" };
        let more = format!("and {left} more {pods}, not busier than these: netviz map -o svg");
        let more = (left > 0).then_some(more);
        let (name, rest) = map.heading(building);
        self.clusters.push(Cluster {
            title: format!("{name} · {rest}")
                .trim_end_matches(" · ")
                .to_owned(),
            edges,
            more: folded.text(map).into_iter().chain(more).collect(),
        });
    }
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
    let mut doors = hall.doors();
    let mut far = vec![title];
    far.extend(
        doors
            .next()
            .into_iter()
            .flat_map(|far| door(far, hall.is_single())),
    );
    far.push(aside.into());
    far.retain(|line| !line.is_empty());
    Edge {
        id,
        far,
        near: doors.next().map(|near| door(near, false)),
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
fn named(way: &Way) -> String {
    let kind = match way.kind {
        WayKind::Tunnel => "tunnel",
        WayKind::Network => "network",
    };
    let name = way.name.as_deref().map(safe).unwrap_or_default();
    format!("{kind} {name}").trim_end().to_owned()
}
