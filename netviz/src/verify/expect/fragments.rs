//! Where packets may travel in fragments. Only the last fragment carries the marker, and no door can
//! recognise the packet if the marker is split: a door that saw nothing is hidden then, not bypassed.

use super::doors;
use crate::{
    model::{Cluster, Direction, Role},
    verify::{Expectation, HiddenReason, Route, Step, Way},
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
    for way in Way::BOTH {
        let (steps, sender) = match way {
            Way::Request => (&mut expectation.request, &route.from),
            Way::Reply => (&mut expectation.reply, &route.to),
        };
        let whole = shape.whole && way == Way::Request;
        let wire = steps.iter().filter(|step| step.outer);
        let wire = wire.filter_map(|step| mtu(cluster, step)).min();
        // The longest packets that are not fragmented, inside and outside of a tunnel.
        let outer = wire.map(|mtu| mtu.saturating_sub(TUNNEL_HEADERS));
        let pods = sender.place.node().and_then(|node| of_pods(cluster, node));
        let mut inner = pods.filter(|_| !whole);
        for step in steps {
            // Packets out of the tunnel are reassembled; what a router has fragmented stays fragmented.
            if !step.outer && step.direction == Direction::Egress && !whole {
                inner = narrower(inner, mtu(cluster, step));
            }
            let limit = match step.outer {
                true => narrower(inner, outer),
                false => inner,
            };
            let size = shape.size;
            let too_large = limit.filter(|limit| step.required() && size > *limit);
            step.fragmented = too_large.map(|limit| HiddenReason::Fragments { size, limit });
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
    a.into_iter().chain(b).min()
}

fn mtu(cluster: &Cluster, step: &Step) -> Option<u32> {
    cluster.door(step.door)?.mtu
}
