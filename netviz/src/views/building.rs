//! The building, drawn: nodes as buildings, pods as rooms, interfaces as doors.
//!
//! Every drawing is a function of one snapshot, and all of them share [`self::layout`].

pub mod graph;
mod hall;
pub mod json;
pub mod layout;
mod legend;
pub mod route;
pub mod scene;
pub mod svg;
pub mod text;

use std::{cmp::Ordering, collections::HashMap};

use super::{
    door::{name, rates, state},
    footnotes::{Footnote, Footnotes},
    summary,
    text::{cut_apart, cut_middle, list, rate as text_of_rate, safe, short_rate, wrap},
};
use crate::model::{Direction, DoorId, DoorState, Role, Side, Snapshot, State, Traffic};
use hall::{HEALTH, Hall, Segment};
use layout::{Building, Hallway, Layout, few};
pub use legend::Origin;
use route::{Flow, Route};

/// Rooms that a building shows even if all of them are idle.
const ROOMS: usize = 6;

/// A snapshot with its layout.
#[derive(Debug)]
pub struct Map<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The places of its doors.
    pub layout: Layout,
    origin: Origin,
    /// Whether idle pods are drawn.
    idle: bool,
    route: Option<Route>,
    doors: HashMap<DoorId, &'a DoorState>,
}

impl<'a> Map<'a> {
    /// Lays out a snapshot.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            layout: Layout::new(snapshot),
            origin: Origin::default(),
            idle: false,
            route: None,
            doors: snapshot.doors.iter().map(|door| (door.id, door)).collect(),
        }
    }

    /// Adds where and when the drawing was made.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// Draws every idle pod as well.
    #[must_use]
    pub fn with_idle(self, idle: bool) -> Self {
        Self { idle, ..self }
    }

    /// Draws a path, and folds what is not on it.
    #[must_use]
    pub fn with_route(self, route: Route) -> Self {
        let route = Some(route);
        Self { route, ..self }
    }

    fn hall<'b>(&'b self, hallway: &'b Hallway) -> Option<Hall<'b>> {
        let first = *self.doors.get(&hallway.far)?;
        let second = hallway.near.and_then(|id| self.doors.get(&id).copied());
        let (far, near, outside) = match (first.side, second) {
            (Side::Host, Some(_)) => (None, second, Some(first)),
            (Side::Host | Side::Node, None) => (None, Some(first), None),
            (_, second) => (Some(first), second, None),
        };
        let way = |way: Option<&layout::Way>| way.is_some_and(|way| way.begins_at(hallway));
        Some(Hall {
            label: &hallway.label,
            role: hallway.role,
            far,
            near,
            outside,
            tunnel: way(self.layout.tunnel()),
            wire: way(self.layout.network()),
        })
    }

    /// The buildings that are drawn: with a path, those on it, the one in which it begins first.
    fn buildings(&self) -> Vec<&Building> {
        let Some(route) = &self.route else {
            return self.layout.buildings.iter().collect();
        };
        let crossed = |it: &&Building| {
            let mut halls = it.halls().filter_map(|it| self.hall(it));
            halls.any(|hall| self.is_crossed(&hall))
        };
        let mut drawn: Vec<_> = self.layout.buildings.iter().filter(crossed).collect();
        let first = route.legs.first().map(|leg| leg.from);
        drawn.sort_by_key(|it| {
            !it.halls()
                .any(|hall| hall.ends().any(|id| Some(id) == first))
        });
        drawn
    }

    /// The rooms that are drawn, the busiest first, and how many are not.
    fn rooms<'b>(&'b self, building: &'b Building) -> (Vec<Hall<'b>>, Folded) {
        let all = building.rooms.iter().filter_map(|it| self.hall(it));
        let (mut shown, idle): (Vec<_>, Vec<_>) = all.partition(|hall| match &self.route {
            Some(_) => self.is_crossed(hall),
            None => !self.is_idle(hall),
        });
        let fold = self.route.is_some() || !self.idle && shown.len() + idle.len() > ROOMS;
        let rate = |hall: &Hall<'_>| hall.busiest().unwrap_or(0.0);
        shown.sort_by(|a, b| {
            let known = a.role.cmp(&b.role);
            let busier = || rate(b).partial_cmp(&rate(a)).unwrap_or(Ordering::Equal);
            known.then_with(busier)
        });
        if !fold {
            shown.extend(idle);
            return (shown, Folded::default());
        }
        let pods = idle.iter().filter(|hall| hall.role == Role::Pod).count();
        let others = idle.len() - pods;
        (shown, Folded { pods, others })
    }

    /// The node's own doors that are drawn, and how many are not.
    fn gates<'b>(&'b self, building: &'b Building) -> (Vec<Hall<'b>>, usize) {
        let gates = building.inner.iter().chain(&building.gates);
        let gates = gates.filter_map(|it| self.hall(it));
        let (shown, folded): (Vec<_>, Vec<_>) = gates.partition(|hall| {
            self.route.is_none() || hall.role == Role::CiliumHost || self.is_crossed(hall)
        });
        (shown, folded.len())
    }

    /// Whether it is on the path.
    fn is_crossed(&self, hall: &Hall<'_>) -> bool {
        let stops = self.route.as_ref().map(|route| &route.stops);
        stops.is_some_and(|stops| hall.doors().any(|door| stops.contains_key(&door.id)))
    }

    /// Whether there is nothing to see at it.
    fn is_idle(&self, hall: &Hall<'_>) -> bool {
        hall.flow() == Flow::Idle && hall.doors().all(|door| remark(door).is_none())
    }

    /// What a part of a hall's line carries.
    fn flow(&self, hall: &Hall<'_>, segment: Segment) -> Flow {
        let Some(route) = &self.route else {
            return hall.flow();
        };
        let ids: Vec<_> = hall.doors().map(|door| door.id).collect();
        let node = |id: &DoorId| self.doors.get(id).map(|door| door.node_netns);
        let legs = route.legs.iter().filter(|leg| {
            let ends = [Some(leg.from), leg.to];
            let inside = ends.map(|end| end.is_some_and(|id| ids.contains(&id)));
            let same = leg.to.is_some_and(|to| node(&to) == node(&leg.from));
            match inside {
                [true, true] => segment == Segment::Pair,
                [false, false] => false,
                _ if same => segment == Segment::Stub,
                _ => segment == Segment::Wire,
            }
        });
        Flow::strongest(legs.map(|leg| leg.flow))
    }

    /// `mycluster-worker`, and `172.18.0.2/16 · pods 10.10.2.0/24 · vxlan, legacy host routing`
    fn heading(&self, building: &Building) -> (String, String) {
        let mut parts = Vec::new();
        let mut nodes = self.snapshot.nodes.iter();
        if let Some(node) = nodes.find(|node| node.netns == building.netns) {
            let addresses = list(&node.addresses, " ");
            parts.extend((!addresses.is_empty()).then_some(addresses));
            parts.extend(summary::cluster(node));
        }
        (building.name.to_string(), safe(&parts.join(" · ")))
    }

    /// The rooms' names, cut to `width` columns.
    fn labels(&self, width: usize) -> HashMap<String, String> {
        let halls = self.layout.buildings.iter().flat_map(Building::halls);
        cut_apart(halls.map(|hall| hall.label.to_string()), width)
    }

    /// Whether packets of pods crossed the node in the window, and none of them this veth pair:
    /// only if all of its counters are known.
    fn is_off_path(&self, building: &Building, hall: &Hall<'_>) -> bool {
        if hall.role != Role::CiliumHost || self.route.is_some() {
            return hall.role == Role::CiliumHost && !self.is_crossed(hall);
        }
        let idle = |door: &DoorState| {
            let rates = [&door.ingress, &door.egress].map(|it| it.packets_per_second);
            door.state == State::Counting && rates == [Some(0.0); 2]
        };
        let rooms = building.rooms.iter().filter_map(|it| self.hall(it));
        let mut pods = rooms.filter(|room| room.role == Role::Pod);
        hall.doors().all(idle) && pods.any(|room| !room.flow().is_quiet())
    }

    /// A remark about one of the node's own doors, or nothing.
    fn aside(&self, building: &Building, hall: &Hall<'_>) -> &'static str {
        let tunnel = building.gates.iter().any(|it| it.role == Role::Overlay);
        match hall.role {
            Role::Uplink if tunnel => "carries the tunnel",
            _ if self.is_off_path(building, hall) => "not on this path",
            _ => "",
        }
    }

    /// What is written below a door: its rates, or what the path did at it.
    fn figures(&self, door: &DoorState, rates: Rates) -> String {
        let Some(route) = &self.route else {
            let width = rates.width;
            let [ingress, egress] = [&door.ingress, &door.egress].map(|it| rates.text(it));
            let [into, out] = [Direction::Ingress, Direction::Egress].map(Direction::sign);
            return format!("{into} {ingress:>width$}  {out} {egress:>width$}");
        };
        let stops = route.stops.get(&door.id).into_iter().flatten();
        list(stops.map(|stop| &stop.text), "  ")
    }

    /// The width of the widest rate.
    fn rate_width(&self, short: bool) -> usize {
        let rates = Rates { width: 0, short };
        let doors = self.snapshot.doors.iter();
        let hooks = doors.flat_map(|door| [&door.ingress, &door.egress]);
        let widths = hooks.map(|traffic| rates.text(traffic).chars().count());
        widths.max().unwrap_or(1)
    }
}

/// How rates are written.
#[derive(Clone, Copy, Debug)]
struct Rates {
    width: usize,
    /// `1.2k`
    short: bool,
}

impl Rates {
    fn text(self, traffic: &Traffic) -> String {
        match traffic.packets_per_second {
            Some(rate) if self.short && rate != 0.0 => short_rate(rate),
            rate => text_of_rate(rate),
        }
    }
}

/// Rooms that are not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Folded {
    pods: usize,
    /// Cilium's health endpoint.
    others: usize,
}

impl Folded {
    /// `+ 12 idle pods`
    fn text(self, map: &Map<'_>) -> Option<String> {
        let kind = match map.route {
            Some(_) => "other",
            None => "idle",
        };
        let pods = match self.pods {
            0 => None,
            1 => Some(format!("1 {kind} pod")),
            pods => Some(format!("{pods} {kind} pods")),
        };
        let others = (self.others > 0).then(|| HEALTH.to_owned());
        let parts: Vec<_> = pods.into_iter().chain(others).collect();
        (!parts.is_empty()).then(|| format!("+ {}", parts.join(", ")))
    }
}

/// The heading of the pods without a door of their own.
const RESIDENTS: &str = "in the node's own network";

/// `in the node's own network: kube-system/kube-proxy-x2x4k, …`
fn residents(building: &Building, width: usize) -> Vec<String> {
    match few(&building.residents) {
        names if names.is_empty() => Vec::new(),
        names => wrap(&format!("{RESIDENTS}: {}", names.join(", ")), width, 2),
    }
}

/// Why a door is not simply counted.
fn remark(door: &DoorState) -> Option<String> {
    let plain = door.state == State::Counting && door.reason.is_none();
    (!plain).then(|| state(door))
}

/// The index of a door; if it is `single`, also that of its other end, as `ip` writes it.
fn index(door: &DoorState, single: bool) -> String {
    match door.peer_ifindex.filter(|_| single) {
        Some(peer) => format!("{}@if{peer}", door.ifindex),
        None => door.ifindex.to_string(),
    }
}

/// `[1] lxc73d2e1d7cf4f 13: bypassed: …`
fn footnote((place, note): (usize, &Footnote)) -> String {
    let number = place + 1;
    match note.places.as_slice() {
        [place] => format!("[{number}] {place}: {}", note.text),
        places => format!("[{number}] at {} doors: {}", places.len(), note.text),
    }
}

/// Adds a footnote for a door that is not simply counted. Returns `[1]`, its mark.
fn note(remarks: &mut Footnotes, door: &DoorState) -> Option<String> {
    remark(door)?;
    let place = format!("{} {}", cut_middle(&name(door), 15), door.ifindex);
    Some(format!("[{}]", remarks.add(door, place)))
}

/// Everything about a door, for a tooltip.
fn facts(door: &DoorState) -> String {
    let facts = [
        Some(format!("{} index {}", name(door), door.ifindex)),
        door.peer_ifindex
            .map(|peer| format!("other end index {peer}")),
        door.mac.as_ref().map(|mac| safe(mac)),
        Some(format!("{} pkt/s", rates(door))),
        remark(door),
    ];
    list(facts.into_iter().flatten(), "; ")
}
