//! What the kernel knows in the network namespaces of a path. It is read after a loss.

use std::{collections::BTreeMap, net::IpAddr};

use super::cause::Program;
use crate::{
    model::{Direction, DoorId, NetNsId},
    names::policies::Selecting,
};

/// Answers of the kernel near the losses of one pair. A namespace, a device or a hook that is missing
/// could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// By network namespace.
    pub namespaces: BTreeMap<NetNsId, Namespace>,
    /// Programs that can end packets, by hook, in the order in which they run; without netviz's own.
    pub programs: BTreeMap<(DoorId, Direction), Vec<Program>>,
    /// Policies that select an end and restrict a direction, by its network namespace.
    pub policies: BTreeMap<(NetNsId, Direction), Selecting>,
}

/// One network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// A path to enter it by; `None`: it is netviz's own.
    pub entrance: Option<String>,
    /// Devices by their index.
    pub devices: BTreeMap<u32, Device>,
    /// The neighbours with a hardware address, and those that did not answer.
    pub neighbours: Vec<Neighbour>,
    /// Routes to the ends and to the other nodes; `None`: no route.
    pub routes: BTreeMap<IpAddr, Option<Hop>>,
}

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Whether it is switched on (`IFF_UP`).
    pub up: bool,
    /// Whether it has a carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Maximum transmission unit in bytes.
    pub mtu: Option<u32>,
    /// Hardware address.
    pub mac: Option<String>,
    /// Whether it is a port of a bridge or a bond.
    pub is_port: bool,
    /// The UDP port of a tunnel device.
    pub tunnel_port: Option<u16>,
    /// Which packets it takes by the route to their source: the larger value of `net.ipv4.conf.all.rp_filter`
    /// and its own.
    pub rp_filter: RpFilter,
}

/// `net.ipv4.conf.*.rp_filter`: which packets pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RpFilter {
    /// All, or it is not known.
    #[default]
    Off,
    /// Those whose source is reached by any device.
    Loose,
    /// Those whose source is reached by the device itself.
    Strict,
}

impl RpFilter {
    /// That of a device, by the two values; the kernel takes the larger one.
    pub fn of(all: i32, own: i32) -> Self {
        match all.max(own) {
            1 => Self::Strict,
            2 => Self::Loose,
            _ => Self::Off,
        }
    }
}

/// The next hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Index of the device.
    pub device: u32,
    /// The next hop; `None`: the destination itself.
    pub gateway: Option<IpAddr>,
}

/// An entry of a neighbour table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the device.
    pub device: u32,
    /// Whose address.
    pub address: IpAddr,
    /// Its hardware address, as the table has it; `None`: it was asked for, and nobody answered yet.
    pub mac: Option<String>,
}

impl Lookups {
    /// The namespace of a door.
    pub fn namespace(&self, door: DoorId) -> Option<&Namespace> {
        self.namespaces.get(&door.netns.known()?)
    }

    /// The device of a door.
    pub fn device(&self, door: DoorId) -> Option<&Device> {
        self.namespace(door)?.devices.get(&door.ifindex)
    }
}
