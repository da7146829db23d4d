//! What joins the buildings: the tunnel, or the network that their uplinks are in.

use std::collections::{BTreeMap, HashMap};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Building, Hallway, place};
use crate::model::{DoorId, DoorState, Role, Side, is_link_local};

/// What leads from building to building.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Way {
    /// What it is.
    pub kind: WayKind,
    /// The tunnel's protocol, or the network's prefix: `vxlan`, `172.18.0.0/16`.
    pub name: Option<String>,
    /// By which door each building is on it, in the order of the buildings.
    pub ends: Vec<WayEnd>,
}

/// A building's door to the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WayEnd {
    /// The building's place among them.
    pub building: usize,
    /// The door.
    #[serde(serialize_with = "place")]
    #[schemars(with = "super::Place")]
    pub door: DoorId,
}

/// How nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WayKind {
    /// Packed into packets of the nodes' own.
    Tunnel,
    /// As they are, by the network that the nodes' uplinks share.
    Network,
}

impl Way {
    /// The tunnel where there is one; otherwise the network that most uplinks have an address of.
    /// Nodes in networks of their own may reach each other all the same: that is not to be seen.
    pub(in crate::views) fn between(
        buildings: &[Building],
        doors: &HashMap<DoorId, &DoorState>,
    ) -> Option<Self> {
        Self::tunnel(buildings, doors).or_else(|| Self::network(buildings, doors))
    }

    /// Whether a hallway leads to it.
    #[must_use]
    pub fn begins_at(&self, hallway: &Hallway) -> bool {
        self.ends
            .iter()
            .any(|end| hallway.ends().any(|id| id == end.door))
    }

    fn tunnel(buildings: &[Building], doors: &HashMap<DoorId, &DoorState>) -> Option<Self> {
        let gate = |(building, it): (usize, &Building)| {
            let gate = it.gates.iter().find(|gate| gate.role == Role::Overlay)?;
            let door = gate.far;
            Some(WayEnd { building, door })
        };
        let ends: Vec<_> = buildings.iter().enumerate().filter_map(gate).collect();
        let kind = |end: &WayEnd| doors.get(&end.door).and_then(|door| door.kind.clone());
        let name = ends.first().and_then(kind);
        let name = name.filter(|name| ends.iter().all(|end| kind(end).as_ref() == Some(name)));
        let name = name.map(|kind| kind.to_string());
        (ends.len() > 1).then_some(Self {
            kind: WayKind::Tunnel,
            name,
            ends,
        })
    }

    fn network(buildings: &[Building], doors: &HashMap<DoorId, &DoorState>) -> Option<Self> {
        let mut networks: BTreeMap<IpNet, Vec<WayEnd>> = BTreeMap::new();
        for (building, it) in buildings.iter().enumerate() {
            let uplinks = it.gates.iter().filter(|gate| gate.role == Role::Uplink);
            let uplinks = uplinks.flat_map(Hallway::ends);
            for door in uplinks.filter_map(|id| doors.get(&id)) {
                if door.side == Side::Host {
                    continue;
                }
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
        (most > 1).then_some(Self {
            kind: WayKind::Network,
            name: Some(name.to_string()),
            ends,
        })
    }
}

/// `172.18.0.0/16` of `172.18.0.2/16`; none of an address that is its own network.
fn network_of(address: &IpNet) -> Option<IpNet> {
    let is_network = (1..address.max_prefix_len()).contains(&address.prefix_len());
    (is_network && !(address.addr().is_ipv6() && is_link_local(address.addr())))
        .then(|| address.trunc())
}

#[cfg(test)]
mod tests {
    use super::network_of;

    #[test]
    fn networks() {
        let network = |text: &str| network_of(&text.parse().unwrap()).map(|it| it.to_string());
        assert_eq!(network("172.18.0.2/16").unwrap(), "172.18.0.0/16");
        assert_eq!(network("fd00::4/64").unwrap(), "fd00::/64");
        for single in ["10.0.0.1/32", "fe80::1/64", "::1/128"] {
            assert_eq!(network(single), None, "{single}");
        }
    }
}
