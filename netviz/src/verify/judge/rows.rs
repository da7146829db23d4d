//! Trails and ends as rows of a verdict.

use super::{
    times,
    trail::{Line, Trail},
};
use crate::{
    model::{Cluster, Door, DoorId, Role, Side, Untrusted, qualified},
    verify::{
        expect::doors,
        facts::RowNote,
        observation::{Observation, TunnelKey, Way},
        route::Party,
        verdict::{CrossingRow, Hop, Tunnel},
    },
};

fn node_name(cluster: &Cluster, index: usize) -> Untrusted {
    let node = cluster.nodes.get(index);
    node.map(|node| node.name.clone()).unwrap_or_default()
}

fn pod(cluster: &Cluster, id: DoorId) -> Option<String> {
    let door = cluster.door(id)?;
    let name = door.pod.as_deref()?;
    Some(qualified(door.namespace.as_deref(), name))
}

/// An end of the path.
pub(super) fn hop(cluster: &Cluster, party: &Party) -> Hop {
    let pod = party.place.netns().and_then(|netns| {
        let mut doors = doors::inside(cluster, netns);
        doors.find_map(|door| pod(cluster, door.id))
    });
    let node = party.place.node().map(|node| node_name(cluster, node));
    Hop {
        node: node.filter(|name| !name.is_empty()),
        pod: pod.map(Into::into),
        name: (&party.name).into(),
        address: party.address.map(|address| address.to_string()),
    }
}

/// The rows of one way.
pub(super) fn rows(
    cluster: &Cluster,
    observation: &Observation,
    trail: &Trail,
) -> Vec<CrossingRow> {
    let lines = trail.lines.iter();
    lines
        .map(|line| row(cluster, observation, trail.way, line))
        .collect()
}

fn row(cluster: &Cluster, observation: &Observation, way: Way, line: &Line) -> CrossingRow {
    let (id, direction) = line.hook;
    let door = cluster.door(id);
    let mut gaps = line.gaps.clone();
    gaps.sort_unstable();
    let step = line.step.as_ref();
    CrossingRow {
        node: door
            .map(|door| node_name(cluster, door.node))
            .unwrap_or_default(),
        pod: pod(cluster, id).map(Into::into),
        side: door.map_or(Side::Node, |door| door.side),
        interface: door
            .map_or_else(|| format!("if{}", id.ifindex), Door::label)
            .into(),
        direction,
        expected: step.is_some() || line.besides,
        seen: (line.hidden.is_none() || line.seen > 0).then_some(line.seen),
        repeated: line.repeated,
        skipped_by: step.and_then(|step| step.skipped_by).map(Into::into),
        median_microseconds: times::median(&gaps),
        worst_microseconds: times::worst(&gaps),
        tunnel: line.tunnel.map(|key| tunnel(cluster, door, key)),
        outer: line.outer,
        packets: observation.packets.get(&(way, line.hook)).copied(),
        note: note(line),
    }
}

/// At the tunnel's own device the key names the other node. Behind it a packet still carries the key
/// with which it arrived, of which only the identity is of use.
fn tunnel(cluster: &Cluster, door: Option<&Door>, key: TunnelKey) -> Tunnel {
    let at_overlay = door.is_some_and(|door| door.role == Role::Overlay);
    let address = key.node.filter(|_| at_overlay);
    let node = address.map(|address| {
        let mut nodes = cluster.nodes.iter();
        let node = nodes.find(|node| node.addresses.iter().any(|own| own.addr() == address));
        node.map_or_else(|| address.to_string().into(), |node| node.name.clone())
    });
    Tunnel {
        identity: key.identity,
        node,
    }
}

fn note(line: &Line) -> Option<RowNote> {
    if let Some(reason) = line.hidden.clone() {
        return Some(RowNote::Hidden { reason });
    }
    let by = line.step.as_ref().and_then(|step| step.encryption);
    match by.filter(|_| line.seen == 0) {
        Some(by) => Some(RowNote::Encrypted { by: by.into() }),
        None => line.besides.then_some(RowNote::Besides),
    }
}
