//! Builds a path of its parts: leaving an end, the network between the nodes, arriving.
//!
//! The doors are those measured on a running Cilium (`tests/fixtures/cilium`), surprises included:
//! `cilium_host` is on the path between pods only with native routing and legacy host routing, at the
//! receiving node; and a node's own packets cross the lxc even with BPF host routing.

use std::net::IpAddr;

use super::{
    doors::{self, PodDoors, node_name},
    mode,
};
use crate::{
    model::{CILIUM_HOST, Cluster, Direction, DoorId, Role},
    verify::{Detour, Hooks, Mode, Step},
};

/// The helper that redirects a packet into a pod, bypassing the lxc.
const REDIRECT_PEER: &str = "bpf_redirect_peer";

const CILIUM_NET: &str = "cilium_net";

/// How a packet reaches its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// From the node itself.
    OwnNode,
    /// From a pod of the same node.
    Neighbour,
    /// Out of the tunnel.
    Overlay,
    /// From the network, without a tunnel.
    Uplink,
}

/// A path under construction.
pub(super) struct Path<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) hooks: Option<&'a Hooks>,
    pub(super) steps: Vec<Step>,
    /// Devices of the path that do not exist.
    pub(super) absent: Vec<Detour>,
}

impl Path<'_> {
    /// Adds one step, if the door is known.
    pub(super) fn cross(&mut self, door: Option<DoorId>, direction: Direction) {
        let step = door.map(|door| Step::new(door, direction));
        self.steps.extend(step);
    }

    /// Out of a pod, up to its lxc.
    pub(super) fn leave_pod(&mut self, pod: PodDoors) {
        self.cross(pod.inner, Direction::Egress);
        self.cross(pod.outer, Direction::Ingress);
    }

    /// Into a pod.
    pub(super) fn enter_pod(&mut self, pod: PodDoors, node: usize, mode: Mode, by: By) {
        let own_route = self.own_route(pod, mode);
        let by_host = match by {
            By::OwnNode => !own_route,
            By::Uplink => !own_route && !mode.host_routing,
            By::Neighbour | By::Overlay => false,
        };
        if by_host {
            self.cilium(node, CILIUM_HOST, Direction::Egress);
        }
        let skipped = by != By::OwnNode && mode.host_routing && !own_route;
        self.steps.extend(pod.outer.map(|lxc| Step {
            skipped_by: skipped.then_some(REDIRECT_PEER),
            ..Step::new(lxc, Direction::Egress)
        }));
        self.cross(pod.inner, Direction::Ingress);
    }

    /// Pods keep the route that they were created with: the program at the lxc shows it; the mode
    /// decides if that is unknown.
    fn own_route(&self, pod: PodDoors, mode: Mode) -> bool {
        let chain = pod.outer.zip(self.hooks).and_then(|(lxc, hooks)| {
            let chain = hooks.get(&(lxc, Direction::Egress))?;
            Some(mode::runs(chain, mode::TO_CONTAINER))
        });
        chain.unwrap_or(mode.endpoint_routes)
    }

    /// From the node itself into the tunnel.
    pub(super) fn leave_by_router(&mut self, node: usize) {
        self.cilium(node, CILIUM_HOST, Direction::Egress);
    }

    /// Out of the tunnel to the node itself.
    pub(super) fn enter_by_router(&mut self, node: usize) {
        self.cilium(node, CILIUM_NET, Direction::Egress);
        self.cilium(node, CILIUM_HOST, Direction::Ingress);
    }

    /// Out of a node, with or without the tunnel.
    pub(super) fn onto_wire(&mut self, node: usize, towards: &[IpAddr], tunnel: bool) {
        if tunnel {
            self.overlay(node, Direction::Egress);
        }
        self.leave_by(&doors::uplinks(self.cluster, node, towards), tunnel);
    }

    /// Out of a node by the first of these uplinks, or another one; `outer`: inside of a tunnel's packet.
    pub(super) fn leave_by(&mut self, uplinks: &[DoorId], outer: bool) {
        self.wire(uplinks, Direction::Egress, outer);
        self.wire(&self.far_ends(uplinks), Direction::Ingress, outer);
    }

    /// Into a node by the first of these uplinks, or another one.
    pub(super) fn enter_by(&mut self, uplinks: &[DoorId], outer: bool) {
        self.wire(&self.far_ends(uplinks), Direction::Egress, outer);
        self.wire(uplinks, Direction::Ingress, outer);
    }

    /// Into a node.
    pub(super) fn off_wire(&mut self, node: usize, from: &[IpAddr], tunnel: bool) {
        self.enter_by(&doors::uplinks(self.cluster, node, from), tunnel);
        if tunnel {
            self.overlay(node, Direction::Ingress);
        }
    }

    /// The peers of uplinks; none if that of the first is not on this machine.
    fn far_ends(&self, uplinks: &[DoorId]) -> Vec<DoorId> {
        let ends = uplinks.iter();
        let ends: Vec<_> = ends.map(|it| doors::far_end(self.cluster, *it)).collect();
        match ends.first() {
            Some(Some(_)) => ends.into_iter().flatten().collect(),
            _ => Vec::new(),
        }
    }

    /// Adds a step at the first of these doors, or one of the others instead.
    fn wire(&mut self, doors: &[DoorId], direction: Direction, outer: bool) {
        self.steps
            .extend(doors.split_first().map(|(door, or)| Step {
                outer,
                or: or.to_vec(),
                ..Step::new(*door, direction)
            }));
    }

    fn overlay(&mut self, node: usize, direction: Direction) {
        let door = doors::device(self.cluster, node, Role::Overlay, "");
        self.want(door, node, "a tunnel device (cilium_vxlan)", direction);
    }

    fn cilium(&mut self, node: usize, name: &str, direction: Direction) {
        let door = doors::device(self.cluster, node, Role::CiliumHost, name);
        self.want(door, node, name, direction);
    }

    /// Adds a step at a device that the mode needs.
    fn want(&mut self, door: Option<DoorId>, node: usize, what: &str, direction: Direction) {
        let absent = Detour::Absent {
            device: what.into(),
            node: node_name(self.cluster, node).into(),
        };
        if door.is_none() && !self.absent.contains(&absent) {
            self.absent.push(absent);
        }
        self.cross(door, direction);
    }
}
