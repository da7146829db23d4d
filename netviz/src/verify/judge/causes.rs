//! What programs, Cilium and devices at the place of a loss have to do with it.

use super::{outcomes::Evidence, trail::Trail};
use crate::{
    model::{Door, LinkState, Side},
    verify::{
        Cause, Hook,
        expect::doors::{node_name, pod_name},
    },
};

/// The most reasons of Cilium's to list: a node with traffic always has some.
const MOST: usize = 3;

/// Causes at the last line that saw packets, and at the next.
pub(super) fn at(
    evidence: &Evidence<'_>,
    trail: &Trail,
    after: Option<usize>,
    before: Option<usize>,
) -> Vec<Cause> {
    let hook = |line: Option<usize>| Some(trail.lines.get(line?)?.hook);
    let last = hook(after);
    let behind = last.and_then(|hook| {
        let programs = evidence.observation.hooks.get(&hook)?.clone();
        Some(Cause::Behind { programs })
    });
    let cilium = last.and_then(|hook| cilium(evidence, hook));
    let down = hook(before).and_then(|hook| down(evidence, evidence.cluster.door(hook.0)?));
    [behind, cilium, down].into_iter().flatten().collect()
}

/// Cilium counts drops by reason only, so those of other traffic are included.
fn cilium(evidence: &Evidence<'_>, hook: Hook) -> Option<Cause> {
    let door = evidence.cluster.door(hook.0)?;
    let programs = evidence.observation.hooks.get(&hook)?;
    let by_cilium = programs.iter().any(|name| name.starts_with("cil_"));
    let drops = evidence.observation.cilium.get(&door.node)?;
    (by_cilium && !drops.is_empty()).then(|| Cause::CiliumDrops {
        node: node_name(evidence.cluster, door.node).into(),
        drops: drops.iter().take(MOST).cloned().collect(),
    })
}

fn down(evidence: &Evidence<'_>, door: &Door) -> Option<Cause> {
    let down = [Some(LinkState::Down), Some(LinkState::NotPresent)];
    let is_down = |door: &&Door| down.contains(&door.link_state);
    let peer = || evidence.cluster.door(door.peer.as_ref()?.id);
    let door = match door.link_state? {
        // Its peer is the one that is down.
        LinkState::LowerLayerDown => peer().filter(is_down).unwrap_or(door),
        _ => Some(door).filter(is_down)?,
    };
    let pod = pod_name(door).filter(|_| door.side == Side::Pod);
    Some(Cause::LinkDown {
        interface: door.label(),
        place: match pod {
            Some(pod) => format!("pod {pod}"),
            None => node_name(evidence.cluster, door.node).into(),
        },
        state: door.link_state?,
    })
}
