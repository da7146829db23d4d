//! Packets that cross doors as plain data: the input of the judge.

use std::time::Duration;

use netviz::{
    model::{Door, DoorId, Role, Side},
    verify::{Answer, Crossing, Expectation, Observation, ReplyKind, Step, Way},
};

/// Returns a door with default properties.
#[must_use]
pub fn door(id: DoorId, node: usize, side: Side, role: Role, interface: &str) -> Door {
    Door {
        id,
        node,
        side,
        role,
        interface: interface.into(),
        pod: None,
        namespace: None,
        named_by: None,
        kind: None,
        peer: None,
        lower: None,
        macvlan: None,
        addresses: Vec::new(),
        mac: None,
        mtu: None,
        link_state: None,
        netns_cookie: None,
        problem: None,
    }
}

/// Time between two doors.
pub const HOP: Duration = Duration::from_micros(2);
/// Time between two packets.
const INTERVAL: Duration = Duration::from_millis(1);
const ANSWER: Duration = Duration::from_micros(90);

/// Returns one packet at one step, the `place`th of its way.
#[must_use]
pub fn crossing(step: &Step, way: Way, sequence: u32, place: u32) -> Crossing {
    let back = match way {
        Way::Request => Duration::ZERO,
        Way::Reply => Duration::from_micros(50),
    };
    Crossing {
        at: INTERVAL * sequence + back + HOP * place,
        door: step.door,
        direction: step.direction,
        way,
        kind: ReplyKind::Reply,
        sequence,
        outer: step.outer,
        fragment: false,
        tunnel: None,
    }
}

/// Returns packets that cross every expected door and are answered.
#[must_use]
pub fn walked(expectation: &Expectation, sent: u32) -> Observation {
    let mut observation = Observation {
        sent,
        ..Observation::default()
    };
    for sequence in 0..sent {
        for way in [Way::Request, Way::Reply] {
            let steps = expectation.steps(way).iter().zip(0..);
            let crossed = steps.filter(|(step, _)| step.required());
            let crossings = crossed.map(|(step, place)| crossing(step, way, sequence, place));
            observation.crossings.extend(crossings);
        }
        observation.answers.insert(sequence, Answer::Reply(ANSWER));
    }
    observation
}
