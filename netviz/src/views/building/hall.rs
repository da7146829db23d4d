//! A veth pair, or a single door, as the drawings show it.

use super::route::Flow;
use crate::model::{DoorState, Role, Untrusted};

/// A veth pair, or a single door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hall<'a> {
    /// Written above it.
    pub(super) label: &'a Untrusted,
    pub(super) role: Role,
    /// The end in the pod, or the farther one of two on the node.
    pub(super) far: Option<&'a DoorState>,
    /// The node's end.
    pub(super) near: Option<&'a DoorState>,
    /// The end outside of the node.
    pub(super) outside: Option<&'a DoorState>,
    /// Whether it is an end of the tunnel, or of the network between the buildings.
    pub(super) tunnel: bool,
    pub(super) wire: bool,
}

/// A part of the line that leads from a hall to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// Between its ends.
    Pair,
    /// From the node's end to the other doors of the node.
    Stub,
    /// To the other nodes.
    Wire,
}

/// The label of Cilium's health endpoint.
pub(super) const HEALTH: &str = "Cilium's health endpoint";

impl<'a> Hall<'a> {
    /// Its ends, the inner one first.
    pub(super) fn doors(&self) -> impl Iterator<Item = &'a DoorState> + use<'a> {
        [self.far, self.near, self.outside].into_iter().flatten()
    }

    /// Packets per second at the busier hook of either end; `None` if no rate is known.
    pub(super) fn busiest(&self) -> Option<f64> {
        let hooks = self.doors().flat_map(|door| [&door.ingress, &door.egress]);
        let rates = hooks.filter_map(|traffic| traffic.packets_per_second);
        rates.reduce(f64::max)
    }

    /// What it carried in the window.
    pub(super) fn flow(&self) -> Flow {
        match self.busiest() {
            None => Flow::Unknown,
            Some(0.0) => Flow::Idle,
            Some(rate) => Flow::Busy(rate),
        }
    }

    /// What it is for, if it is not a pod's.
    pub(super) fn purpose(&self) -> &'static str {
        match self.role {
            Role::Overlay => "tunnel to other nodes",
            Role::Encryption => "encryption",
            Role::Uplink => "uplink",
            Role::CiliumHost => "the node's own door",
            Role::Health => HEALTH,
            Role::Pod | Role::Veth | Role::Bridge | Role::Other => "",
        }
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        let addresses = self.doors().flat_map(|door| &door.addresses);
        addresses.map(ToString::to_string).collect()
    }

    /// Whether one of two ends is all that is known of it.
    pub(super) fn is_single(&self) -> bool {
        self.doors().count() == 1
    }
}
