//! Verdicts in sentences, the same in every view.

use super::path::numbers;
use crate::{
    verify::{CrossingRow, Hop, Kind, Loss, ModeSource, Probes, Protocol, Traffic, Verdict, Way},
    views::text::{UNKNOWN, count, safe},
};

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
    format!(
        "none sent; in {:.1} s {} {what}packets there and {} back{port}, {followed}",
        traffic.seconds,
        count(Some(traffic.request_packets)),
        count(Some(traffic.reply_packets)),
    )
}

/// `vxlan, legacy host routing; said by the Cilium agents`
pub(super) fn expected(verdict: &Verdict) -> String {
    let mode = verdict
        .mode
        .as_deref()
        .map_or_else(|| "not known by which doors".to_owned(), safe);
    let source = match verdict.mode_source {
        Some(ModeSource::Agent) => "; said by the Cilium agents",
        Some(ModeSource::Inferred) => "; inferred from devices and programs, nobody said so",
        Some(ModeSource::Asked) => "; as asked for",
        None => "",
    };
    format!("{mode}{source}")
}

/// An end by its name: as it was asked for, and the pod behind it where that is another.
pub(super) fn end(hop: &Hop) -> String {
    match &hop.pod {
        Some(pod) if *pod != hop.name => format!("{} ({pod})", hop.name),
        _ => hop.name.to_string(),
    }
}

/// One sentence: what became of the packets.
#[must_use]
pub fn summary(verdict: &Verdict) -> String {
    let delivered = delivered(verdict);
    match verdict.verdict {
        Kind::Verified => {
            let round = match verdict.round_trip_microseconds {
                Some(time) => format!(" Median round trip {}.", micros(Some(time)).trim()),
                None => String::new(),
            };
            format!("{delivered}, by the expected doors.{round}")
        }
        Kind::Detour => format!("{delivered}, by other doors than expected."),
        Kind::Lost => match verdict.losses.as_slice() {
            [] => format!("{delivered}."),
            [loss] => lost(verdict, loss),
            _ => format!("{delivered}; packets ended in several places."),
        },
        Kind::Unclear => match &verdict.traffic {
            Some(traffic) if verdict.sent == 0 && traffic.returned == 0 => {
                format!("no packet to follow in {:.1} s.", traffic.seconds)
            }
            _ => format!("{delivered}, and not all of the way could be seen."),
        },
    }
}

fn delivered(verdict: &Verdict) -> String {
    let Verdict {
        sent,
        delivered,
        replied,
        ..
    } = verdict;
    if let Some(traffic) = &verdict.traffic {
        return arrived(verdict, traffic);
    }
    // Where no answer is asked for, none is missed.
    let silent = verdict.reply.is_empty() && *replied == 0;
    if silent {
        format!("delivered {delivered} of {sent}")
    } else {
        format!("delivered {delivered} of {sent}, answered {replied} of {delivered}")
    }
}

/// Of packets that were there anyway: each way for itself.
fn arrived(verdict: &Verdict, traffic: &Traffic) -> String {
    let there = match verdict.sent {
        0 => "no packet there".to_owned(),
        sent => format!("{} of {sent} arrived", verdict.delivered),
    };
    match traffic.returned {
        0 if verdict.reply.is_empty() => there,
        0 => format!("{there}, none came back"),
        returned => format!("{there}, {} of {returned} came back", verdict.replied),
    }
}

/// Where packets ended.
pub(super) fn lost(verdict: &Verdict, loss: &Loss) -> String {
    let (rows, what) = match loss.way {
        Way::Request => (&verdict.request, "packets"),
        Way::Reply
            if verdict
                .traffic
                .as_ref()
                .is_some_and(|found| found.returned > 0) =>
        {
            (&verdict.reply, "packets on the way back")
        }
        Way::Reply => (&verdict.reply, "answers"),
    };
    let who = format!("{} of {} {what}", loss.packets, loss.of);
    if !loss.circle.is_empty() {
        let doors: Vec<_> = loss.circle.iter().map(|place| door(rows, *place)).collect();
        return format!(
            "{who} went round in a circle until their TTL ended: {}.",
            doors.join(", ")
        );
    }
    match (loss.after, loss.before) {
        (Some(after), Some(before)) => format!(
            "{who} ended between {} and {}.",
            door(rows, after),
            door(rows, before)
        ),
        (Some(after), None) => format!("{who} ended behind {}.", door(rows, after)),
        (None, Some(before)) => {
            format!("{who} ended before {}, the first.", door(rows, before))
        }
        (None, None) => format!("{who} were seen at no door."),
    }
}

/// `door 6 (▼ cilium_vxlan, mycluster-worker)`
fn door(rows: &[CrossingRow], place: usize) -> String {
    let Some(row) = rows.get(place) else {
        return "a door that is not known".into();
    };
    let number = numbers(rows).get(place).copied().flatten();
    let number = number.map_or_else(String::new, |number| format!(" {number}"));
    format!(
        "door{number} ({} {}, {})",
        row.direction.sign(),
        row.interface,
        row.node
    )
}

/// A time of microseconds in 9 columns: `    1.1 us`.
pub(super) fn micros(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) else {
        return format!("{UNKNOWN:>6}   ");
    };
    match value {
        value if value < 999.95 => format!("{value:>6.1} us"),
        value if value < 999_950.0 => format!("{:>6.1} ms", value / 1e3),
        value if value < 1e10 => format!("{:>6.1} s ", value / 1e6),
        _ => "  hours  ".into(),
    }
}
