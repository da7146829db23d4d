//! What a verdict says beside its numbers, in sentences.

use crate::{
    model::{Direction, Side},
    verify::{
        Cause, CrossingRow, Detour, Doubt, DropReason, HiddenReason, Loss, Note, RowNote, Verdict,
        Way,
    },
    views::text::safe,
};

/// The causes of a loss.
#[must_use]
pub fn causes(verdict: &Verdict, loss: &Loss) -> Vec<String> {
    let causes = loss.causes.iter();
    causes.map(|it| safe(&cause(verdict, loss, it))).collect()
}

/// How the path differs from the expected one.
#[must_use]
pub fn detours(verdict: &Verdict) -> Vec<String> {
    let detours = verdict.detours.iter();
    detours.map(|it| safe(&detour(verdict, it))).collect()
}

/// What could not be seen.
#[must_use]
pub fn unclear(verdict: &Verdict) -> Vec<String> {
    let unclear = verdict.unclear.iter();
    unclear.map(|it| safe(&doubt(verdict, it))).collect()
}

/// What else to know.
#[must_use]
pub fn notes(verdict: &Verdict) -> Vec<String> {
    let notes = verdict.notes.iter();
    notes.map(|it| safe(&note(verdict, it))).collect()
}

/// Detours, doubts and notes.
pub(super) fn remarks(verdict: &Verdict) -> Vec<String> {
    [detours(verdict), unclear(verdict), notes(verdict)].concat()
}

/// `cilium_vxlan ▲ (mycluster-worker)`, `eth0 ▼ (pod default/busybox)`.
fn label(rows: &[CrossingRow], place: usize) -> String {
    let Some(row) = rows.get(place) else {
        return "an unknown door".into();
    };
    let CrossingRow { node, pod, .. } = row;
    let place = match (row.side, pod) {
        (Side::Pod, Some(pod)) => format!("pod {pod}"),
        (Side::Pod, None) => format!("a pod of {node}"),
        (Side::Node, _) => node.to_string(),
        (Side::Host, _) => format!("outside of {node}"),
    };
    format!("{} {} ({place})", row.interface, row.direction.sign())
}

fn labels(rows: &[CrossingRow], places: &[usize]) -> String {
    let labels: Vec<_> = places.iter().map(|place| label(rows, *place)).collect();
    labels.join(", ")
}

fn name(way: Way) -> &'static str {
    match way {
        Way::Request => "request",
        Way::Reply => "reply",
    }
}

fn are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

pub(super) fn cause(verdict: &Verdict, loss: &Loss, cause: &Cause) -> String {
    let rows = verdict.rows(loss.way);
    let to = &verdict.to.name;
    match cause {
        Cause::KernelDrop { drop } => kernel_drop(drop),
        Cause::Error { error, from } => match from {
            Some(router) => format!("{error} (reported by {router})"),
            None => format!("{error} (reported by the sender's own kernel)"),
        },
        Cause::Circle => format!(
            "packets went round in a circle until their TTL ended: {}",
            labels(rows, &loss.circle)
        ),
        Cause::NoReply { row } => format!(
            "requests reached {}, and nothing came back out of {to}: no process listens there, or it is down",
            label(&verdict.request, *row)
        ),
        Cause::NoSuchAddress => format!("no interface has the address of {to}"),
        Cause::LeftSight { row } => format!(
            "packets left by {}, and nothing came back: what is beyond is not visible from here",
            label(&verdict.request, *row)
        ),
        Cause::ReplyNotReceived { row } => format!(
            "replies arrived at {}, and the sender did not receive them in time: {} dropped them, or they were late",
            label(&verdict.reply, *row),
            verdict.from.name
        ),
        Cause::Behind { programs } => match loss.after.and_then(|place| rows.get(place)) {
            Some(row) => behind(row, programs),
            None => programs.join(", then "),
        },
        Cause::CiliumDrops { node, drops } => format!(
            "Cilium's drop counters on {node} rose during the run (all traffic): {}",
            drops.join("; ")
        ),
        Cause::LinkDown {
            interface,
            place,
            state,
        } => format!("{interface} is {state} in {place}: ip link set {interface} up"),
    }
}

/// Programs, or the stack or the link, behind the last door that saw packets.
fn behind(row: &CrossingRow, programs: &[String]) -> String {
    let place = format!("{} {}", row.direction.sign(), row.interface);
    let cilium = programs.iter().any(|name| name.starts_with("cil_"));
    match (programs, row.direction) {
        ([], Direction::Egress) => format!(
            "possible (no program is behind {place}): the interface or its peer is down, it has the wrong peer, or its queue is full"
        ),
        ([], Direction::Ingress) => format!(
            "possible (no program is behind {place}): no route, no neighbour, a firewall, or no listener"
        ),
        ([program], _) if cilium => format!(
            "{program} behind {place} dropped or redirected them; see: cilium monitor -t drop on {}",
            row.node
        ),
        ([program], _) => format!("{program} behind {place} dropped or redirected them"),
        (programs, _) => format!(
            "{} behind {place}: the first that did not return 'next' dropped or redirected them",
            programs.join(", then ")
        ),
    }
}

/// `the kernel dropped 4 packets: NEIGH_FAILED (no answer from the neighbour), in neigh_invalidate, at
/// eth0 of mycluster-worker`
fn kernel_drop(drop: &DropReason) -> String {
    let DropReason {
        function,
        device,
        place,
        packets,
        ..
    } = drop;
    let noun = if *packets == 1 { "packet" } else { "packets" };
    let reason = match drop.reason.as_deref() {
        Some("NOT_SPECIFIED") => "no reason given by the kernel".into(),
        Some(reason) => match explanation(reason) {
            Some(explanation) => format!("{reason} ({explanation})"),
            None => reason.to_owned(),
        },
        None => "this kernel has no drop reasons (they need Linux 5.17)".into(),
    };
    let function = function.as_ref().map(|function| format!(", in {function}"));
    let place = match (device, place) {
        (Some(device), Some(place)) => format!(", at {device} of {place}"),
        (Some(device), None) => format!(", at {device}"),
        (None, Some(place)) => format!(", in {place}"),
        (None, None) => String::new(),
    };
    let function = function.unwrap_or_default();
    format!("the kernel dropped {packets} {noun}: {reason}{function}{place}")
}

/// What a reason means for a lost packet (`include/net/dropreason-core.h`). Reasons are known by the
/// name that the running kernel has for them, never by number.
fn explanation(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NO_SOCKET" => "no listener",
        "OTHERHOST" => "the frame has the MAC address of another host",
        "IP_INNOROUTES" | "IP_OUTNOROUTES" => "no route",
        "IP_RPFILTER" => "rp_filter: the source is not reached by that device",
        "IP_INHDR" => "invalid header, or the TTL ended",
        "IP_LOCALNET" => "an address of 127.0.0.0/8 from outside",
        "IP_INVALID_SOURCE" | "IP_INVALID_DEST" | "IP_LOCAL_SOURCE" => {
            "an address that cannot come that way"
        }
        "NEIGH_FAILED" => "no answer from the neighbour: host down or gone",
        "NEIGH_QUEUEFULL" => "too many packets wait for a neighbour's answer",
        "NEIGH_DEAD" => "the neighbour's entry was removed",
        "PKT_TOO_BIG" => "longer than the MTU",
        "NETFILTER_DROP" => "an iptables or nftables rule",
        "TC_INGRESS" | "TC_EGRESS" => "a program or filter at the hook, of Cilium or another tool",
        "BPF_CGROUP_EGRESS" => "a program at the cgroup",
        "XDP" => "an XDP program",
        "QDISC_DROP" | "FULL_RING" | "CPU_BACKLOG" => "a full queue",
        "DEV_READY" | "DEV_HDR" => "the device is down, or no header could be made",
        "SOCKET_RCVBUFF" => "the receiver does not read fast enough",
        "SOCKET_FILTER" => "a filter at the socket",
        "UDP_CSUM" | "TCP_CSUM" | "ICMP_CSUM" | "IP_CSUM" | "SKB_CSUM" => "a wrong checksum",
        "XFRM_POLICY" => "an IPsec policy",
        "VXLAN_VNI_NOT_FOUND" | "TUNNEL_TXINFO" => "the tunnel has no destination",
        "IP_TUNNEL_ECN" => "the tunnel's congestion marks contradict each other",
        _ => return None,
    })
}

pub(super) fn detour(verdict: &Verdict, detour: &Detour) -> String {
    match detour {
        Detour::Doors {
            way,
            crossed,
            passed_by,
            packets,
            of,
        } => {
            let rows = verdict.rows(*way);
            let (by, instead) = (labels(rows, crossed), labels(rows, passed_by));
            let what = match (crossed.len(), passed_by.len()) {
                (0, 1) => format!("{instead} was not crossed"),
                (0, _) => format!("{instead} were not crossed"),
                (doors, 0) => format!("by {by}, which {} not on the expected path", are(doors)),
                _ => format!("by {by} instead of {instead}"),
            };
            format!("{}: {what} ({packets} of {of})", name(*way))
        }
        Detour::Tunnel {
            way,
            row,
            expected,
            packets,
            of,
        } => {
            let (was, should) = match expected {
                true => ("outside of the tunnel's packets", "inside"),
                false => ("inside of a tunnel's packets", "outside"),
            };
            let (way, door) = (name(*way), label(verdict.rows(*way), *row));
            format!("{way}: across {door} {was}, expected {should} ({packets} of {of})")
        }
        Detour::Absent { device, node } => {
            format!("{device} is on the expected path, and {node} has none")
        }
    }
}

pub(super) fn doubt(verdict: &Verdict, doubt: &Doubt) -> String {
    let (from, to) = (&verdict.from.name, &verdict.to.name);
    match doubt {
        Doubt::NothingFound => format!(
            "no packet between {from} and {to} was seen: wait longer (--for), or send probes (without --passive)"
        ),
        Doubt::NothingSent => "no packet was sent".into(),
        Doubt::BothElsewhere => format!(
            "neither {from} nor {to} is on a node of this machine, so no path is known: name one that is, or run netviz on its node"
        ),
        Doubt::NoDoors { name } => {
            format!("no door of {name} was found, so no path is known; see `netviz doors`")
        }
        Doubt::NoCilium { node } => {
            format!("{node} has no cilium_host: its routing is unknown, so no path is expected")
        }
        Doubt::Unassigned {
            address,
            node,
            listed,
            complete,
        } => format!(
            "no interface has {address}, which is {} the pod addresses of {node}: the pod is gone, or the address is wrong{}",
            if *listed { "one of" } else { "near" },
            if *complete {
                ""
            } else {
                "; not every pod of the node was visible"
            }
        ),
        Doubt::NoExpectation => "no expected path is known; name the routing mode (--mode)".into(),
        Doubt::ServiceTranslated { service, backends } => {
            translated(to.raw(), service.as_deref(), backends)
        }
        Doubt::Unrecognised { way, packets, of } => format!(
            "{}: {packets} of {of} got through and no door recognised them, so their path is unknown; try --proto icmp or udp",
            name(*way)
        ),
        Doubt::Missed { way, crossings } => format!(
            "{}: {crossings} events were lost (buffer full), so packets may have got further, or crossed more doors; send fewer or slower",
            name(*way)
        ),
        Doubt::Hidden { way, rows, reason } => format!(
            "{}: nothing can be seen at {}: {}",
            name(*way),
            labels(verdict.rows(*way), rows),
            hidden(reason)
        ),
        Doubt::MayBeTranslated {
            way,
            row,
            name: end,
        } => format!(
            "{}: addresses may be translated behind {}, and translated packets are not recognised; if {end} is a service, name the pod behind it, or send probes (without --passive)",
            name(*way),
            label(verdict.rows(*way), *row)
        ),
    }
}

fn translated(to: &str, service: Option<&str>, backends: &[String]) -> String {
    let instead = match backends {
        [] => "verify one of its backends".to_owned(),
        backends => format!("verify a backend: {}", backends.join(" or ")),
    };
    let how =
        "Cilium translates in the sockets of its nodes' processes, while netviz sends raw packets";
    match service {
        Some(service) => format!("{service} is a service, whose address {how}: {instead}"),
        None => format!("{to} may be the address of a service, which {how}: {instead}"),
    }
}

pub(super) fn note(verdict: &Verdict, note: &Note) -> String {
    let (from, to) = (&verdict.from.name, &verdict.to.name);
    match note {
        Note::DeliveredTo { pod } => format!("{to} was delivered to {pod}"),
        Note::ServicePort { protocol, port } => {
            format!("{to} is a service, which answers at its ports only: sent {protocol} to {port}")
        }
        Note::DoorsNotWatched { doors } => {
            format!("{doors} doors of other pods were not watched (--every-door)")
        }
        Note::Strays {
            way,
            packets,
            interface,
            direction,
            node,
        } => {
            let (from, to) = match way {
                Way::Request => (from, to),
                Way::Reply => (to, from),
            };
            format!(
                "{packets} packets from {from} to {to} were first seen at {interface} {} ({node}), not leaving {from}: their addresses were translated on the way (a service), or another process sent them; they are not followed",
                direction.sign()
            )
        }
        Note::Bundled { packets } => format!(
            "{packets} packets left in UDP GSO bundles, which are cut and merged on the way: counted, not followed"
        ),
        Note::ReplyOnly => format!("no packet from {from} to {to} was seen, only from {to} to {from}"),
        Note::NoReplies => format!("no replies from {to}; these packets may not need any"),
        Note::DropEventsLost { events } => format!(
            "{events} drop events were lost (buffer full), so some losses show no reason; send fewer or slower"
        ),
        Note::SentToItself => format!("what {from} sends to itself crosses no door"),
        Note::Refused { packets, answer } => {
            format!("{to} received and refused {packets} of {}: {answer}", verdict.sent)
        }
        Note::Repeated {
            way,
            row,
            times,
            encrypted,
        } => {
            let why = match encrypted {
                true => "encryption injects packets again",
                false => "a copy, or a packet that was injected again",
            };
            let door = label(verdict.rows(*way), *row);
            format!("{door} was crossed {times} times again by the same packets: {why}")
        }
        Note::Reordered {
            way,
            row,
            packets,
            of,
        } => format!(
            "{}: {packets} of {of} arrived at {} after one that was sent later",
            name(*way),
            label(verdict.rows(*way), *row)
        ),
        Note::HostNotCrossed => {
            "traffic does not use cilium_host in this mode (normal)".into()
        }
        Note::NotCountedByLink => "`ip -s link` does not count what crosses cilium_host ▲: cil_from_host redirects it before the transmission".into(),
        Note::NotSent { crossings } => {
            format!("{crossings} crossings of packets that were not sent are left out")
        }
        Note::Missed { crossings } => {
            format!("{crossings} events were lost (buffer full): the numbers are too low by that many")
        }
    }
}

pub(super) fn row_note(note: &RowNote) -> String {
    match note {
        RowNote::Hidden { reason } => hidden(reason),
        RowNote::Encrypted { by } => format!("not recognised here: encrypted by {by}"),
        RowNote::Besides => "not on the path itself (normal)".into(),
    }
}

fn hidden(reason: &HiddenReason) -> String {
    match reason {
        HiddenReason::NotAttached { error } => error.clone(),
        HiddenReason::Displaced { programs } => format!(
            "{} runs before netviz: packets that it drops or redirects are not seen; stop it, or start netviz after it",
            programs.join(", ")
        ),
        HiddenReason::Detached => "netviz was detached here, or the interface was removed".into(),
        HiddenReason::Unreadable { error } => {
            format!("cannot read or write the maps of netviz's programs: {error}")
        }
        HiddenReason::Fragments { size, limit } => format!(
            "packets of {size} bytes can be in fragments here, none of which carries the whole marker; send --size {limit} or less"
        ),
    }
}
