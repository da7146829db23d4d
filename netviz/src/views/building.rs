//! The building, drawn: nodes, pods as rooms, interfaces as doors, veth pairs as veth pairs.
//!
//! Every form is a function of one snapshot, and all of them share [`self::layout`].

pub mod graph;
pub mod json;
pub mod layout;
pub mod svg;
pub mod text;

use std::collections::HashMap;

use super::{
    footnotes::{Footnote, Footnotes},
    sources,
    table::{self, summary},
    text::{cut_apart, cut_middle, list, rate, safe},
};
use crate::model::{DoorId, DoorState, Role, Side, Snapshot, State, Untrusted};
use layout::{Building, Hallway, Layout, WayKind, few};

/// A snapshot with its layout, as the drawings need them.
#[derive(Debug)]
pub struct Map<'a> {
    /// What is drawn.
    pub snapshot: &'a Snapshot,
    /// What stands where.
    pub layout: Layout,
    doors: HashMap<DoorId, &'a DoorState>,
}

/// One veth pair or door, with its ends.
#[derive(Clone, Copy, Debug)]
pub struct Hall<'a> {
    /// What is written above it.
    pub label: &'a Untrusted,
    /// What it is for.
    pub role: Role,
    /// The pod's end, or that of the outside; the only one of a door alone.
    pub far: &'a DoorState,
    /// The node's end.
    pub near: Option<&'a DoorState>,
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

    /// The doors of a veth pair.
    #[must_use]
    pub fn hall<'b>(&'b self, hallway: &'b Hallway) -> Option<Hall<'b>> {
        let far = self.doors.get(&hallway.far)?;
        Some(Hall {
            label: &hallway.label,
            role: hallway.role,
            far,
            near: hallway.near.and_then(|id| self.doors.get(&id).copied()),
        })
    }

    /// `mycluster-worker · 172.18.0.2/16 · pods 10.10.2.0/24 · vxlan, legacy host routing`
    #[must_use]
    pub fn heading(&self, building: &Building) -> String {
        let mut parts = vec![building.name.to_string()];
        let mut nodes = self.snapshot.nodes.iter();
        if let Some(node) = nodes.find(|node| node.netns == building.netns) {
            parts.extend(Some(list(&node.addresses, " ")).filter(|text| !text.is_empty()));
            parts.extend(summary::cluster(node));
        }
        safe(&parts.join(" · "))
    }

    /// The rooms' names in so many columns; two that differ look different.
    fn labels(&self, width: usize) -> HashMap<String, String> {
        let halls = self.layout.buildings.iter().flat_map(Building::halls);
        let mut names: Vec<_> = halls.map(|hall| hall.label.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let cut = cut_apart(&names, width);
        names
            .iter()
            .map(|name| (name.clone(), cut[name.as_str()].clone()))
            .collect()
    }

    /// Whether packets of pods crossed the building in the window and none of them this veth pair.
    /// Only said where every counter that it takes is known.
    #[must_use]
    pub fn is_off_path(&self, building: &Building, hall: &Hall<'_>) -> bool {
        let still = |door: &DoorState| {
            let none = |rate: Option<f64>| rate == Some(0.0);
            door.state == State::Counting
                && none(door.ingress.packets_per_second)
                && none(door.egress.packets_per_second)
        };
        let mut pods = building.rooms.iter().filter(|room| room.role == Role::Pod);
        hall.role == Role::CiliumHost
            && hall.doors().all(still)
            && pods.any(|room| self.hall(room).is_some_and(|room| !room.is_quiet()))
    }

    /// What more there is to say of a gate: what it is not used for, or carries.
    fn aside(&self, building: &Building, hall: &Hall<'_>) -> Option<String> {
        if self.is_off_path(building, hall) {
            return Some("not on this path".into());
        }
        let tunnel = building.gates.iter().any(|gate| gate.role == Role::Overlay);
        (hall.role == Role::Uplink && tunnel).then(|| "carries the tunnel".into())
    }

    /// `in the node's own network: kube-system/kube-proxy-x2x4k, …`
    fn residents(&self, building: &Building) -> Option<String> {
        let names = few(&building.residents);
        (!names.is_empty()).then(|| format!("{RESIDENTS}: {}", names.join(", ")))
    }

    /// What the signs mean that are in this drawing, a line for each.
    /// `lines` says how veth pairs are drawn.
    fn legend(&self, lines_mean: &str) -> Vec<String> {
        let window = self.snapshot.window_seconds;
        let window = window.map_or_else(String::new, |seconds| format!(" over {seconds:.1} s"));
        let mut lines = vec![
            format!(
                "▼ into the device, ▲ out of it, packets per second{window}; doors are never summed."
            ),
            format!("{lines_mean}. The number beside a door is its index."),
        ];
        let halls = || {
            let buildings = self.layout.buildings.iter();
            buildings.flat_map(|it| {
                it.halls()
                    .filter_map(move |hall| Some((it, self.hall(hall)?)))
            })
        };
        if halls().any(|(_, hall)| hall.near.is_none() && hall.far.peer_ifindex.is_some()) {
            lines.push("5@if6: the other end, which has index 6, is not shown.".into());
        }
        if halls().any(|(it, hall)| self.is_off_path(it, &hall)) {
            let said =
                "not on this path: packets of pods crossed the node, and none of them this door.";
            lines.push(said.into());
        }
        if let Some(way) = &self.layout.way {
            let what = match way.kind {
                WayKind::Tunnel => "the tunnel",
                WayKind::Network => "the network",
            };
            let name = way.name.as_ref().map(|name| format!(", {}", safe(name)));
            lines.push(format!(
                "Between the nodes: {what}{}.",
                name.unwrap_or_default()
            ));
        }
        if !self.snapshot.sources.is_empty() {
            lines.push(format!("names: {}", sources::line(self.snapshot)));
        }
        lines
    }
}

impl<'a> Hall<'a> {
    /// Its ends, the far one first.
    pub fn doors(&self) -> impl Iterator<Item = &'a DoorState> + use<'a> {
        [Some(self.far), self.near].into_iter().flatten()
    }

    /// Its ends from left to right, as a gate is drawn: what is outside of the node on the right.
    pub fn outwards(&self) -> (&'a DoorState, Option<&'a DoorState>) {
        match self.near {
            Some(near) if self.far.side == Side::Host => (near, Some(self.far)),
            near => (self.far, near),
        }
    }

    /// Packets per second at the busier hook of either end; `None` where no rate is known.
    #[must_use]
    pub fn busiest(&self) -> Option<f64> {
        let rates = self
            .doors()
            .flat_map(|door| [&door.ingress, &door.egress])
            .filter_map(|traffic| traffic.packets_per_second);
        rates.reduce(f64::max)
    }

    /// Whether nothing is known to have crossed it in the window.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.busiest().unwrap_or(0.0) == 0.0
    }
}

/// What pods without a door of their own are headed by.
const RESIDENTS: &str = "in the node's own network";
/// `eth0`, or what can be said.
#[must_use]
pub fn name(door: &DoorState) -> String {
    let name = door.interface.as_ref();
    name.map_or_else(|| "?".into(), Untrusted::to_string)
}

/// `▼ 12.0 ▲ 11.8`
#[must_use]
pub fn rates(door: &DoorState) -> String {
    format!(
        "▼ {} ▲ {}",
        rate(door.ingress.packets_per_second),
        rate(door.egress.packets_per_second)
    )
}

/// Why a door is not simply counted, if it is not.
#[must_use]
pub fn remark(door: &DoorState) -> Option<String> {
    let plain = door.state == State::Counting && door.reason.is_none();
    (!plain).then(|| table::state(door))
}

/// The door's index; with that of its other end, as `ip` writes it, where `alone`.
#[must_use]
pub fn index(door: &DoorState, alone: bool) -> String {
    match door.peer_ifindex.filter(|_| alone) {
        Some(peer) => format!("{}@if{peer}", door.ifindex),
        None => door.ifindex.to_string(),
    }
}

/// What is remarked below a drawing: `[1] lxc73d2e1d7cf4f 13: bypassed: …`
fn footnotes(remarks: &Footnotes) -> Vec<String> {
    let line = |(place, note): (usize, &Footnote)| {
        let number = place + 1;
        match note.places.as_slice() {
            [place] => format!("[{number}] {place}: {}", note.text),
            places => format!("[{number}] at {} doors: {}", places.len(), note.text),
        }
    };
    remarks.all().enumerate().map(line).collect()
}

/// Adds a footnote for a door that is not simply counted; its number.
fn note(remarks: &mut Footnotes, door: &DoorState) -> Option<usize> {
    remark(door)?;
    let place = format!("{} {}", cut_middle(&name(door), 15), door.ifindex);
    Some(remarks.add(door, place))
}

/// What a gate leads to, in a word.
#[must_use]
pub fn purpose(role: Role) -> Option<&'static str> {
    match role {
        Role::Overlay => Some("tunnel to other nodes"),
        Role::Encryption => Some("encryption"),
        Role::Uplink => Some("uplink"),
        Role::CiliumHost => Some("the node's own door"),
        Role::Health => Some("Cilium's health endpoint"),
        Role::Pod | Role::Veth | Role::Bridge | Role::Other => None,
    }
}
