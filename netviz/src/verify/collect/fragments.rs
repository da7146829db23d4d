//! Where packets may travel in fragments. Of those the last one alone carries the marker, and where it
//! is cut in two, nobody can recognise the packet: a door that saw nothing is hidden then, not passed by.

use crate::{
    model::{Cluster, Direction, Role},
    verify::{
        expect::doors::{self, node_of},
        observation::Way,
        route::{Expectation, Route, Step},
    },
};

/// What VXLAN and Geneve put in front of a packet in IPv4: IP, UDP, their own header, Ethernet.
const TUNNEL_HEADERS: u32 = 50;

/// A probe's form, as far as it decides on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Length of the IP packet in bytes.
    pub size: u32,
    /// It may not be fragmented (DF). What answers it always may, for the answering kernel decides.
    pub whole: bool,
}

/// Says at each step of `expectation` where a packet of this shape need not be recognised.
pub fn hide(cluster: &Cluster, route: &Route, shape: Shape, expectation: &mut Expectation) {
    let ends = [&route.from, &route.to].map(|end| node_of(&end.place));
    for way in [Way::Request, Way::Reply] {
        let (steps, sender) = match way {
            Way::Request => (&mut expectation.request, ends[0]),
            Way::Reply => (&mut expectation.reply, ends[1]),
        };
        let whole = shape.whole && way == Way::Request;
        let room = Room::of(cluster, sender, steps);
        let mut inner = room.inner.filter(|_| !whole);
        for step in steps {
            // What comes out of the tunnel was put together again, and what a router has
            // fragmented stays so until the end.
            if !step.outer && step.direction == Direction::Egress && !whole {
                inner = narrower(inner, mtu(cluster, step));
            }
            let limit = if step.outer {
                narrower(inner, room.outer)
            } else {
                inner
            };
            let too_large = limit.filter(|limit| step.required() && shape.size > *limit);
            step.fragmented = too_large.map(|limit| reason(shape, limit));
        }
    }
}

/// How long an IP packet can be without being fragmented by whoever sends it.
#[derive(Clone, Copy)]
struct Room {
    /// As it is.
    inner: Option<u32>,
    /// Inside of the tunnel's packets.
    outer: Option<u32>,
}

impl Room {
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

/// Where there is a tunnel, Cilium gives all routes of pods room for its headers.
fn of_pods(cluster: &Cluster, node: usize) -> Option<u32> {
    doors::device(cluster, node, Role::Overlay, "")?;
    let uplinks = doors::own(cluster, node, Role::Uplink);
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

fn reason(shape: Shape, limit: u32) -> String {
    format!(
        "packets of {} bytes can be in fragments here, and none of those carries the whole marker; send --size {limit} or less",
        shape.size
    )
}
