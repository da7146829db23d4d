//! The connection between the buildings: the tunnel, or the network of their uplinks.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;

use super::parts::{Building, Hallway, Way, WayEnd, WayKind};
use crate::model::{DoorId, DoorState, Role, Side, has_network};

type Doors<'a> = HashMap<DoorId, &'a DoorState>;

/// The tunnel if there is one, and the network in which most uplinks have an address: the way of the
/// pods' packets first. Routes between nodes in different networks are unknown.
pub(super) fn between(buildings: &[Building], doors: &Doors<'_>) -> (Option<Way>, Option<Way>) {
    let network = network(buildings, doors);
    match tunnel(buildings, doors) {
        Some(tunnel) => (Some(tunnel), network),
        None => (network, None),
    }
}

fn tunnel(buildings: &[Building], doors: &Doors<'_>) -> Option<Way> {
    let end = |(building, it): (usize, &Building)| {
        let gate = it.gates.iter().find(|gate| gate.role == Role::Overlay)?;
        let door = gate.far;
        Some(WayEnd { building, door })
    };
    let ends: Vec<_> = buildings.iter().enumerate().filter_map(end).collect();
    let kind = |end: &WayEnd| doors.get(&end.door).and_then(|door| door.kind.clone());
    let name = ends.first().and_then(kind);
    let name = name.filter(|name| ends.iter().all(|end| kind(end).as_ref() == Some(name)));
    (ends.len() > 1).then_some(Way {
        kind: WayKind::Tunnel,
        name: name.map(|kind| kind.to_string()),
        ends,
    })
}

fn network(buildings: &[Building], doors: &Doors<'_>) -> Option<Way> {
    let mut networks: BTreeMap<IpNet, Vec<WayEnd>> = BTreeMap::new();
    for (building, it) in buildings.iter().enumerate() {
        let uplinks = it.gates.iter().filter(|gate| gate.role == Role::Uplink);
        let uplinks = uplinks.flat_map(Hallway::ends);
        let uplinks = uplinks.filter_map(|id| doors.get(&id));
        for door in uplinks.filter(|door| door.side != Side::Host) {
            for network in door.addresses.iter().filter_map(network_of) {
                let ends = networks.entry(network).or_default();
                if ends.last().is_none_or(|last| last.building != building) {
                    let door = door.id;
                    ends.push(WayEnd { building, door });
                }
            }
        }
    }
    let most = networks.values().map(Vec::len).max()?;
    let (name, ends) = networks.into_iter().find(|(_, ends)| ends.len() == most)?;
    (most > 1).then_some(Way {
        kind: WayKind::Network,
        name: Some(name.to_string()),
        ends,
    })
}

/// `172.18.0.0/16` for `172.18.0.2/16`; none for the address of a single host.
fn network_of(address: &IpNet) -> Option<IpNet> {
    let is_network = (1..address.max_prefix_len()).contains(&address.prefix_len());
    (is_network && has_network(address.addr())).then(|| address.trunc())
}
