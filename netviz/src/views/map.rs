//! The building, drawn: nodes, pods as rooms, interfaces as doors, veth pairs as corridors.
//!
//! Every form is a function of one snapshot, and all of them share [`super::layout`].

pub mod graph;
pub mod svg;
pub mod text;

use std::collections::HashMap;

use super::{
    layout::{Building, Hallway, Layout},
    table::{self, around},
    text::{rate, safe},
};
use crate::model::{DoorId, DoorState, Role, Side, Snapshot, State};

/// A snapshot with its layout, as the drawings need them.
#[derive(Debug)]
pub struct Map<'a> {
    /// What is drawn.
    pub snapshot: &'a Snapshot,
    /// What stands where.
    pub layout: Layout,
    doors: HashMap<DoorId, &'a DoorState>,
}

/// One corridor or door, with its ends.
#[derive(Clone, Copy, Debug)]
pub struct Hall<'a> {
    /// What is written above it: not cleaned.
    pub label: &'a str,
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

    /// The doors of a corridor.
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
        let mut parts = vec![building.name.clone()];
        let mut nodes = self.snapshot.nodes.iter();
        if let Some(node) = nodes.find(|node| node.netns == building.netns) {
            parts.extend(Some(node.addresses.join(" ")).filter(|text| !text.is_empty()));
            parts.extend(around::cluster(node));
        }
        safe(&parts.join(" · "))
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

    /// Whether nothing crossed it in the window.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.busiest().unwrap_or(0.0) == 0.0
    }
}

/// `eth0`, or what can be said.
#[must_use]
pub fn name(door: &DoorState) -> String {
    match &door.interface {
        Some(name) => safe(name),
        None => "?".into(),
    }
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
