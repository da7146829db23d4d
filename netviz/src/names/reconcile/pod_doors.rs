//! Rooms: what the doors of one pod have in common.

use std::{collections::HashMap, net::IpAddr};

use crate::{
    model::{Cluster, DoorId, Role, Side, is_link_local, plain},
    sys::netns::NetNsId,
};

/// What a room is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The network namespace behind the veth pairs.
    Inside(NetNsId),
    /// The node's end of a veth pair whose far namespace cannot be found.
    Door(DoorId),
}

/// The doors of one pod, both ends of its veth pairs.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) key: Key,
    pub(super) node: usize,
    pub(super) netns: Option<NetNsId>,
    /// Indexes in [`Cluster::doors`].
    pub(super) doors: Vec<usize>,
    /// Addresses on the pod's side.
    pub(super) addresses: Vec<IpAddr>,
    /// Ethernet addresses on the pod's side.
    pub(super) macs: Vec<String>,
    /// Names of the node's ends.
    pub(super) interfaces: Vec<String>,
    pub(super) health: bool,
}

/// All rooms, and the ways to find one.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: Vec<Room>,
    by_key: HashMap<Key, usize>,
    by_interface: HashMap<(usize, String), usize>,
    by_ifindex: HashMap<(usize, u32), usize>,
    by_address: HashMap<(usize, IpAddr), usize>,
}

impl Rooms {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let mut rooms = Self::default();
        for (index, door) in cluster.doors.iter().enumerate() {
            // A bare veth pair has a room as well: without Cilium, pods are behind those.
            if !matches!(door.role, Role::Pod | Role::Health | Role::Veth) {
                continue;
            }
            let (inside, near) = match (&door.peer, door.side) {
                (_, Side::Pod) => (door.id.netns.known(), door.peer.as_ref().map(|p| p.id)),
                (Some(peer), _) => (peer.id.netns.known(), Some(door.id)),
                (None, _) => (None, Some(door.id)),
            };
            let key = match (inside, near) {
                (Some(netns), _) => Key::Inside(netns),
                (None, near) => Key::Door(near.unwrap_or(door.id)),
            };
            let place = *rooms.by_key.entry(key).or_insert_with(|| {
                rooms.rooms.push(Room {
                    key,
                    node: door.node,
                    netns: inside,
                    doors: Vec::new(),
                    addresses: Vec::new(),
                    macs: Vec::new(),
                    interfaces: Vec::new(),
                    health: door.role == Role::Health,
                });
                rooms.rooms.len() - 1
            });
            let room = &mut rooms.rooms[place];
            room.doors.push(index);
            if door.side == Side::Pod {
                let addresses = door.addresses.iter().filter_map(|text| plain(text));
                for address in addresses.filter(|address| !is_link_local(*address)) {
                    room.addresses.push(address);
                    rooms.by_address.insert((door.node, address), place);
                }
                room.macs.extend(door.mac.clone());
            } else {
                room.interfaces.push(door.interface.clone());
                rooms
                    .by_interface
                    .insert((door.node, door.interface.clone()), place);
                let ifindex = (door.node, door.id.ifindex);
                rooms.by_ifindex.insert(ifindex, place);
            }
        }
        rooms
    }

    pub(super) fn all(&self) -> &[Room] {
        &self.rooms
    }

    pub(super) fn get(&self, key: Key) -> Option<&Room> {
        Some(&self.rooms[*self.by_key.get(&key)?])
    }

    pub(super) fn by_interface(&self, node: usize, interface: &str) -> Option<&Room> {
        let place = self.by_interface.get(&(node, interface.to_owned()))?;
        Some(&self.rooms[*place])
    }

    pub(super) fn by_ifindex(&self, node: usize, ifindex: u32) -> Option<&Room> {
        Some(&self.rooms[*self.by_ifindex.get(&(node, ifindex))?])
    }

    pub(super) fn by_address(&self, node: usize, address: IpAddr) -> Option<&Room> {
        Some(&self.rooms[*self.by_address.get(&(node, address))?])
    }
}
