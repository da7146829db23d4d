//! The cause of a loss: what the kernel reports, then what can be looked up, then what is likely.
//!
//! A reason of the kernel that explains itself silences all guesses. A fact that explains the loss
//! silences reasons that do not (`QDISC_DROP`, "a program dropped it").

use std::net::IpAddr;

use super::{
    lookup::Near,
    outcomes::Evidence,
    point::{Dropped, Point},
    suspects,
};
use crate::verify::{Cause, DropReason, Place, Refusal, Way, expect::unassigned};

/// An error that the sender got, and the router that reports it.
pub(super) type SenderError = (String, Option<IpAddr>);

/// The cause; several only if the kernel dropped the packets for several reasons that explain
/// themselves.
pub(super) fn causes(
    point: Point<'_>,
    drops: Vec<Dropped>,
    error: Option<&SenderError>,
    refusal: Option<&Refusal>,
) -> Vec<Cause> {
    let (telling, vague): (Vec<_>, Vec<_>) = drops
        .into_iter()
        .partition(|(drop, _)| explains_itself(drop));
    let mut causes: Vec<Cause> = Vec::new();
    for drop in &telling {
        let cause = explained(point, drop);
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    if !causes.is_empty() {
        return causes;
    }
    let near = Near::new(point, &vague);
    let by_program = |(drop, _): &&Dropped| is_by_program(drop);
    let program = vague.iter().find(by_program);
    let other = vague.iter().find(|drop| !by_program(drop));
    let refused = refusal.map(|refusal| Cause::RefusedOnTheWay {
        answer: refusal.to_string(),
    });
    let cause = nobody(point)
        .or(refused)
        .or_else(|| near.cause())
        .or_else(|| program.and_then(|drop| suspects::of_drop(point, drop)))
        .or_else(|| near.reverse_path_filter())
        .or_else(|| near.reply_route())
        .or_else(|| error.map(reported))
        .or_else(|| {
            vague
                .first()
                .filter(|_| program.is_some())
                .or(other)
                .map(|it| plain(point, it))
        })
        .or_else(|| place(point))
        .or_else(|| suspects::behind(point));
    vec![cause.unwrap_or(Cause::Unexplained)]
}

/// Whether a program dropped the packet. What it thought is not in the reason.
fn is_by_program(drop: &DropReason) -> bool {
    let reason = drop.reason.as_deref();
    matches!(reason, Some("TC_INGRESS" | "TC_EGRESS")) || suspects::is_xdp(drop)
}

/// Whether a reason needs no further explanation. The others are symptoms of a device that is down, an
/// MTU that is too small, or a decision of a program.
fn explains_itself(drop: &DropReason) -> bool {
    let vague = [
        "NOT_SPECIFIED",
        "QDISC_DROP",
        "FULL_RING",
        "CPU_BACKLOG",
        "DEV_READY",
        "DEV_HDR",
        "SKB_UCOPY_FAULT",
    ];
    let reason = drop.reason.as_deref();
    reason.is_some_and(|it| !vague.contains(&it)) && !is_by_program(drop)
}

/// A drop whose reason explains itself, with what can be looked up about it.
fn explained(point: Point<'_>, drop: &Dropped) -> Cause {
    let near = Near::new(point, std::slice::from_ref(drop));
    let cause = match drop.0.reason.as_deref() {
        Some("IP_INNOROUTES" | "IP_OUTNOROUTES") => nobody(point).or_else(|| near.no_route(drop.1)),
        Some("NEIGH_FAILED" | "NEIGH_QUEUEFULL") => nobody(point).or_else(|| near.cause()),
        Some("OTHERHOST") => near.wrong_neighbour(),
        Some("PKT_TOO_BIG") => near.too_long(),
        Some("IP_RPFILTER") => near.reverse_path(drop.1),
        _ => None,
    };
    cause.unwrap_or_else(|| plain(point, drop))
}

/// As the kernel reports it.
fn plain(point: Point<'_>, (drop, door): &Dropped) -> Cause {
    let near = Near::new(point, &[]);
    Cause::KernelDrop {
        drop: drop.clone(),
        location: door.and_then(|door| near.location(door)),
        // Firewalls see the tunnel's packets, not those inside.
        tunnel_port: near.tunnel_port().filter(|_| drop.is_netfilter()),
    }
}

fn nobody(point: Point<'_>) -> Option<Cause> {
    let Evidence { cluster, route, .. } = point.evidence;
    let is_request = point.trail.way == Way::Request;
    (is_request && unassigned(cluster, &route.to).is_some()).then_some(Cause::NoSuchAddress)
}

/// What a router or the sender's own kernel reports.
fn reported((error, from): &SenderError) -> Cause {
    Cause::Error {
        error: error.clone(),
        from: *from,
    }
}

/// What the place itself shows: the end before the first door, or behind the last one.
fn place(point: Point<'_>) -> Option<Cause> {
    let Point {
        evidence,
        trail,
        after,
        before,
        ..
    } = point;
    if trail.way == Way::Reply && after.is_none() {
        let hidden = before.is_some_and(|line| trail.lines[line].hidden.is_some());
        let end = evidence.trail(Way::Request).end(point.packet);
        return end.filter(|_| !hidden).map(|row| Cause::NoReply { row });
    }
    let row = after.filter(|_| before.is_none())?;
    match (trail.way, evidence.route.receiver(point.packet).place) {
        (Way::Request, Place::Elsewhere) => Some(Cause::LeftSight { row }),
        (Way::Request, _) => None,
        (Way::Reply, _) => Some(Cause::ReplyNotReceived { row }),
    }
}
