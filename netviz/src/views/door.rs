//! One door in words, the same in every view.

use super::text::{rate, safe};
use crate::model::{Direction, DoorState, Role, State, Traffic, Untrusted};

/// A state.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Counting => "counting",
        State::Blind => "blind",
        State::Bypassed => "bypassed",
        State::Gone => "gone",
    }
}

/// A state and its reason.
pub(super) fn state_with(state: State, reason: Option<String>) -> String {
    match (state, reason) {
        (State::Counting, Some(reason)) => reason,
        (state, Some(reason)) => format!("{}: {reason}", word(state)),
        (state, None) => word(state).into(),
    }
}

/// `blind: not attached yet`
pub(super) fn state(door: &DoorState) -> String {
    state_with(door.state, door.reason.as_ref().map(ToString::to_string))
}

/// `eth0`, or `?`.
pub(super) fn name(door: &DoorState) -> String {
    let name = door.interface.as_ref();
    name.map_or_else(|| "?".into(), Untrusted::to_string)
}

/// `▼ 12.0 ▲ 11.8`
pub(super) fn rates(door: &DoorState) -> String {
    let [ingress, egress] =
        [&door.ingress, &door.egress].map(|traffic| rate(traffic.packets_per_second));
    format!("▼ {ingress} ▲ {egress}")
}

/// Both hooks.
pub(super) fn hooks(door: &DoorState) -> [(Direction, &Traffic); 2] {
    [
        (Direction::Ingress, &door.ingress),
        (Direction::Egress, &door.egress),
    ]
}

/// The pod, or what the interface is for.
pub(super) fn pair_name(door: &DoorState) -> String {
    if let Some(pod) = door.pod_label() {
        return pod.to_string();
    }
    let name = match door.role {
        Role::Pod => "pod",
        Role::Health => "lxc_health",
        Role::CiliumHost => "cilium_net ═ cilium_host",
        Role::Overlay => "tunnel",
        Role::Encryption => "encryption",
        Role::Uplink => match door.addresses.first() {
            Some(address) => return format!("uplink {address}"),
            None => "uplink",
        },
        Role::Veth => "veth pair",
        Role::Bridge => "bridge",
        Role::Other => match &door.kind {
            Some(kind) => return safe(&kind.to_string()),
            None => "other",
        },
    };
    name.into()
}
