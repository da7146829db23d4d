//! Selects the doors to watch.

use std::{collections::BTreeSet, net::IpAddr};

use crate::{
    model::{Cluster, Door, DoorId, Role, Side},
    sys::netns::NetNsId,
    verify::{Route, target::backends::known_backends},
};

/// Attaching takes 18 ms per door: up to this number, every door of the nodes is watched.
const MOST_DOORS: usize = 64;

/// The doors to watch, those of the path first, and how many doors of other pods are left out.
pub(super) fn doors<'a>(
    cluster: &Cluster,
    routes: impl Iterator<Item = &'a Route> + Clone,
    every: bool,
) -> (Vec<Door>, usize) {
    let ends = || routes.clone().flat_map(|route| [&route.from, &route.to]);
    // All nodes, if an end may be anywhere.
    let mut nodes: Option<BTreeSet<usize>> = ends().map(|end| end.place.node()).collect();
    let mut pods: BTreeSet<NetNsId> = ends().filter_map(|end| end.place.netns()).collect();
    let backends = routes
        .clone()
        .flat_map(|route| known_backends(cluster, route));
    pods.extend(backends.filter_map(|backend| backend.place.netns()));
    // Another pod with B's address may receive the packets.
    let addresses: BTreeSet<IpAddr> = routes.clone().filter_map(|it| it.to.address).collect();
    let has = |door: &Door| {
        door.addresses
            .iter()
            .any(|own| addresses.contains(&own.addr()))
    };
    for door in &cluster.doors {
        if let (Side::Pod, Some(netns), true) = (door.side, door.id.netns.known(), has(door)) {
            pods.insert(netns);
            if let Some(nodes) = &mut nodes {
                nodes.insert(door.node);
            }
        }
    }
    let at_node = |door: &&Door| nodes.as_ref().is_none_or(|it| it.contains(&door.node));
    let doors = cluster.doors.iter().filter(at_node).cloned();
    let (mut doors, others): (Vec<_>, Vec<_>) = doors.partition(|door| is_near(door, &pods));
    if every || doors.len() + others.len() <= MOST_DOORS {
        doors.extend(others);
        return (doors, 0);
    }
    (doors, others.len())
}

/// The node's own doors, and the veth pairs of these pods.
fn is_near(door: &Door, pods: &BTreeSet<NetNsId>) -> bool {
    let of = |id: &DoorId| id.netns.known().is_some_and(|netns| pods.contains(&netns));
    match (door.role, door.side) {
        (Role::Pod | Role::Health, Side::Pod) => of(&door.id),
        (Role::Pod | Role::Health, _) => door.peer.as_ref().is_some_and(|peer| of(&peer.id)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Node, Peer, Service},
        verify::{Party, Place},
    };

    fn door(netns: u64, ifindex: u32, side: Side, peer: Option<DoorId>) -> Door {
        Door {
            id: DoorId::new(NetNsId(netns), ifindex),
            node: 0,
            side,
            role: Role::Pod,
            interface: "eth0".into(),
            pod: None,
            namespace: None,
            named_by: None,
            kind: None,
            peer: peer.map(|id| Peer {
                id,
                interface: None,
            }),
            lower: None,
            macvlan: None,
            addresses: Vec::new(),
            mac: None,
            mtu: None,
            link_state: None,
            netns_cookie: None,
            problem: None,
        }
    }

    #[test]
    fn backends_of_a_service_are_watched_among_many_doors() {
        let mut cluster = Cluster {
            nodes: vec![Node::default()],
            ..Cluster::default()
        };
        for pod in 0..100_u8 {
            let inner = DoorId::new(NetNsId(100 + u64::from(pod)), 2);
            let outer = DoorId::new(NetNsId(1), 10 + u32::from(pod));
            let mut inside = door(100 + u64::from(pod), 2, Side::Pod, Some(outer));
            inside.addresses = vec![format!("10.0.0.{pod}/32").parse().unwrap()];
            let outside = door(1, 10 + u32::from(pod), Side::Node, Some(inner));
            cluster.doors.extend([inside, outside]);
        }
        cluster.services = Some(vec![Service {
            addresses: vec!["10.96.0.7".parse().unwrap()],
            backends: vec!["10.0.0.77:80".parse().unwrap()],
            ..Service::default()
        }]);
        let party = |address: &str, place| Party {
            name: address.into(),
            address: address.parse().ok(),
            place,
        };
        let netns = NetNsId(100);
        let from = party("10.0.0.0", Place::Pod { node: 0, netns });
        let routes = [Route::new(from, party("10.96.0.7", Place::Elsewhere))];
        let (watched, left_out) = doors(&cluster, routes.iter(), false);
        let watched: Vec<_> = watched.iter().map(|door| door.id).collect();
        assert_eq!(left_out, 200 - watched.len());
        for pod in [0, 77] {
            assert!(
                watched.contains(&DoorId::new(NetNsId(100 + pod), 2)),
                "{watched:?}"
            );
        }
        assert_eq!(watched.len(), 4);
    }
}
