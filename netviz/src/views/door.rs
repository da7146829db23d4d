//! One door in words, the same in every view.

use crossterm::style::Stylize as _;

use super::text::{rate, safe};
use crate::model::{Direction, DoorState, Reason, Role, State, Traffic, Untrusted};

/// How well a door is seen, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Packets that it passed on did not arrive.
    Losing,
    /// Not all packets are counted.
    Blind,
    /// Counted again, after a gap.
    Interrupted,
    /// Packets skip one of its hooks.
    Bypassed,
    /// Waits for its programs.
    Attaching,
    /// Every packet at both hooks is counted.
    Ok,
    /// The interface was removed.
    Gone,
}

impl Status {
    /// All of them, the worst first.
    pub(super) const ALL: [Self; 7] = [
        Self::Losing,
        Self::Blind,
        Self::Interrupted,
        Self::Bypassed,
        Self::Attaching,
        Self::Ok,
        Self::Gone,
    ];

    /// The status of a door.
    pub(super) fn of(door: &DoorState) -> Self {
        Self::new(door.state, door.reason.as_ref())
    }

    /// The status that a state and its reason mean.
    pub(super) fn new(state: State, reason: Option<&Reason>) -> Self {
        match (state, reason) {
            (State::Counting, None) => Self::Ok,
            (State::Counting, Some(Reason::Gap { .. })) => Self::Interrupted,
            (State::Counting, Some(_)) => Self::Losing,
            (State::Blind, Some(Reason::Pending)) => Self::Attaching,
            (State::Blind, _) => Self::Blind,
            (State::Bypassed, _) => Self::Bypassed,
            (State::Gone, _) => Self::Gone,
        }
    }

    /// Whether a person has to look at it.
    pub(super) fn is_problem(self) -> bool {
        matches!(self, Self::Losing | Self::Blind | Self::Interrupted)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Losing => "losing",
            Self::Blind => "blind",
            Self::Interrupted => "interrupted",
            Self::Bypassed => "bypassed",
            Self::Attaching => "attaching",
            Self::Ok => "ok",
            Self::Gone => "gone",
        }
    }

    /// A text in the colour of the status: one that every palette has, or faint.
    pub(super) fn coloured(self, text: &str) -> String {
        match self {
            Self::Losing => text.red().to_string(),
            Self::Blind | Self::Interrupted => text.yellow().to_string(),
            Self::Bypassed => text.cyan().to_string(),
            Self::Attaching | Self::Gone => text.dim().to_string(),
            Self::Ok => text.to_owned(),
        }
    }

    pub(super) fn sign(self) -> char {
        match self {
            Self::Losing | Self::Interrupted => '!',
            Self::Blind => '?',
            Self::Bypassed => '»',
            Self::Attaching => '…',
            Self::Ok => '✓',
            Self::Gone => '×',
        }
    }
}

/// A state and its reason.
pub(super) fn state_with(status: Status, reason: Option<String>) -> String {
    match (status, reason) {
        (Status::Losing | Status::Interrupted, Some(reason)) => reason,
        (Status::Blind | Status::Bypassed, Some(reason)) => format!("{}: {reason}", status.word()),
        // The others have no reason that says more.
        (status, _) => status.word().into(),
    }
}

/// `blind: its network namespace cannot be entered`
pub(super) fn state(door: &DoorState) -> String {
    let reason = door.reason.as_ref().map(ToString::to_string);
    state_with(Status::of(door), reason)
}

/// `eth0`, or `?`; with the device below it, as `ip` writes it: `net1@eth0`.
pub(super) fn name(door: &DoorState) -> String {
    let shown = |name: &Option<Untrusted>| name.as_ref().map(Untrusted::to_string);
    let name = shown(&door.interface).unwrap_or_else(|| "?".into());
    match &door.lower {
        None => name,
        Some(lower) => {
            let index = || format!("if{}", lower.ifindex);
            format!("{name}@{}", shown(&lower.interface).unwrap_or_else(index))
        }
    }
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
