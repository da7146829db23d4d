//! A path through the building, as `netviz verify` found it.

use std::collections::HashMap;

use crate::model::DoorId;

/// What a line between two doors carries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flow {
    /// No packet.
    Idle,
    /// Nobody counted.
    Unknown,
    /// Packets per second.
    Busy(f64),
    /// The reply of the path, and not its request.
    Reply,
    /// Packets of the path that did not come to the next door.
    Lost,
    /// The request of the path.
    Request,
}

/// What the path did at one hook of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// `3 ▲ 10/10`
    pub text: String,
    /// How to emphasise it.
    pub kind: StopKind,
}

/// How a stop is emphasised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// Of the request.
    Request,
    /// Of the reply.
    Reply,
    /// Packets were lost here.
    Lost,
}

/// One step of the path: from a door to the next one, or to what is not drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Where it begins.
    pub from: DoorId,
    /// Where it leads; `None` out of the building.
    pub to: Option<DoorId>,
    /// What it carries.
    pub flow: Flow,
}

/// A path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// What happened at each of its doors.
    pub stops: HashMap<DoorId, Vec<Stop>>,
    /// Its steps.
    pub legs: Vec<Leg>,
}

impl Flow {
    /// The one that a line with several of them shows.
    pub(super) fn strongest(flows: impl IntoIterator<Item = Self>) -> Self {
        let rank = |flow: &Self| match flow {
            Self::Idle => 0,
            Self::Unknown => 1,
            Self::Reply => 2,
            Self::Busy(_) => 3,
            Self::Lost => 4,
            Self::Request => 5,
        };
        let rate = |flow: &Self| match flow {
            Self::Busy(rate) => *rate,
            _ => 0.0,
        };
        let stronger = |a: Self, b: Self| match rank(&a).cmp(&rank(&b)) {
            std::cmp::Ordering::Less => b,
            std::cmp::Ordering::Equal if rate(&a) < rate(&b) => b,
            _ => a,
        };
        flows.into_iter().fold(Self::Idle, stronger)
    }

    /// Whether nothing is known to cross.
    pub(super) fn is_quiet(self) -> bool {
        matches!(self, Self::Idle | Self::Unknown)
    }
}
