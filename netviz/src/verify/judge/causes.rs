//! What stands behind the door at which packets were seen last.

use crate::{
    model::{Cluster, Direction, Door, Untrusted, qualified},
    verify::{
        Hooks,
        collect::cilium_drops::{CiliumDrops, MOST},
        observation::Way,
        verdict::{CrossingRow, Loss, Verdict},
    },
};

/// Adds to each loss what the chains, Cilium and the devices say about it.
pub(crate) fn add(verdict: &mut Verdict, cluster: &Cluster, hooks: &Hooks, cilium: &CiliumDrops) {
    let Verdict {
        request,
        reply,
        losses,
        ..
    } = verdict;
    for loss in losses {
        let rows = match loss.way {
            Way::Request => &*request,
            Way::Reply => &*reply,
        };
        let found = causes(loss, rows, cluster, hooks, cilium);
        loss.causes.extend(found);
    }
}

fn causes(
    loss: &Loss,
    rows: &[CrossingRow],
    cluster: &Cluster,
    hooks: &Hooks,
    cilium: &CiliumDrops,
) -> Vec<String> {
    let row = |place: Option<usize>| rows.get(place?);
    let last = row(loss.after);
    let behind = last.and_then(|row| behind(row, cluster, hooks));
    let next = row(loss.before).and_then(|row| Some((row, door(cluster, row)?)));
    let said = last.and_then(|row| said(row, cluster, hooks, cilium));
    let causes = behind.into_iter().chain(said);
    causes.chain(next.and_then(down)).collect()
}

/// Cilium counts its drops by reason alone: others' are among them.
fn said(
    row: &CrossingRow,
    cluster: &Cluster,
    hooks: &Hooks,
    cilium: &CiliumDrops,
) -> Option<String> {
    let door = door(cluster, row)?;
    let programs = hooks.get(&(door.id, row.direction))?;
    let by_cilium = programs.iter().any(|name| name.starts_with("cil_"));
    let reasons = cilium.get(&door.node).filter(|_| by_cilium)?;
    let reasons: Vec<_> = reasons.iter().take(MOST).map(String::as_str).collect();
    (!reasons.is_empty()).then(|| {
        let node = &row.node;
        let reasons = reasons.join("; ");
        format!("Cilium counted drops on {node} meanwhile, of whatever packets: {reasons}")
    })
}

fn behind(row: &CrossingRow, cluster: &Cluster, hooks: &Hooks) -> Option<String> {
    let door = door(cluster, row)?;
    let programs = hooks.get(&(door.id, row.direction))?;
    let sign = row.direction.sign();
    let place = format!("{sign} {}", row.interface);
    Some(match (programs.as_slice(), row.direction) {
        ([], Direction::Egress) => format!(
            "no program stands behind {place}: its queue was full, its other end down, or it does not lead to the next door"
        ),
        ([], Direction::Ingress) => format!(
            "no program stands behind {place}: the stack ended them there (no route, no neighbour, a firewall, or nobody who listens)"
        ),
        (names, _) => format!(
            "{} behind {place} ended or redirected {}",
            names.join(", then "),
            if names.len() == 1 {
                "them; its policy and its maps say why"
            } else {
                "them, the first of them that did not say 'next'"
            }
        ),
    })
}

fn down((row, door): (&CrossingRow, &Door)) -> Option<String> {
    let state = door.link_state.as_deref()?;
    let down = matches!(state, "down" | "lowerlayerdown" | "notpresent");
    down.then(|| {
        format!(
            "{} is {state}: ip link set {} up",
            row.interface, row.interface
        )
    })
}

/// Rows name their door by node, pod and interface, as a person would.
pub(crate) fn door<'a>(cluster: &'a Cluster, row: &CrossingRow) -> Option<&'a Door> {
    cluster.doors.iter().find(|door| {
        let node = cluster.nodes.get(door.node).map(|node| &node.name);
        let pod = door
            .pod
            .as_deref()
            .map(|pod| qualified(door.namespace.as_deref(), pod));
        node == Some(&row.node)
            && row.interface == door.label()
            && door.side == row.side
            && pod.as_deref() == row.pod.as_ref().map(Untrusted::raw)
    })
}
