//! What joins the buildings: the tunnel, or the network that their uplinks are in.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use schemars::JsonSchema;
use serde::Serialize;

use super::{Building, Hallway, place};
use crate::model::{DoorId, DoorState, Role, Side};

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
        (ends.len() > 1).then_some(Self {
            kind: WayKind::Tunnel,
            name,
            ends,
        })
    }

    fn network(buildings: &[Building], doors: &HashMap<DoorId, &DoorState>) -> Option<Self> {
        let mut networks: BTreeMap<String, Vec<WayEnd>> = BTreeMap::new();
        for (building, it) in buildings.iter().enumerate() {
            let uplinks = it.gates.iter().filter(|gate| gate.role == Role::Uplink);
            let uplinks = uplinks.flat_map(Hallway::ends);
            for door in uplinks.filter_map(|id| doors.get(&id)) {
                if door.side == Side::Host {
                    continue;
                }
                for network in door.addresses.iter().filter_map(|text| network_of(text)) {
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
            name: Some(name),
            ends,
        })
    }
}

/// `172.18.0.0/16` of `172.18.0.2/16`; none of an address that is its own network.
fn network_of(address: &str) -> Option<String> {
    let (address, length) = address.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let network = match address.parse().ok()? {
        IpAddr::V4(address) if (1..32).contains(&length) => {
            let mask = u32::MAX << (32 - length);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) if (1..128).contains(&length) && !address.is_unicast_link_local() => {
            let mask = u128::MAX << (128 - length);
            IpAddr::V6((u128::from(address) & mask).into())
        }
        _ => return None,
    };
    Some(format!("{network}/{length}"))
}

#[cfg(test)]
mod tests {
    use super::network_of;

    #[test]
    fn networks() {
        assert_eq!(
            network_of("172.18.0.2/16").as_deref(),
            Some("172.18.0.0/16")
        );
        assert_eq!(network_of("fd00::4/64").as_deref(), Some("fd00::/64"));
        for alone in [
            "10.0.0.1/32",
            "fe80::1/64",
            "::1/128",
            "x",
            "10.0.0.1",
            "1.2.3.4/99",
        ] {
            assert_eq!(network_of(alone), None, "{alone}");
        }
    }
}
