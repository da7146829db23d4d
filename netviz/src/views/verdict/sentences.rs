//! Causes, detours, doubts and notes of a verdict in sentences.

use super::places::label;
use crate::{
    model::Untrusted,
    verify::{BackendShare, Cause, Detour, Doubt, HiddenReason, Note, RowNote, Verdict, Way},
    views::text::{list, safe},
};

const LOCKED_DOWN: &str = "reasons of drops: refused by kernel lockdown (confidentiality)";
const NOT_COUNTED_BY_LINK: &str = "`ip -s link` does not count what crosses cilium_host ▲: cil_from_host redirects it before the transmission";

/// How the path differs from the expected one.
pub fn detours(verdict: &Verdict) -> Vec<String> {
    clean(&verdict.detours, |it| detour(verdict, it))
}

/// What was not visible.
pub fn unclear(verdict: &Verdict) -> Vec<String> {
    clean(&verdict.unclear, |it| doubt(verdict, it))
}

/// Doubts that no cause repeats.
pub(super) fn doubts(verdict: &Verdict) -> Vec<String> {
    let mut causes = verdict.losses.iter().flat_map(|loss| &loss.causes);
    let nobody = causes.any(|cause| *cause == Cause::NoSuchAddress);
    let repeats = |it: &&Doubt| nobody && matches!(it, Doubt::Unassigned { .. });
    let doubts = verdict.unclear.iter().filter(|it| !repeats(it));
    doubts.map(|it| safe(&doubt(verdict, it))).collect()
}

/// What else to know.
pub fn notes(verdict: &Verdict) -> Vec<String> {
    clean(&verdict.notes, |it| note(verdict, it))
}

fn clean<T>(facts: &[T], sentence: impl Fn(&T) -> String) -> Vec<String> {
    facts.iter().map(|fact| safe(&sentence(fact))).collect()
}

fn labels(verdict: &Verdict, way: Way, places: &[usize]) -> String {
    let labels = places.iter().map(|place| label(verdict, way, *place));
    labels.collect::<Vec<_>>().join(", ")
}

fn detour(verdict: &Verdict, detour: &Detour) -> String {
    match detour {
        Detour::Doors {
            way,
            crossed,
            passed_by,
            packets,
            of,
        } => {
            let [by, instead] = [crossed, passed_by].map(|rows| labels(verdict, *way, rows));
            let what = match (crossed.len(), passed_by.len()) {
                (0, 1) => format!("{instead} was not crossed"),
                (0, _) => format!("{instead} were not crossed"),
                (1, 0) => format!("by {by}, which is not on the expected path"),
                (_, 0) => format!("by {by}, which are not on the expected path"),
                _ => format!("by {by} instead of {instead}"),
            };
            format!("{way}: {what} ({packets} of {of})")
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
            let door = label(verdict, *way, *row);
            format!("{way}: across {door} {was}, expected {should} ({packets} of {of})")
        }
        Detour::Absent { device, node } => {
            format!("{device} is on the expected path, and {node} has none")
        }
    }
}

fn doubt(verdict: &Verdict, doubt: &Doubt) -> String {
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
        Doubt::Remote { pod, node } => remote(pod, node),
        Doubt::Unassigned {
            address,
            node,
            listed,
            complete,
        } => {
            let near = if *listed { "one of" } else { "near" };
            let end = match complete {
                true => "",
                false => "; not every pod of the node was visible",
            };
            format!(
                "no interface has {address}, which is {near} the pod addresses of {node}: the pod is gone, or the address is wrong{end}"
            )
        }
        Doubt::NoExpectation => "no expected path is known; name the routing mode (--mode)".into(),
        Doubt::ServiceTranslated {
            service,
            backends,
            error,
        } => {
            let sentence = translated(to.raw(), service.as_deref(), backends);
            match error {
                Some(error) => format!("{sentence} (cannot use the cgroup of {from}: {error})"),
                None => sentence,
            }
        }
        Doubt::DoorsNotWatched { doors } => not_watched(to, *doors),
        Doubt::AnsweredByProxy { node, packets, of } => by_proxy(to, node, (*packets, *of)),
        Doubt::Unrecognised { way, packets, of } => format!(
            "{way}: {packets} of {of} got through and no door recognised them, so their path is unknown; try --proto icmp or udp"
        ),
        Doubt::Missed { way, crossings } => format!(
            "{way}: {crossings} events were lost (buffer full), so packets may have got further, or crossed more doors; send fewer or slower"
        ),
        Doubt::Hidden { way, rows, reason } => {
            let doors = labels(verdict, *way, rows);
            format!("{way}: nothing can be seen at {doors}: {}", hidden(reason))
        }
        Doubt::MayBeTranslated { way, row, name } => {
            may_be_translated(*way, &label(verdict, *way, *row), name)
        }
    }
}

fn may_be_translated(way: Way, door: &str, name: &str) -> String {
    format!(
        "{way}: addresses may be translated behind {door}, and translated packets are not recognised; if {name} is a service, name the pod behind it, or send probes (without --passive)"
    )
}

fn not_watched(to: &Untrusted, doors: usize) -> String {
    format!(
        "{doors} doors of pods that may be behind {to} were not watched: watch them with --every-door, or name the pod"
    )
}

fn by_proxy(to: &Untrusted, node: &str, (packets, of): (u32, u32)) -> String {
    format!(
        "{packets} of {of} were answered by a proxy on {node}, in place of {to} (an L7 policy of Cilium, a service mesh): the path is verified up to there; try --proto icmp"
    )
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

fn chosen(asked: &str, pod: &str, of: usize) -> String {
    match of {
        1 => format!("{asked} is {pod}"),
        _ => format!("{asked}: tested with {pod}, one of {of} pods"),
    }
}

fn remote(pod: &Untrusted, node: &Untrusted) -> String {
    format!(
        "{pod} is on node {node}, not seen from here: run netviz there to see the rest of the path"
    )
}

fn note(verdict: &Verdict, note: &Note) -> String {
    let (from, to, sent) = (&verdict.from.name, &verdict.to.name, verdict.sent);
    match note {
        Note::DropReasonsLockedDown => LOCKED_DOWN.into(),
        Note::DeliveredTo { pod } => delivered_to(verdict, pod),
        Note::DeliveredToBackends { shares } => delivered_to_backends(verdict, shares),
        Note::Chosen { asked, pod, of } => chosen(asked, pod, *of),
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
            let place = format!("{interface} {} ({node})", direction.sign());
            strays(verdict, *way, *packets, &place)
        }
        Note::Bundled { packets } => format!(
            "{packets} packets left in UDP GSO bundles, which are cut and merged on the way: counted, not followed"
        ),
        Note::ReplyOnly => format!("packets were seen only from {to} to {from}"),
        Note::NoReplies => format!("no replies from {to}; these packets may not need any"),
        Note::DropEventsLost { events } => format!(
            "{events} drop events were lost (buffer full), so some losses show no reason; send fewer or slower"
        ),
        Note::SentToItself => format!("what {from} sends to itself crosses no door"),
        Note::Refused { .. } => refused(verdict, note),
        Note::Redirects { packets, node } => redirects(node, *packets, sent),
        Note::Repeated {
            way,
            row,
            times,
            encrypted,
        } => repeated(&label(verdict, *way, *row), *times, *encrypted),
        Note::Reordered {
            way,
            row,
            packets,
            of,
        } => {
            let door = label(verdict, *way, *row);
            format!("{way}: {packets} of {of} arrived at {door} after one that was sent later")
        }
        Note::HostNotCrossed => "traffic does not use cilium_host in this mode (normal)".into(),
        Note::NotCountedByLink => NOT_COUNTED_BY_LINK.into(),
        Note::NotSent { crossings } => format!("{crossings} crossings of unsent packets left out"),
        Note::Missed { crossings } => {
            format!(
                "{crossings} events were lost (buffer full): the numbers are too low by that many"
            )
        }
    }
}

fn delivered_to(verdict: &Verdict, pod: &str) -> String {
    let itself = match verdict.to.address == verdict.from.address {
        true => " itself",
        false => "",
    };
    format!("{} was delivered to {pod}{itself}", verdict.to.name)
}

fn delivered_to_backends(verdict: &Verdict, shares: &[BackendShare]) -> String {
    let each = shares
        .iter()
        .map(|it| format!("{} to {}", it.packets, it.pod));
    format!("{} was delivered: {}", verdict.to.name, list(each, ", "))
}

fn redirects(node: &str, packets: u32, sent: u32) -> String {
    format!(
        "{node} sent ICMP redirects for {packets} of {sent}, which are no answers (net.ipv4.conf.*.send_redirects)"
    )
}

fn refused(verdict: &Verdict, note: &Note) -> String {
    let Note::Refused {
        packets,
        answer,
        limited,
        by_netfilter,
    } = note
    else {
        return String::new();
    };
    let (to, sent) = (&verdict.to.name, verdict.sent);
    let all = packets.saturating_add(*limited);
    let limit = match limited {
        0 => String::new(),
        _ => format!("; {packets} refusals sent, the kernel limits them"),
    };
    match by_netfilter {
        true => format!(
            "{to} received {all} of {sent}, and netfilter (iptables, nftables) there refused them: {answer}{limit}"
        ),
        false => format!("{to} received and refused {all} of {sent}: {answer}{limit}"),
    }
}

fn repeated(door: &str, times: u32, encrypted: bool) -> String {
    let why = match encrypted {
        true => "encryption injects packets again",
        false => "a copy, or a packet that was injected again",
    };
    format!("{door} was crossed {times} times again by the same packets: {why}")
}

fn strays(verdict: &Verdict, way: Way, packets: u32, place: &str) -> String {
    let (from, to) = match way {
        Way::Request => (&verdict.from.name, &verdict.to.name),
        Way::Reply => (&verdict.to.name, &verdict.from.name),
    };
    format!(
        "{packets} packets from {from} to {to} were first seen at {place}, not leaving {from}: their addresses were translated on the way (a service), or another process sent them; they are not followed"
    )
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
