//! The building, drawn: nodes as buildings, pods as rooms, interfaces as doors.
//!
//! Every drawing is a function of one snapshot, and all of them share [`self::layout`].

pub mod graph;
pub mod json;
pub mod layout;
pub mod svg;
pub mod text;

use std::collections::HashMap;

use super::{
    door::{name, state},
    footnotes::{Footnote, Footnotes},
    sources, summary,
    text::{cut_apart, cut_middle, list, safe, wrap},
};
use crate::model::{DoorId, DoorState, Role, Side, Snapshot, State, Untrusted};
use layout::{Building, Hallway, Layout, WayKind, few};

/// A snapshot with its layout.
#[derive(Debug)]
pub struct Map<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The places of its doors.
    pub layout: Layout,
    doors: HashMap<DoorId, &'a DoorState>,
}

/// A veth pair, or a single door.
#[derive(Clone, Copy, Debug)]
struct Hall<'a> {
    /// Written above it.
    label: &'a Untrusted,
    role: Role,
    /// The pod's end, or the outer one; the only end of a single door.
    far: &'a DoorState,
    /// The node's end.
    near: Option<&'a DoorState>,
    /// Whether it connects its building with the others.
    joined: bool,
}

impl<'a> Map<'a> {
    /// Lays out a snapshot.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            layout: Layout::new(snapshot),
            doors: snapshot.doors.iter().map(|door| (door.id, door)).collect(),
        }
    }

    fn hall<'b>(&'b self, hallway: &'b Hallway) -> Option<Hall<'b>> {
        let way = self.layout.way.as_ref();
        Some(Hall {
            label: &hallway.label,
            role: hallway.role,
            far: self.doors.get(&hallway.far)?,
            near: hallway.near.and_then(|id| self.doors.get(&id).copied()),
            joined: way.is_some_and(|way| way.begins_at(hallway)),
        })
    }

    fn rooms<'b>(&'b self, building: &'b Building) -> impl Iterator<Item = Hall<'b>> {
        building.rooms.iter().filter_map(|it| self.hall(it))
    }

    /// The node's own doors.
    fn gates<'b>(&'b self, building: &'b Building) -> impl Iterator<Item = Hall<'b>> {
        let gates = building.inner.iter().chain(&building.gates);
        gates.filter_map(|it| self.hall(it))
    }

    /// `mycluster-worker · 172.18.0.2/16 · pods 10.10.2.0/24 · vxlan, legacy host routing`
    fn heading(&self, building: &Building) -> String {
        let mut parts = vec![building.name.to_string()];
        let mut nodes = self.snapshot.nodes.iter();
        if let Some(node) = nodes.find(|node| node.netns == building.netns) {
            let addresses = list(&node.addresses, " ");
            parts.extend((!addresses.is_empty()).then_some(addresses));
            parts.extend(summary::cluster(node));
        }
        safe(&parts.join(" · "))
    }

    /// The rooms' names, cut to `width` columns.
    fn labels(&self, width: usize) -> HashMap<String, String> {
        let halls = self.layout.buildings.iter().flat_map(Building::halls);
        cut_apart(halls.map(|hall| hall.label.to_string()), width)
    }

    /// Whether packets of pods crossed the node in the window, and none of them this veth pair:
    /// only if all of its counters are known.
    fn is_off_path(&self, building: &Building, hall: &Hall<'_>) -> bool {
        let idle = |door: &DoorState| {
            let rates = [&door.ingress, &door.egress].map(|it| it.packets_per_second);
            door.state == State::Counting && rates == [Some(0.0); 2]
        };
        let mut pods = self.rooms(building).filter(|room| room.role == Role::Pod);
        hall.role == Role::CiliumHost && hall.doors().all(idle) && pods.any(|room| !room.is_quiet())
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

    /// The remarks and the legend below a drawing; `lines` explains how veth pairs are drawn.
    fn below(&self, remarks: &Footnotes, lines: &str, width: usize) -> Vec<String> {
        let remarks = remarks.all().enumerate().map(footnote);
        let mut below: Vec<_> = remarks.flat_map(|it| wrap(&it, width, 4)).collect();
        let legend = self.legend(lines);
        below.extend(legend.iter().flat_map(|it| wrap(it, width, 2)));
        below
    }

    fn legend(&self, lines: &str) -> Vec<String> {
        let window = self.snapshot.window_seconds;
        let window = window.map_or_else(String::new, |seconds| format!(" over {seconds:.1} s"));
        let mut legend = vec![
            format!(
                "▼ into the device, ▲ out of it, packets per second{window}; doors are never summed."
            ),
            format!("{lines}. The number beside a door is its index."),
        ];
        let buildings = || self.layout.buildings.iter();
        let hidden = |hall: &Hall<'_>| hall.near.is_none() && hall.far.peer_ifindex.is_some();
        let mut halls = buildings().flat_map(|it| self.rooms(it).chain(self.gates(it)));
        if halls.any(|hall| hidden(&hall)) {
            legend.push("5@if6: the other end, with index 6, is not shown.".into());
        }
        if buildings().any(|it| self.gates(it).any(|hall| self.is_off_path(it, &hall))) {
            let meaning = "not on this path: packets of pods crossed the node, but not this door.";
            legend.push(meaning.into());
        }
        if let Some(way) = &self.layout.way {
            let kind = match way.kind {
                WayKind::Tunnel => "the tunnel",
                WayKind::Network => "the network",
            };
            let name = way.name.as_ref().map(|name| format!(", {}", safe(name)));
            let name = name.unwrap_or_default();
            legend.push(format!("Between the nodes: {kind}{name}."));
        }
        if !self.snapshot.sources.is_empty() {
            legend.push(format!("names: {}", sources::line(self.snapshot)));
        }
        legend
    }
}

impl<'a> Hall<'a> {
    /// Its ends, the far one first.
    fn doors(&self) -> impl Iterator<Item = &'a DoorState> + use<'a> {
        [Some(self.far), self.near].into_iter().flatten()
    }

    /// With its ends from left to right: what is outside of the node is on the right.
    fn outwards(self) -> Self {
        match self.near {
            Some(near) if self.far.side == Side::Host => Self {
                far: near,
                near: Some(self.far),
                ..self
            },
            _ => self,
        }
    }

    /// Packets per second at the busier hook of either end; `None` if no rate is known.
    fn busiest(&self) -> Option<f64> {
        let hooks = self.doors().flat_map(|door| [&door.ingress, &door.egress]);
        let rates = hooks.filter_map(|traffic| traffic.packets_per_second);
        rates.reduce(f64::max)
    }

    /// Whether no packet is known to have crossed it in the window.
    fn is_quiet(&self) -> bool {
        self.busiest().unwrap_or(0.0) == 0.0
    }

    /// What it is for, if it is not a pod's.
    fn purpose(&self) -> &'static str {
        match self.role {
            Role::Overlay => "tunnel to other nodes",
            Role::Encryption => "encryption",
            Role::Uplink => "uplink",
            Role::CiliumHost => "the node's own door",
            Role::Health => "Cilium's health endpoint",
            Role::Pod | Role::Veth | Role::Bridge | Role::Other => "",
        }
    }

    fn addresses(&self) -> Vec<String> {
        let addresses = self.doors().flat_map(|door| &door.addresses);
        addresses.map(ToString::to_string).collect()
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
