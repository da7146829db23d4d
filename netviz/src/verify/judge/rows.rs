//! Trails, ends and times as a verdict shows them.

use std::time::Duration;

use super::{
    outcomes::{Evidence, Outcomes},
    trail::{Line, count},
};
use crate::{
    model::{Cluster, Door, Role, Side, rounded},
    verify::{
        CrossingRow, Hop, Party, RowNote, Step, Tunnel, TunnelKey, Way,
        expect::doors::{self, node_name, pod_name},
    },
};

/// An end of the path.
pub(super) fn hop(cluster: &Cluster, party: &Party) -> Hop {
    let netns = party.place.netns();
    let pod = netns.and_then(|netns| doors::inside(cluster, netns).find_map(pod_name));
    let node = party.place.node().map(|node| node_name(cluster, node));
    Hop {
        node: node.filter(|name| !name.is_empty()).map(Into::into),
        pod: pod.map(Into::into),
        name: (&party.name).into(),
        address: party.address.map(|address| address.to_string()),
    }
}

/// One line as a row.
pub(super) fn row(
    evidence: &Evidence<'_>,
    outcomes: &Outcomes,
    way: Way,
    line: &Line,
) -> CrossingRow {
    let (cluster, (id, direction)) = (evidence.cluster, line.hook);
    let door = cluster.door(id);
    let interface = door.map_or_else(|| format!("if{}", id.ifindex), Door::label);
    let mut gaps = line.gaps.clone();
    gaps.sort_unstable();
    let step = line.step.as_ref();
    let programs = evidence.observation.hooks.get(&line.hook);
    CrossingRow {
        door: Some(id),
        node: door.map_or("", |door| node_name(cluster, door.node)).into(),
        pod: door.and_then(pod_name).map(Into::into),
        side: door.map_or(Side::Node, |door| door.side),
        interface: interface.into(),
        role: door.map_or(Role::Other, |door| door.role),
        programs: programs.map(|names| names.iter().map(Into::into).collect()),
        direction,
        expected: step.is_some() || line.besides,
        seen: (line.hidden.is_none() || line.seen > 0).then_some(line.seen),
        of: step.and_then(|step| of(step, outcomes, way)),
        repeated: line.repeated,
        skipped_by: step.and_then(|step| step.skipped_by).map(Into::into),
        median_microseconds: median(&gaps),
        worst_microseconds: worst(&gaps),
        tunnel: line.tunnel.map(|key| tunnel(cluster, door, key)),
        outer: line.outer,
        packets: evidence.observation.packets.get(&(way, line.hook)).copied(),
        note: note(line),
    }
}

/// How many packets should cross a step that not all packets should cross.
fn of(step: &Step, outcomes: &Outcomes, way: Way) -> Option<u32> {
    let only = step.only.as_ref()?;
    Some(count(match way {
        Way::Request => only.len(),
        Way::Reply => only.intersection(&outcomes.delivered).count(),
    }))
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

/// The median of sorted times, in microseconds.
pub(super) fn median(sorted: &[Duration]) -> Option<f64> {
    let middle = sorted.get(sorted.len() / 2)?;
    let below = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(rounded(f64::midpoint(
        microseconds(*below),
        microseconds(*middle),
    )))
}

/// The longest of sorted times, in microseconds.
pub(super) fn worst(sorted: &[Duration]) -> Option<f64> {
    sorted.last().map(|time| microseconds(*time))
}

fn microseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6)
}
