//! The expected path between nodes without Cilium, where the kernel's routes decide: a CNI plugin with a pair
//! for each pod, a bridge, a tunnel, macvlan.

use std::net::IpAddr;

use super::{
    doors::{self, PodDoors},
    path_builder::Path,
};
use crate::{
    model::{Cluster, Direction, Door, DoorId, MacvlanMode, Role},
    sys::netns::NetNsId,
    verify::{Expectation, ModeSource, NextHop, Note, Party, Place, Route, Routes},
};

/// The path by the routes of nodes without Cilium; `None` if a node has Cilium, or a route is unknown.
pub fn kernel_path(cluster: &Cluster, route: &Route, routes: &Routes) -> Option<Expectation> {
    let (from, to) = (&route.from, &route.to);
    let mut nodes = [from, to]
        .into_iter()
        .filter_map(|end| end.place.node())
        .peekable();
    nodes.peek()?;
    if nodes.any(|node| cluster.nodes.get(node).is_none_or(|node| node.cilium)) {
        return None;
    }
    let kernel = Kernel { cluster, routes };
    let itself = route.is_to_itself();
    let (request, reply) = match itself {
        true => (Vec::new(), Vec::new()),
        false => (kernel.way(from, to)?.steps, kernel.way(to, from)?.steps),
    };
    Some(Expectation {
        mode: "no Cilium".into(),
        source: ModeSource::Routes,
        request,
        reply,
        besides: Vec::new(),
        absent: Vec::new(),
        notes: itself.then_some(Note::SentToItself).into_iter().collect(),
    })
}

struct Kernel<'a> {
    cluster: &'a Cluster,
    routes: &'a Routes,
}

/// How packets leave the namespace of a pod.
#[derive(Clone, Copy)]
enum Left {
    /// By a pair, to its node.
    Node,
    /// By a port of a bridge, straight to another port.
    Port,
    /// By a device of the node, past the node's stack.
    Lower(DoorId),
}

impl<'a> Kernel<'a> {
    fn way(&self, from: &Party, to: &Party) -> Option<Path<'a>> {
        let mut path = Path {
            cluster: self.cluster,
            hooks: None,
            steps: Vec::new(),
            absent: Vec::new(),
        };
        let left = match from.place {
            Place::Pod { node, netns } => self.leave_pod(&mut path, node, netns, from, to)?,
            Place::Node { .. } | Place::Elsewhere => Left::Node,
        };
        let (here, there) = (from.place.node(), to.place.node());
        let neighbours = here.is_some() && here == there;
        let mut tunnel = false;
        match (left, here) {
            (Left::Lower(lower), _) if self.lower_of(to) == Some(lower) => {
                if self.are_bridged(from, to) {
                    // The kernel hands it to the other macvlan as if it came from outside.
                    path.cross(Some(lower), Direction::Ingress);
                } else {
                    // The switch behind the device has to send it back.
                    path.leave_by(&[lower], false);
                    path.enter_by(&[lower], false);
                }
                path.cross(self.pod(to).inner, Direction::Ingress);
                return Some(path);
            }
            (Left::Lower(lower), _) => path.leave_by(&[lower], false),
            (Left::Node, Some(node)) if !neighbours => {
                tunnel = self.leave_node(&mut path, node, to)?;
            }
            (Left::Node | Left::Port, _) => {}
        }
        if let Some(node) = there.filter(|_| !neighbours) {
            self.enter_node(&mut path, node, (from, to), tunnel);
        }
        if let Place::Pod { node, .. } = to.place {
            let bridge = self
                .bridge(node, to)
                .filter(|_| !matches!(left, Left::Port));
            path.cross(bridge, Direction::Egress);
            let pod = self.pod(to);
            path.cross(pod.outer, Direction::Egress);
            path.cross(pod.inner, Direction::Ingress);
        }
        Some(path)
    }

    fn leave_pod(
        &self,
        path: &mut Path<'_>,
        node: usize,
        netns: NetNsId,
        from: &Party,
        to: &Party,
    ) -> Option<Left> {
        let hop = self.routes.get(&(netns, to.address?))?;
        let inner = self.cluster.door(hop.door?)?;
        path.cross(Some(inner.id), Direction::Egress);
        let Some(peer) = &inner.peer else {
            return Some(Left::Lower(inner.lower.as_ref()?.id));
        };
        path.cross(Some(peer.id), Direction::Ingress);
        let bridge = self.bridge(node, from);
        let same = bridge.is_some() && self.bridge(node, to) == bridge;
        if same && to.place.node() == Some(node) && !hop.gateway {
            return Some(Left::Port);
        }
        path.cross(bridge, Direction::Ingress);
        Some(Left::Node)
    }

    /// Returns whether the packet leaves in a tunnel.
    fn leave_node(&self, path: &mut Path<'_>, node: usize, to: &Party) -> Option<bool> {
        let device = self.device(node, to.address?)?;
        let tunnel = device.role == Role::Overlay;
        if tunnel {
            path.cross(Some(device.id), Direction::Egress);
            path.leave_by(
                &doors::uplinks(self.cluster, node, &self.wire_addresses(to)),
                true,
            );
        } else {
            path.leave_by(&[device.id], false);
        }
        Some(tunnel)
    }

    fn enter_node(
        &self,
        path: &mut Path<'_>,
        node: usize,
        (from, to): (&Party, &Party),
        tunnel: bool,
    ) {
        // Packets of another node's macvlan pod, and of elsewhere, are in no tunnel.
        let mut uplinks = doors::uplinks(self.cluster, node, &self.wire_addresses(from));
        let back = from.address.and_then(|address| self.device(node, address));
        let first = match self.lower_of(to) {
            Some(lower) => Some(lower),
            None => back
                .filter(|door| door.role == Role::Uplink)
                .map(|door| door.id),
        };
        if let Some(first) = first {
            uplinks.retain(|uplink| *uplink != first);
            uplinks.insert(0, first);
        }
        path.enter_by(&uplinks, tunnel);
        if tunnel {
            let overlay = back
                .filter(|door| door.role == Role::Overlay)
                .map(|door| door.id);
            let any = || doors::device(self.cluster, node, Role::Overlay, "");
            path.cross(overlay.or_else(any), Direction::Ingress);
        }
    }

    /// The device by which a node sends to an address.
    fn device(&self, node: usize, address: IpAddr) -> Option<&'a Door> {
        let netns = self.cluster.nodes.get(node)?.netns;
        let NextHop { door, .. } = self.routes.get(&(netns, address))?;
        self.cluster.door((*door)?)
    }

    /// The bridge behind which a pod of the node is.
    fn bridge(&self, node: usize, pod: &Party) -> Option<DoorId> {
        let pod_address = pod.address.filter(|_| pod.place.netns().is_some());
        let device = self.device(node, pod_address?)?;
        (device.role == Role::Bridge).then_some(device.id)
    }

    fn pod(&self, party: &Party) -> PodDoors {
        match party.place {
            Place::Pod { node, netns } => doors::of_pod(self.cluster, node, netns, party.address),
            Place::Node { .. } | Place::Elsewhere => PodDoors::default(),
        }
    }

    /// The device below a pod's interface.
    fn lower_of(&self, party: &Party) -> Option<DoorId> {
        let inner = self.cluster.door(self.pod(party).inner?)?;
        Some(inner.lower.as_ref()?.id)
    }

    /// Whether neither of two pods has a macvlan in another mode than that in which they reach each other
    /// within their device.
    fn are_bridged(&self, from: &Party, to: &Party) -> bool {
        let mode = |end| self.cluster.door(self.pod(end).inner?)?.macvlan;
        let other = |mode: MacvlanMode| mode != MacvlanMode::Bridge;
        ![from, to].into_iter().filter_map(mode).any(other)
    }

    fn wire_addresses(&self, end: &Party) -> Vec<IpAddr> {
        match end.place.node() {
            Some(node) => doors::addresses(self.cluster, node),
            None => end.address.into_iter().collect(),
        }
    }
}
