//! Where packets may travel in fragments. Only the last fragment carries the marker, and no door can
//! recognise the packet if the marker is split: a door that saw nothing is hidden then, not bypassed.

use super::doors;
use crate::{
    model::{Cluster, Direction, Role},
    verify::{
        observation::{HiddenReason, Way},
        route::{Expectation, Route, Step},
    },
};

/// Headers of VXLAN and Geneve over IPv4: IP, UDP, their own, Ethernet.
const TUNNEL_HEADERS: u32 = 50;

/// What decides whether probes are fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Length of the IP packet in bytes.
    pub size: u32,
    /// Whether probes have the DF bit. Replies never count as such: the replying kernel decides.
    pub whole: bool,
}

/// Marks the steps of `expectation` where a packet of this shape may not be recognised.
pub fn hide(cluster: &Cluster, route: &Route, shape: Shape, expectation: &mut Expectation) {
    let ends = [&route.from, &route.to].map(|end| end.place.node());
    for way in [Way::Request, Way::Reply] {
        let (steps, sender) = match way {
            Way::Request => (&mut expectation.request, ends[0]),
            Way::Reply => (&mut expectation.reply, ends[1]),
        };
        let whole = shape.whole && way == Way::Request;
        let limits = Limits::of(cluster, sender, steps);
        let mut inner = limits.inner.filter(|_| !whole);
        for step in steps {
            // Packets out of the tunnel are reassembled; what a router has fragmented stays fragmented.
            if !step.outer && step.direction == Direction::Egress && !whole {
                inner = narrower(inner, mtu(cluster, step));
            }
            let limit = if step.outer {
                narrower(inner, limits.outer)
            } else {
                inner
            };
            let too_large = limit.filter(|limit| step.required() && shape.size > *limit);
            step.fragmented = too_large.map(|limit| HiddenReason::Fragments {
                size: shape.size,
                limit,
            });
        }
    }
}

/// The longest IP packet that its sender does not fragment.
#[derive(Clone, Copy)]
struct Limits {
    /// Without a tunnel.
    inner: Option<u32>,
    /// Inside of the tunnel's packets.
    outer: Option<u32>,
}

impl Limits {
    fn of(cluster: &Cluster, sender: Option<usize>, steps: &[Step]) -> Self {
        let wire = steps.iter().filter(|step| step.outer);
        let outer = wire.filter_map(|step| mtu(cluster, step)).min();
        let outer = outer.map(|mtu| mtu.saturating_sub(TUNNEL_HEADERS));
        Self {
            inner: sender.and_then(|node| of_pods(cluster, node)),
            outer,
        }
    }
}

/// With a tunnel, Cilium lowers the MTU of all pod routes by its headers.
fn of_pods(cluster: &Cluster, node: usize) -> Option<u32> {
    doors::device(cluster, node, Role::Overlay, "")?;
    let uplinks = doors::devices(cluster, node, Role::Uplink);
    let mtu = uplinks.filter_map(|door| door.mtu).min()?;
    Some(mtu.saturating_sub(TUNNEL_HEADERS))
}

fn narrower(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn mtu(cluster: &Cluster, step: &Step) -> Option<u32> {
    cluster.door(step.door)?.mtu
}
