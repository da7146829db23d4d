//! Programs that may have ended packets, and what Cilium counted.

use super::{
    lookup::Near,
    point::{Dropped, Point},
};
use crate::{
    audit::{Owner, Way as Attachment},
    model::{CiliumDrop, Direction},
    names::policies::Selecting,
    verify::{Cause, DropReason, Hook, Program, expect::doors::node_name},
};

/// The most reasons of Cilium's to list: a node with traffic always has some.
const MOST: usize = 3;

/// Finds who dropped packets that, by the kernel's reason, a program dropped.
pub(super) fn of_drop(point: Point<'_>, (drop, door): &Dropped) -> Option<Cause> {
    let direction = match drop.reason.as_deref() {
        Some("TC_EGRESS") => Direction::Egress,
        _ => Direction::Ingress,
    };
    let is_xdp = is_xdp(drop);
    let hook = ((*door)?, direction);
    let mut programs = programs(point, hook);
    programs.retain(|it| (it.attachment == Attachment::Xdp) == is_xdp);
    decide(point, hook, programs, true)
}

/// Whether an XDP program dropped the packet. Linux gives no reason for that in front of the stack
/// (measured on 6.18), but the function.
pub(super) fn is_xdp(drop: &DropReason) -> bool {
    let function = drop.function.as_deref().unwrap_or_default();
    match drop.reason.as_deref() {
        Some("XDP") => true,
        Some("NOT_SPECIFIED") | None => {
            function.starts_with("do_xdp_generic")
                || function.starts_with("netif_receive_generic_xdp")
        }
        Some(_) => false,
    }
}

/// Who may have ended packets behind the last line, or in front of the next one (XDP).
pub(super) fn behind(point: Point<'_>) -> Option<Cause> {
    let hook = |line: Option<usize>| Some(point.trail.lines.get(line?)?.hook);
    let last = hook(point.after);
    let is_xdp = |it: &Program| it.attachment == Attachment::Xdp;
    let chain = last.and_then(|hook| {
        let mut programs = programs(point, hook);
        // XDP runs in front of netviz.
        programs.retain(|it| !is_xdp(it));
        decide(point, hook, programs, false)
    });
    chain.or_else(|| {
        let peer = last.and_then(|(door, direction)| {
            let peer = point.evidence.cluster.door(door)?.peer.as_ref()?.id;
            (direction == Direction::Egress).then_some((peer, Direction::Ingress))
        });
        let hooks = [peer, hook(point.before)].into_iter().flatten();
        let mut entered = hooks.filter(|(_, direction)| *direction == Direction::Ingress);
        entered.find_map(|hook| {
            let mut programs = programs(point, hook);
            programs.retain(is_xdp);
            decide(point, hook, programs, false)
        })
    })
}

/// The programs at a hook: with their owners if they could be read, else by the names that were seen
/// when netviz was attached.
fn programs(point: Point<'_>, hook: Hook) -> Vec<Program> {
    let observation = point.evidence.observation;
    if let Some(programs) = observation.lookups.programs.get(&hook) {
        return programs.clone();
    }
    let names = observation.hooks.get(&hook).into_iter().flatten();
    let program = |name: &String| Program {
        name: name.into(),
        attachment: Attachment::Tcx,
        owner: Owner::of(name),
        held_by: Vec::new(),
    };
    names
        .map(program)
        .filter(|it| it.owner != Owner::Netviz)
        .collect()
}

/// Cilium counts what it drops, so its counters decide between it and the others. Its programs end the
/// chain: what is behind the first of them never runs.
fn decide(
    point: Point<'_>,
    hook: Hook,
    mut programs: Vec<Program>,
    dropped: bool,
) -> Option<Cause> {
    let in_chain = |it: &Program| it.owner == Owner::Cilium && it.attachment != Attachment::Xdp;
    let cilium = programs.iter().position(in_chain);
    programs.truncate(cilium.map_or(programs.len(), |place| place + 1));
    let has_others = programs.iter().any(|it| it.owner == Owner::Other);
    let counted = cilium.and_then(|_| counted(point, hook));
    match counted {
        Some(counted) if counted.explains || !has_others && !counted.is_empty() => {
            return Some(counted.cause());
        }
        // Cilium counted fewer than were dropped here.
        Some(_) if dropped && has_others => programs.retain(|it| it.owner == Owner::Other),
        _ => {}
    }
    let at = Near::new(point, &[]).interface(hook.0)?;
    (!programs.is_empty()).then_some(Cause::Programs {
        programs,
        at,
        direction: hook.1,
        dropped,
    })
}

/// Cilium's drops on a node during the run.
struct Counted {
    node: String,
    drops: Vec<CiliumDrop>,
    /// One reason alone accounts for all lost packets.
    explains: bool,
    policies: Selecting,
}

impl Counted {
    fn is_empty(&self) -> bool {
        self.drops.is_empty()
    }

    fn cause(self) -> Cause {
        Cause::CiliumDrops {
            node: self.node,
            drops: self.drops,
            policies: self.policies.policies,
            unread: self.policies.unread,
        }
    }
}

/// `None` if Cilium's counters could not be read.
fn counted(point: Point<'_>, hook: Hook) -> Option<Counted> {
    let evidence = point.evidence;
    let door = evidence.cluster.door(hook.0)?;
    let drops = evidence.observation.cilium.get(&door.node)?;
    let all = |drop: &&CiliumDrop| drop.packets >= u64::from(point.packets);
    let enough = drops.iter().find(all);
    let drops: Vec<_> = match enough {
        Some(drop) => vec![drop.clone()],
        None => drops.iter().take(MOST).cloned().collect(),
    };
    let by_policy = drops.iter().find(|drop| drop.by_policy);
    let policies = by_policy.map(|drop| policies(point, drop.direction));
    Some(Counted {
        node: node_name(evidence.cluster, door.node).into(),
        drops,
        explains: enough.is_some(),
        policies: policies.unwrap_or_default(),
    })
}

/// The policies that select the pod whose policy dropped the packets.
fn policies(point: Point<'_>, direction: Option<Direction>) -> Selecting {
    let (end, direction) = point
        .evidence
        .route
        .policed(point.trail.way, point.packet, direction);
    let policies = &point.evidence.observation.lookups.policies;
    let netns = end.place.netns();
    netns
        .and_then(|netns| policies.get(&(netns, direction)))
        .cloned()
        .unwrap_or_default()
}
