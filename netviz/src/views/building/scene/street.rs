//! What is between the buildings: the tunnel, and the network below it.

use super::{pen::Pen, plan::Plan};
use crate::views::building::route::Flow;

/// The place at which a building is connected with the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    /// Its row.
    pub(super) y: usize,
    /// Whether it is an end of the tunnel, or else of the network.
    pub(super) tunnel: bool,
    pub(super) flow: Flow,
}

/// Joins all ports of one kind.
pub(super) fn draw(pen: &mut Pen, plan: &Plan, ports: &[Port]) {
    for tunnel in [false, true] {
        let ports = || ports.iter().filter(|port| port.tunnel == tunnel);
        let rows = || ports().map(|port| port.y);
        let (Some(first), Some(last)) = (rows().min(), rows().max()) else {
            continue;
        };
        let flow = Flow::strongest(ports().map(|port| port.flow));
        pen.turn(0, plan.width(), false);
        if first < last {
            pen.trunk(plan.lane(tunnel, false), (first, last), flow, tunnel);
        }
    }
}
