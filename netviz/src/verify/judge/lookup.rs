//! Compares what the kernel knows at the place of a loss: states of devices, MTUs, routes, neighbours.

use std::{collections::BTreeSet, net::IpAddr};

use super::point::{Dropped, Point};
use crate::{
    model::{Direction, Door, DoorId, MacvlanMode, Role, Side},
    verify::{
        Cause, Interface, Location, Party, Way,
        expect::doors::{addresses, devices, node_name, pod_name},
        lookups::{Device, Namespace, Neighbour, RpFilter},
    },
};

/// What VXLAN and Geneve add to a packet: Ethernet, their own header, UDP and IP.
const OVERHEAD: [u32; 2] = [50, 70];

/// The doors at the place of a loss.
pub(super) struct Near<'a> {
    point: Point<'a>,
    /// The door that saw the packets last, the next one and their peers; whether packets are inside
    /// of a tunnel's packets there.
    doors: Vec<(DoorId, bool)>,
}

impl<'a> Near<'a> {
    pub(super) fn new(point: Point<'a>, drops: &[Dropped]) -> Self {
        let line = |place: Option<usize>| point.trail.lines.get(place?);
        let (last, next) = (line(point.after), line(point.before));
        // What came out of a device is done with it.
        let last = last.filter(|line| line.hook.1 == Direction::Egress);
        let lines = [last, next].into_iter().flatten();
        let crossed = lines.map(|line| (line.hook.0, line.outer));
        let dropped = drops.iter().filter_map(|(_, door)| Some(((*door)?, false)));
        let peer = |door: DoorId| Some(point.evidence.cluster.door(door)?.peer.as_ref()?.id);
        let mut doors = Vec::new();
        for (door, outer) in crossed.chain(dropped) {
            let ends = [Some(door), peer(door)];
            for end in ends.into_iter().flatten() {
                if !doors.iter().any(|(known, _)| *known == end) {
                    doors.push((end, outer));
                }
            }
        }
        Self { point, doors }
    }

    /// What explains the loss of any packet here.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.link_down()
            .or_else(|| self.no_carrier())
            .or_else(|| self.too_long())
            .or_else(|| self.macvlan_mode())
            .or_else(|| self.wrong_neighbour())
            .or_else(|| self.no_neighbour())
            .or_else(|| self.sender_route())
    }

    fn device(&self, door: DoorId) -> Option<&'a Device> {
        self.point.evidence.observation.lookups.device(door)
    }

    fn namespace(&self, door: DoorId) -> Option<&'a Namespace> {
        self.point.evidence.observation.lookups.namespace(door)
    }

    /// The owner of the network namespace of a door, or of another device in it.
    pub(super) fn location(&self, door: DoorId) -> Option<Location> {
        let cluster = self.point.evidence.cluster;
        let mut doors = cluster.doors.iter();
        let known = || doors.find(|other| other.id.netns == door.netns);
        let near = cluster.door(door).or_else(known)?;
        let pod = pod_name(near).filter(|_| near.side == Side::Pod);
        Some(Location {
            node: node_name(cluster, near.node).into(),
            pod: pod.map(Into::into),
            side: near.side,
            netns: self.namespace(door).and_then(|it| it.entrance.clone()),
        })
    }

    pub(super) fn interface(&self, door: DoorId) -> Option<Interface> {
        Some(Interface {
            interface: self.point.evidence.cluster.door(door)?.label().into(),
            location: self.location(door)?,
        })
    }

    fn link_down(&self) -> Option<Cause> {
        let down = |door: &DoorId| self.device(*door).is_some_and(|device| !device.up);
        let at = self.interface(self.doors().find(down)?)?;
        Some(Cause::LinkDown { at })
    }

    /// Only if no end of the pair is switched off, and if the device is not a tunnel.
    fn no_carrier(&self) -> Option<Cause> {
        let without = |door: &DoorId| {
            let device = self.device(*door);
            device.is_some_and(|device| device.up && !device.carrier)
        };
        let at = self.interface(self.doors().find(without)?)?;
        Some(Cause::NoCarrier { at })
    }

    fn doors(&self) -> impl Iterator<Item = DoorId> {
        self.doors.iter().map(|(door, _)| *door)
    }

    pub(super) fn too_long(&self) -> Option<Cause> {
        let bytes = self.point.evidence.bytes?;
        self.doors.iter().find_map(|(door, outer)| {
            let mtu = self.device(*door)?.mtu?;
            let overhead = if *outer { self.overhead(*door) } else { 0 };
            let at = self.interface(*door)?;
            (bytes.saturating_add(overhead) > mtu).then_some(Cause::TooLong {
                bytes,
                overhead,
                mtu,
                at,
            })
        })
    }

    fn overhead(&self, door: DoorId) -> u32 {
        let door = self.point.evidence.cluster.door(door);
        let v6 = door.is_some_and(|door| {
            let mut addresses = door.addresses.iter();
            !door.addresses.is_empty() && addresses.all(|it| it.addr().is_ipv6())
        });
        OVERHEAD[usize::from(v6)]
    }

    /// The UDP port of the tunnel, if packets ended inside of its packets.
    pub(super) fn tunnel_port(&self) -> Option<u16> {
        let cluster = self.point.evidence.cluster;
        let line = self.point.trail.lines.get(self.point.after?)?;
        let door = cluster.door(line.hook.0)?;
        let enters = door.role == Role::Overlay && line.hook.1 == Direction::Egress;
        let mut tunnels = devices(cluster, door.node, Role::Overlay);
        let port = tunnels.find_map(|tunnel| self.device(tunnel.id)?.tunnel_port);
        port.filter(|_| line.outer || enters)
    }

    /// The way of the packets that ended here: requests, if no reply was seen.
    fn way(&self) -> Way {
        match self.point.after {
            None => Way::Request,
            Some(_) => self.point.trail.way,
        }
    }

    /// From and to whom packets of a way go.
    fn ends(&self, way: Way) -> (&'a Party, &'a Party) {
        self.point.evidence.route.ends(way, self.point.packet)
    }

    /// The addresses to which packets are sent: the other node's inside of a tunnel's packets.
    fn targets(&self) -> Vec<IpAddr> {
        let (_, to) = self.ends(self.way());
        let node = to.place.node().filter(|_| self.tunnel_port().is_some());
        match node {
            Some(node) => addresses(self.point.evidence.cluster, node),
            None => to.address.into_iter().collect(),
        }
    }

    /// The namespace in which the kernel dropped packets has no route to their destination.
    pub(super) fn no_route(&self, door: Option<DoorId>) -> Option<Cause> {
        let door = door.or_else(|| self.doors().next())?;
        let targets = self.targets();
        let missing = |to: &&IpAddr| self.has_no_route(door, **to);
        let to = *targets.iter().find(missing).or(targets.first())?;
        let location = self.location(door)?;
        Some(Cause::NoRoute { to, location })
    }

    fn has_no_route(&self, door: DoorId, to: IpAddr) -> bool {
        let namespace = self.namespace(door);
        namespace.is_some_and(|it| matches!(it.routes.get(&to), Some(None)))
    }

    /// A sender without a route to the receiver, which no packet left.
    fn sender_route(&self) -> Option<Cause> {
        let first = self.point.trail.way == Way::Request && self.point.after.is_none();
        self.own_route().filter(|_| first)
    }

    /// A receiver without a route back, which no reply left.
    pub(super) fn reply_route(&self) -> Option<Cause> {
        let first = self.point.trail.way == Way::Reply && self.point.after.is_none();
        self.own_route().filter(|_| first)
    }

    fn own_route(&self) -> Option<Cause> {
        let door = self.point.trail.lines.get(self.point.before?)?.hook.0;
        let to = self.ends(self.point.trail.way).1.address?;
        let location = self.location(door)?;
        let missing = self.has_no_route(door, to);
        missing.then_some(Cause::NoRoute { to, location })
    }

    /// `rp_filter` at the device of a drop.
    pub(super) fn reverse_path(&self, door: Option<DoorId>) -> Option<Cause> {
        let (door, source) = (door?, self.source()?);
        if self.has_no_route(door, source) {
            let location = self.location(door)?;
            return Some(Cause::NoRoute {
                to: source,
                location,
            });
        }
        let at = self.interface(door)?;
        Some(Cause::ReversePath { source, at })
    }

    /// A strict `rp_filter` at the device that received the packets last, where the kernel gives no reason.
    pub(super) fn reverse_path_filter(&self) -> Option<Cause> {
        let door = self.received_by()?;
        let routes = &self.namespace(door)?.routes;
        let back = (*routes.get(&self.source()?)?)?;
        let device = self.device(door)?;
        let drops = device.rp_filter == RpFilter::Strict && back.device != door.ifindex;
        drops.then(|| self.reverse_path(Some(door))).flatten()
    }

    /// The door by which packets came into the namespace where they ended.
    fn received_by(&self) -> Option<DoorId> {
        let Point {
            evidence, trail, ..
        } = self.point;
        let last = match self.point.after {
            Some(after) => trail.lines.get(after),
            None if trail.way == Way::Reply => {
                let request = evidence.trail(Way::Request);
                request.lines.get(request.end(self.point.packet)?)
            }
            None => None,
        };
        let hook = last?.hook;
        (hook.1 == Direction::Ingress).then_some(hook.0)
    }

    /// The address that packets are from: the other node's inside of a tunnel's packets.
    fn source(&self) -> Option<IpAddr> {
        let (from, to) = self.ends(self.way());
        let node = from.place.node().filter(|_| self.tunnel_port().is_some());
        let addresses = node.map(|node| addresses(self.point.evidence.cluster, node));
        let family = to.address.or(from.address).map(|it| it.is_ipv4());
        let mut of_node = addresses.into_iter().flatten();
        let outer = of_node.find(|it| family.is_none_or(|v4| v4 == it.is_ipv4()));
        outer.or(from.address)
    }

    /// Packets between two macvlans of one device that did not come back to it.
    fn macvlan_mode(&self) -> Option<Cause> {
        let cluster = self.point.evidence.cluster;
        let (from, to) = self.ends(self.way());
        let macvlan = |end: &Party| {
            let mut doors = cluster.doors.iter();
            let is_it = |door: &&Door| {
                door.id.netns.known() == end.place.netns()
                    && end.address.is_some_and(|it| door.has(it))
            };
            let door = doors.find(is_it)?;
            Some((door, door.macvlan?, door.lower.as_ref()?.id))
        };
        let ends = [macvlan(from)?, macvlan(to)?];
        let lower = ends[0].2;
        let (door, mode, _) = ends
            .into_iter()
            .find(|(_, mode, _)| *mode != MacvlanMode::Bridge)?;
        let crossed = self
            .point
            .trail
            .lines
            .iter()
            .take(self.point.after.map_or(0, |it| it + 1));
        let came_back = crossed
            .clone()
            .any(|line| line.hook == (lower, Direction::Ingress));
        (ends[1].2 == lower && !came_back).then_some(Cause::MacvlanMode {
            mode,
            at: self.interface(door.id)?,
            lower: self.interface(lower)?,
        })
    }

    /// The entry for the next hop at the device by which packets left last.
    pub(super) fn wrong_neighbour(&self) -> Option<Cause> {
        let trail = self.point.evidence.trail(self.way());
        let after = match self.point.after {
            None if self.point.trail.way == Way::Reply => trail.end(self.point.packet),
            after => after,
        }?;
        let mut lines = trail
            .lines
            .iter()
            .take(after.saturating_add(1))
            .rev()
            .take(2);
        let door = lines.find(|line| line.hook.1 == Direction::Egress)?.hook.0;
        let hops = self.next_hops(door);
        let mut neighbours = self.namespace(door)?.neighbours.iter();
        neighbours.find_map(|neighbour| {
            let fits = neighbour.device == door.ifindex && hops.contains(&neighbour.address);
            let right = self.owner(door, neighbour).filter(|_| fits)?;
            let mac = right.mac.clone()?;
            let known = neighbour.mac.clone().filter(|known| *known != mac)?;
            Some(Cause::WrongNeighbour {
                address: neighbour.address,
                mac: known,
                at: self.interface(door)?,
                right: mac,
                neighbour: self.interface(right.id)?,
            })
        })
    }

    /// Packets wait for the answer of the next hop before they go out of the device.
    fn no_neighbour(&self) -> Option<Cause> {
        let (door, direction) = self.point.trail.lines.get(self.point.before?)?.hook;
        let hops = self.next_hops(door);
        let mut neighbours = self.namespace(door)?.neighbours.iter();
        let silent = neighbours.find(|neighbour| {
            let is_hop = neighbour.device == door.ifindex && hops.contains(&neighbour.address);
            direction == Direction::Egress && is_hop && neighbour.mac.is_none()
        })?;
        Some(Cause::NoNeighbour {
            address: silent.address,
            at: self.interface(door)?,
        })
    }

    /// Next hops to the addresses of the packets that leave by a door.
    fn next_hops(&self, door: DoorId) -> BTreeSet<IpAddr> {
        let cluster = self.point.evidence.cluster;
        let (_, to) = self.ends(self.way());
        let node = to.place.node().map(|node| addresses(cluster, node));
        let targets = to.address.into_iter().chain(node.into_iter().flatten());
        let routes = self.namespace(door).map(|namespace| &namespace.routes);
        let hop = |target: IpAddr| {
            let hop = (*routes?.get(&target)?)?;
            (hop.device == door.ifindex).then(|| hop.gateway.unwrap_or(target))
        };
        targets.filter_map(hop).collect()
    }

    /// The door that a neighbour's frames should reach: the other end of a pod's veth pair, or on a
    /// shared network the one with the address.
    fn owner(&self, door: DoorId, neighbour: &Neighbour) -> Option<&'a Door> {
        let cluster = self.point.evidence.cluster;
        let own = cluster.door(door)?;
        if own.role == Role::CiliumHost {
            // Cilium's program there sets the hardware addresses of what it delivers to pods.
            return None;
        }
        let peer = own.peer.as_ref().map(|peer| peer.id);
        let is_port = |door| self.device(door).is_none_or(|device| device.is_port);
        let is_direct = matches!(own.role, Role::Pod | Role::Health)
            && !is_port(door)
            && peer.is_some_and(|peer| !is_port(peer));
        match peer.filter(|_| is_direct) {
            Some(peer) => cluster.door(peer),
            None => {
                let mut doors = cluster.doors.iter();
                doors.find(|door| door.has(neighbour.address))
            }
        }
    }
}
