//! The building as a graph: Mermaid for a README, DOT for Graphviz.

mod dot;
pub(in crate::views) mod mermaid;

pub use dot::dot;
pub use mermaid::mermaid;

use super::{
    Hall, Map, index,
    layout::{Building, few},
    name, rates, remark,
};
use crate::{
    model::{DoorState, Role},
    views::text::{list, safe},
};

/// A veth pair as both languages draw it.
struct Edge {
    /// What is written at its ends, in lines: the far one with the room's name.
    far: Vec<String>,
    near: Option<Vec<String>>,
    /// The rate of its busiest hook.
    busiest: Option<f64>,
    /// Whether the other buildings are reached by it.
    joined: bool,
}

impl Edge {
    fn is_quiet(&self) -> bool {
        self.busiest == Some(0.0)
    }
}

/// Everything in a building, the busiest `most` rooms of it; how many are left out.
fn pairs(map: &Map<'_>, building: &Building, most: usize) -> (Vec<Edge>, usize) {
    let mut rooms: Vec<_> = building.rooms.iter().collect();
    let left = rooms.len().saturating_sub(most);
    if left > 0 {
        let busiest = |it: &_| map.hall(it).and_then(|hall| hall.busiest());
        // Of those that are alike, the first ones stay.
        rooms.sort_by(|a, b| {
            busiest(b)
                .unwrap_or(0.0)
                .total_cmp(&busiest(a).unwrap_or(0.0))
        });
        rooms.truncate(most);
        rooms.sort_by_key(|room| building.rooms.iter().position(|it| it == *room));
    }
    let way = map.layout.way.as_ref();
    let others = building.inner.iter().chain(&building.gates);
    let halls = rooms.into_iter().chain(others);
    let pair = |hallway| {
        let hall = map.hall(hallway)?;
        let aside = map.aside(building, &hall);
        let joined = way.is_some_and(|way| way.begins_at(hallway));
        Some(pair(&hall, aside, joined))
    };
    (
        halls.filter_map(pair).chain(residents(building)).collect(),
        left,
    )
}

/// Pods that share the node's doors, in a box of their own.
fn residents(building: &Building) -> Option<Edge> {
    let names = few(&building.residents);
    (!names.is_empty()).then(|| Edge {
        far: [vec![super::RESIDENTS.into()], names].concat(),
        near: None,
        busiest: None,
        joined: false,
    })
}

fn pair(hall: &Hall<'_>, aside: Option<String>, joined: bool) -> Edge {
    let (first, second) = hall.outwards();
    let named = matches!(hall.role, Role::Pod | Role::Health);
    let mut far = Vec::new();
    match super::purpose(hall.role) {
        _ if named => far.push(hall.label.to_string()),
        purpose => far.extend(purpose.map(str::to_owned)),
    }
    far.extend(door(first, second.is_none()));
    far.extend(aside);
    Edge {
        far,
        near: second.map(|second| door(second, false)),
        busiest: hall.busiest(),
        joined,
    }
}

/// `eth0 8`, `▼ 12.0 ▲ 12.0`, its addresses, and what there is to remark.
fn door(door: &DoorState, alone: bool) -> Vec<String> {
    let mut lines = vec![
        format!("{} {}", name(door), index(door, alone)),
        rates(door),
    ];
    if !door.addresses.is_empty() {
        lines.push(list(&door.addresses, " "));
    }
    lines.extend(remark(door).map(|remark| format!("! {remark}")));
    lines
}

/// What is between the nodes, in a word.
fn way(map: &Map<'_>) -> Option<String> {
    let way = map.layout.way.as_ref()?;
    let what = match way.kind {
        crate::views::building::layout::interconnect::WayKind::Tunnel => "tunnel",
        crate::views::building::layout::interconnect::WayKind::Network => "network",
    };
    let name = way.name.as_deref().map(safe).unwrap_or_default();
    Some(format!("{what} {name}").trim_end().to_owned())
}
