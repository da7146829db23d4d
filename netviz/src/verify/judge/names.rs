//! Doors, ends and tunnels as they are called in a verdict.

use super::trail::{Line, Trail};
use crate::{
    model::{Cluster, Direction, Door, DoorId, Role, Side, Untrusted, plain, qualified},
    verify::{
        observation::TunnelKey,
        route::{Party, Place},
        verdict::{CrossingRow, Hop, Tunnel},
    },
};

/// `cilium_vxlan ▲ (mycluster-worker)`, `eth0 ▼ (pod default/busybox)`.
#[must_use]
pub fn label(cluster: &Cluster, (id, direction): (DoorId, Direction)) -> String {
    let sign = direction.sign();
    let Some(door) = cluster.door(id) else {
        return format!("if{} {sign}", id.ifindex);
    };
    let node = node_name(cluster, door.node);
    let place = match (door.side, pod(cluster, id)) {
        (Side::Pod, Some(pod)) => format!("pod {pod}"),
        (Side::Pod, None) => format!("a pod of {node}"),
        (Side::Node, _) => node.to_string(),
        (Side::Host, _) => format!("outside of {node}"),
    };
    format!("{} {sign} ({place})", door.label())
}

pub(super) fn labels(cluster: &Cluster, course: &Trail, lines: &[usize]) -> String {
    let names = lines
        .iter()
        .map(|index| label(cluster, course.lines[*index].hook));
    names.collect::<Vec<_>>().join(", ")
}

fn node_name(cluster: &Cluster, index: usize) -> Untrusted {
    let node = cluster.nodes.get(index);
    node.map(|node| node.name.clone()).unwrap_or_default()
}

fn pod(cluster: &Cluster, id: crate::model::DoorId) -> Option<String> {
    let door = cluster.door(id)?;
    let name = door.pod.as_deref()?;
    Some(qualified(door.namespace.as_deref(), name))
}

/// An end of the route.
pub(super) fn hop(cluster: &Cluster, party: &Party) -> Hop {
    let (node, pod) = match party.place {
        Place::Pod { node, netns } => {
            let mut doors = crate::verify::expect::doors::inside(cluster, netns);
            (Some(node), doors.find_map(|door| pod(cluster, door.id)))
        }
        Place::Node { node, .. } => (Some(node), None),
        Place::Elsewhere => (None, None),
    };
    let node = node.map(|node| node_name(cluster, node));
    Hop {
        node: node.filter(|name| !name.is_empty()),
        pod: pod.map(Into::into),
        name: (&party.name).into(),
        address: party.address.map(|address| address.to_string()),
    }
}

/// At the tunnel's own device the key says where to or where from, by direction. Behind it a packet
/// still carries the key with which it came, of which the identity alone is of use.
fn tunnel(cluster: &Cluster, door: Option<&Door>, key: TunnelKey) -> Tunnel {
    let node = key
        .node
        .filter(|_| door.is_some_and(|door| door.role == Role::Overlay));
    let named = node.map(|address| {
        let has = |text: &String| plain(text) == Some(address);
        let mut nodes = cluster.nodes.iter();
        let node = nodes.find(|node| node.addresses.iter().any(has));
        node.map_or_else(|| address.to_string().into(), |node| node.name.clone())
    });
    Tunnel {
        identity: key.identity,
        node: named,
    }
}

/// The rows of one way.
pub(super) fn rows(cluster: &Cluster, course: &Trail) -> Vec<CrossingRow> {
    course.lines.iter().map(|line| row(cluster, line)).collect()
}

fn row(cluster: &Cluster, line: &Line) -> CrossingRow {
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
        median_microseconds: super::median(&gaps),
        worst_microseconds: gaps.last().map(|gap| super::microseconds(*gap)),
        tunnel: line.tunnel.map(|key| tunnel(cluster, door, key)),
        outer: line.outer,
        packets: None,
        note: note(line),
    }
}

fn note(line: &Line) -> Option<String> {
    let unreadable = line.step.as_ref().and_then(|step| step.unreadable);
    let unseen = unreadable.filter(|_| line.seen == 0);
    let encrypted = unseen.map(|name| format!("not recognised here: {name} encrypts it"));
    let besides = line
        .besides
        .then(|| "crossed besides, as may be".to_owned());
    line.hidden.clone().or(encrypted).or(besides)
}
