//! Parts of verdicts in words, the same in every view.

use super::{
    path::Tone,
    places::{owner, preposition},
};
use crate::{
    model::Untrusted,
    verify::{
        CrossingRow, Doubt, Hop, Kind, Loss, ModeSource, Note, Probes, Protocol, Traffic, Verdict,
        Way,
    },
    views::text::{count, micros, safe},
};

pub(super) fn tone(kind: Kind) -> Tone {
    match kind {
        Kind::Verified => Tone::Good,
        Kind::Detour | Kind::Unclear => Tone::Odd,
        Kind::Lost => Tone::Bad,
    }
}

/// The name of the test, if it has one.
pub(super) fn test_name(verdict: &Verdict) -> Option<&Untrusted> {
    verdict.test.as_ref()?.name.as_ref()
}

/// `NAME: ` before what a test with a name is about.
pub(super) fn test_label(verdict: &Verdict) -> String {
    test_name(verdict).map_or_else(String::new, |name| format!("{name}: "))
}

/// `10 x ICMP echo, 84 bytes`
#[must_use]
pub fn sent(verdict: &Verdict) -> String {
    if let Some(traffic) = &verdict.traffic {
        return found(verdict, traffic);
    }
    let Probes {
        protocol,
        port,
        bytes,
    } = &verdict.probes;
    let what = match protocol {
        Some(Protocol::Icmp) => "ICMP echo",
        Some(Protocol::Udp) => "UDP",
        Some(Protocol::Tcp) => "TCP SYN",
        None => "packets",
    };
    let port = port.map_or_else(String::new, |port| format!(" to port {port}"));
    let bytes = bytes.map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
    format!("{} x {what}{port}{bytes}", verdict.sent)
}

/// `none sent; in 10.0 s 79,872 packets there and 40,100 back, one in 64 followed`
fn found(verdict: &Verdict, traffic: &Traffic) -> String {
    let protocol = traffic.protocol.map(|protocol| protocol.to_string());
    let what = protocol.map_or_else(String::new, |name| format!("{} ", name.to_uppercase()));
    let port = verdict.probes.port;
    let port = port.map_or_else(String::new, |port| format!(" (port {port})"));
    let followed = match traffic.followed_one_in {
        0 | 1 => "each followed".to_owned(),
        one_in => format!("one in {} followed", count(Some(one_in))),
    };
    let [there, back] = [traffic.request_packets, traffic.reply_packets].map(|it| count(Some(it)));
    let seconds = traffic.seconds;
    format!(
        "none sent; in {seconds:.1} s {there} {what}packets there and {back} back{port}, {followed}"
    )
}

/// `vxlan, legacy host routing (from the Cilium agents)`
pub(super) fn expected(verdict: &Verdict) -> String {
    let mode = verdict.mode.as_deref();
    let mode = mode.map_or_else(|| "unknown path".to_owned(), safe);
    let source = match verdict.mode_source {
        Some(ModeSource::Agent) => " (from the Cilium agents)",
        Some(ModeSource::Inferred) => " (detected from interfaces and programs)",
        Some(ModeSource::Routes) => " (by the kernel's routes)",
        Some(ModeSource::Asked) => " (set with --mode)",
        None => "",
    };
    format!("{mode}{source}")
}

/// The name of an end as given, and the pod behind it.
pub(super) fn end(hop: &Hop) -> String {
    match &hop.pod {
        Some(pod) if *pod != hop.name => format!("{} ({pod})", hop.name),
        _ => hop.name.to_string(),
    }
}

/// ` (IPv6)`, which tells a pair from that of the same names with IPv4; nothing where an address is a name.
pub(super) fn family(verdict: &Verdict) -> &'static str {
    let to = &verdict.to;
    let is_ipv6 = |address: &&String| address.contains(':') && to.name != address.as_str();
    to.address
        .as_ref()
        .filter(is_ipv6)
        .map_or("", |_| " (IPv6)")
}

/// The result in one sentence.
#[must_use]
pub fn summary(verdict: &Verdict) -> String {
    let delivered = delivered(verdict);
    match verdict.verdict {
        Kind::Verified => {
            let round = match verdict.round_trip_microseconds {
                Some(time) => format!("; median round trip {}", micros(Some(time)).trim()),
                None => String::new(),
            };
            format!("{delivered}, by the expected doors{round}")
        }
        Kind::Detour => format!("{delivered}, by other doors than expected"),
        Kind::Lost => match verdict.losses.as_slice() {
            [] => delivered,
            [loss] => lost(verdict, loss),
            losses => format!("{delivered}; packets ended in {} places", losses.len()),
        },
        Kind::Unclear if verdict.unclear.contains(&Doubt::NothingSent) => {
            format!("{} could not send.", verdict.from.name)
        }
        Kind::Unclear => match &verdict.traffic {
            Some(traffic) if verdict.sent == 0 && traffic.returned == 0 => {
                format!("no packet to follow in {:.1} s", traffic.seconds)
            }
            _ => format!("{delivered}, but parts of the path were not visible"),
        },
    }
}

fn delivered(verdict: &Verdict) -> String {
    let (sent, delivered, replied) = (verdict.sent, verdict.delivered, verdict.replied);
    let returned = verdict.traffic.as_ref().map(|traffic| traffic.returned);
    let there = match (sent, returned) {
        (_, None) => format!("delivered {delivered} of {sent}"),
        (0, Some(_)) => "no packet there".to_owned(),
        (sent, Some(_)) => format!("{delivered} of {sent} arrived"),
    };
    // Without a reply to expect, none is missing.
    let one_way = verdict.reply.is_empty();
    if refused(verdict) >= delivered.max(1) {
        return format!("{there}, refused");
    }
    match returned {
        None if one_way && replied == 0 => there,
        None => format!("{there}, answered {replied} of {delivered}"),
        Some(0) if one_way => there,
        Some(0) => format!("{there}, none came back"),
        Some(returned) => format!("{there}, {replied} of {returned} came back"),
    }
}

/// How many packets B refused, also where the kernel kept the refusal back.
fn refused(verdict: &Verdict) -> u32 {
    let refused = |note: &Note| match note {
        Note::Refused {
            packets, limited, ..
        } => packets.saturating_add(*limited),
        _ => 0,
    };
    let refused = verdict.notes.iter().map(refused);
    refused.fold(0, u32::saturating_add)
}

/// Where packets ended.
pub(super) fn lost(verdict: &Verdict, loss: &Loss) -> String {
    let traffic = verdict.traffic.as_ref();
    let rows = verdict.rows(loss.way);
    if loss.way == Way::Reply && loss.after.is_none() && verdict.delivered > 0 {
        return unanswered(verdict, loss);
    }
    let what = match loss.way {
        Way::Request if traffic.is_some() => "packets",
        Way::Request => "requests",
        Way::Reply if traffic.is_some() => "packets of the reply",
        Way::Reply => "replies",
    };
    let row = |place: Option<usize>| rows.get(place?);
    let place = match (row(loss.after), row(loss.before)) {
        _ if !loss.circle.is_empty() => {
            let doors = loss.circle.iter().filter_map(|place| rows.get(*place));
            let doors: Vec<_> = doors.map(at).collect();
            format!("in a circle until their TTL ended: {}", doors.join(", "))
        }
        (Some(after), Some(before)) if place(after) == place(before) => {
            let (place, after, before) = (place(after), hook(after), hook(before));
            format!("{place} between {after} and {before}")
        }
        (Some(after), Some(before)) => format!("between {} and {}", at(after), at(before)),
        (Some(after), None) => format!("{} behind {}", place(after), hook(after)),
        (None, Some(before)) => format!("{} before {}", place(before), hook(before)),
        (None, None) => "seen at no interface".into(),
    };
    format!("{} of {} {what}, {place}", loss.packets, loss.of)
}

/// Delivered, and not answered.
fn unanswered(verdict: &Verdict, loss: &Loss) -> String {
    let to = match &verdict.to.pod {
        Some(pod) => format!("pod {pod}"),
        None => verdict.to.name.to_string(),
    };
    let (delivered, sent) = (verdict.delivered, verdict.sent);
    let silent = match loss.packets {
        packets if packets >= delivered => "did not answer".to_owned(),
        packets => format!("did not answer {packets}"),
    };
    let what = match verdict.traffic {
        Some(_) => "packets",
        None => "requests",
    };
    format!("{to} received {delivered} of {sent} {what} and {silent}")
}

/// `on node mycluster-worker`
fn place(row: &CrossingRow) -> String {
    let owner = owner(&row.node, row.pod.as_ref(), row.side);
    format!("{} {owner}", preposition(row.side))
}

/// `▼ cilium_vxlan`
fn hook(row: &CrossingRow) -> String {
    format!("{} {}", row.direction.sign(), row.interface)
}

/// `▼ cilium_vxlan on node mycluster-worker`
fn at(row: &CrossingRow) -> String {
    format!("{} {}", hook(row), place(row))
}
