//! The halves of which every path is made: leaving a place, the way between nodes, arriving.
//!
//! Counted on a running Cilium (`tests/fixtures/cilium`), from which also come the surprises:
//! `cilium_host` is not on the way between pods, but for native routing with legacy host routing,
//! at the receiving node; and a node's own packets cross the lxc even with BPF host routing.

use std::net::IpAddr;

use super::{
    doors::{self, CILIUM_HOST, CILIUM_NET, Room},
    mode::Hooks,
};
use crate::{
    model::{Cluster, Direction, DoorId, Role},
    verify::route::{Mode, Step},
};

/// The helper that puts a packet into a pod past the lxc.
pub(super) const REDIRECT_PEER: &str = "bpf_redirect_peer";

/// How a packet comes to where it is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// From the node itself.
    OwnNode,
    /// From a pod of the same node.
    Neighbour,
    /// Out of the tunnel.
    Overlay,
    /// From the network, as it is.
    Uplink,
}

/// A path while it is being put together.
pub(super) struct Path<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) hooks: Option<&'a Hooks>,
    pub(super) steps: Vec<Step>,
    /// Devices that the mode wants and that are not there, a sentence each.
    pub(super) absent: Vec<String>,
}

impl Path<'_> {
    /// One step; nothing where the door is not here.
    fn cross(&mut self, door: Option<DoorId>, direction: Direction) {
        self.steps
            .extend(door.map(|door| Step::new(door, direction)));
    }

    /// Out of a pod, as far as its lxc.
    pub(super) fn leave_pod(&mut self, room: Room) {
        self.cross(room.inner, Direction::Egress);
        self.cross(room.outer, Direction::Ingress);
    }

    /// Into a pod.
    pub(super) fn enter_pod(&mut self, room: Room, node: usize, mode: Mode, by: By) {
        let own_route = self.own_route(room, mode);
        let by_host = match by {
            By::OwnNode => !own_route,
            By::Uplink => !own_route && !mode.host_routing,
            By::Neighbour | By::Overlay => false,
        };
        if by_host {
            self.cilium(node, CILIUM_HOST, Direction::Egress);
        }
        let skipped = by != By::OwnNode && mode.host_routing && !own_route;
        if let Some(lxc) = room.outer {
            let mut step = Step::new(lxc, Direction::Egress);
            step.skipped_by = skipped.then_some(REDIRECT_PEER);
            self.steps.push(step);
        }
        self.cross(room.inner, Direction::Ingress);
    }

    /// Pods keep the route with which they were made: the program at the lxc says it, and where
    /// that is not known, the mode.
    fn own_route(&self, room: Room, mode: Mode) -> bool {
        let chain = room.outer.zip(self.hooks).and_then(|(lxc, hooks)| {
            let chain = hooks.get(&(lxc, Direction::Egress))?;
            Some(super::mode::has_own_route(chain))
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

    /// Out of a node, through the tunnel or as it is.
    pub(super) fn onto_wire(&mut self, node: usize, towards: &[IpAddr], tunnel: bool) {
        if tunnel {
            self.overlay(node, Direction::Egress);
        }
        let uplink = doors::uplink(self.cluster, node, towards);
        self.wire(uplink.door, &uplink.others, Direction::Egress, tunnel);
        self.wire(uplink.far, &uplink.far_others, Direction::Ingress, tunnel);
    }

    /// Into a node.
    pub(super) fn off_wire(&mut self, node: usize, from: &[IpAddr], tunnel: bool) {
        let uplink = doors::uplink(self.cluster, node, from);
        self.wire(uplink.far, &uplink.far_others, Direction::Egress, tunnel);
        self.wire(uplink.door, &uplink.others, Direction::Ingress, tunnel);
        if tunnel {
            self.overlay(node, Direction::Ingress);
        }
    }

    fn wire(&mut self, door: Option<DoorId>, or: &[DoorId], direction: Direction, outer: bool) {
        let Some(door) = door else { return };
        let mut step = Step::new(door, direction);
        step.outer = outer;
        step.or = or.to_vec();
        self.steps.push(step);
    }

    fn overlay(&mut self, node: usize, direction: Direction) {
        let door = doors::device(self.cluster, node, Role::Overlay, "");
        self.want(door, node, "a tunnel device (cilium_vxlan)", direction);
    }

    fn cilium(&mut self, node: usize, name: &str, direction: Direction) {
        let door = doors::device(self.cluster, node, Role::CiliumHost, name);
        self.want(door, node, name, direction);
    }

    /// A step at a door without which the path would be another.
    fn want(&mut self, door: Option<DoorId>, node: usize, what: &str, direction: Direction) {
        if door.is_none() {
            let name = self
                .cluster
                .nodes
                .get(node)
                .map(|node| node.name.to_string());
            let name = name.unwrap_or_default();
            let sentence = format!("{what} is on the expected path, and {name} has none");
            if !self.absent.contains(&sentence) {
                self.absent.push(sentence);
            }
        }
        self.cross(door, direction);
    }
}
