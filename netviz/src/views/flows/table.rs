//! The flows of each interface as a table.
//!
//! ```text
//! worker  shop/web-0  eth0
//!      source              destination       proto  packets      bytes  flags
//!   ▲  shop/web-0:49152    shop/db-0:5432    tcp      1 204   98.0 KiB  SAP
//!   + 37 more flows: 300 packets, 2.0 KiB
//!   + ▼ 120 packets of evicted flows
//! ```

use std::{collections::HashMap, net::IpAddr};

use super::{
    report::{FlowReport, NamedFlow, Rest, TopTalkers},
    words::{self, End, age, milliseconds, packets},
};
use crate::{
    model::{Direction, Untrusted},
    views::text::{
        Style, ascii, bits, bytes, count, cut_apart, cut_end, grid, list, rate, safe, widest, wrap,
    },
};

/// A column: its title and its text, at a Unix time in milliseconds.
type Column = (&'static str, fn(&NamedFlow, Option<u64>) -> String);

const PACKETS: Column = ("packets", |it, _| {
    count(Some(it.flow.counts.counts.packets))
});
const SEGMENTS: Column = ("segments", |it, _| {
    count(Some(it.flow.counts.counts.segments))
});
const BYTES: Column = ("bytes", |it, _| bytes(Some(it.flow.counts.counts.bytes)));
const PACKET_RATE: Column = ("pkt/s", |it, _| rate(it.flow.packets_per_second));
const BIT_RATE: Column = ("bit/s", |it, _| bits(it.flow.bytes_per_second));
const FIRST: Column = ("first", |it, now| age(it.flow.counts.first_seen_ms, now));
const LAST: Column = ("last", |it, now| age(it.flow.counts.last_seen_ms, now));
const FLAGS: Column = ("flags", |it, _| words::flags(it.flow.counts.tcp_flags));
const RETRANSMITTED: Column = ("retr", |it, _| match it.flow.counts.retransmitted {
    0 => String::new(),
    number => count(Some(number)),
});

/// Layouts from the widest to the narrowest: the least width of a name, and the columns.
const LAYOUTS: [(usize, &[Column]); 6] = [
    (
        44,
        &[
            PACKETS,
            SEGMENTS,
            BYTES,
            PACKET_RATE,
            BIT_RATE,
            FIRST,
            LAST,
            FLAGS,
            RETRANSMITTED,
        ],
    ),
    (
        30,
        &[
            PACKETS,
            BYTES,
            PACKET_RATE,
            BIT_RATE,
            LAST,
            FLAGS,
            RETRANSMITTED,
        ],
    ),
    (26, &[PACKETS, BYTES, BIT_RATE, FLAGS]),
    (20, &[PACKETS, BYTES, BIT_RATE]),
    (16, &[PACKETS, BYTES]),
    (12, &[BYTES]),
];

/// The greatest width of a name without a terminal.
const WIDEST: usize = 60;
/// Room for a port in a cut name.
const PORT: usize = 6;

/// Draws the tables, without a line break at the end.
#[must_use]
pub fn draw(report: &FlowReport, style: Style) -> String {
    let width = style.width.unwrap_or(usize::MAX);
    let mut rows = Vec::new();
    for (least, columns) in LAYOUTS {
        let least = if style.width.is_some() { least } else { WIDEST };
        rows = flow_rows(report, least, columns);
        let Some(left) = width.checked_sub(widest(&rows)) else {
            continue;
        };
        // What is left is for names.
        rows = flow_rows(report, least.saturating_add(left / 2).min(WIDEST), columns);
        break;
    }
    let mut lines = Vec::new();
    let mut rows = rows.into_iter();
    let header = rows.next().unwrap_or_default();
    let (shown, quiet): (Vec<_>, Vec<_>) = report.doors.iter().partition(|door| has_any(door));
    for (place, door) in shown.into_iter().enumerate() {
        if place > 0 {
            lines.push(String::new());
        }
        lines.push(heading(report, door));
        if !door.flows.is_empty() {
            lines.push(header.clone());
        }
        for (flow, row) in door.flows.iter().zip(rows.by_ref()) {
            lines.push(row);
            let more = [words::translated(flow), words::tunnel(flow)];
            let more = more.into_iter().flatten();
            lines.extend(more.map(|text| format!("       {text}")));
        }
        lines.extend(below(door));
    }
    let lines = lines
        .into_iter()
        .map(|line| cut_end(line.trim_end(), width));
    let footer = footer(report, &quiet);
    let footer = footer.iter().flat_map(|note| wrap(note, width, 2));
    let text = list(lines.chain(footer), "\n");
    match style.ascii {
        true => ascii(&text),
        false => text,
    }
}

/// Whether there is anything to show of an interface.
fn has_any(door: &TopTalkers) -> bool {
    !door.flows.is_empty() || door.filtered.flows == 0 && !below(door).is_empty()
}

fn has_evicted(door: &TopTalkers) -> bool {
    [&door.ingress, &door.egress]
        .iter()
        .any(|hook| hook.evicted.packets > 0)
}

/// The titles, and a line for each flow of all interfaces, in one grid.
fn flow_rows(report: &FlowReport, name: usize, columns: &[Column]) -> Vec<String> {
    let now = milliseconds(&report.taken_at);
    let flows = || {
        let shown = report.doors.iter().filter(|door| has_any(door));
        shown.flat_map(|door| &door.flows)
    };
    let names = flows().flat_map(|flow| words::ends(flow).map(|end| end.name));
    let cut = cut_apart(names, name.saturating_sub(PORT));
    let mut header = vec![
        "    ".into(),
        "source".into(),
        "destination".into(),
        "proto".into(),
    ];
    header.extend(columns.iter().map(|(title, _)| (*title).to_owned()));
    let row = |flow: &NamedFlow| {
        let [source, destination] = words::ends(flow).map(|end| short(&end, &cut));
        let sign = format!("  {}", flow.flow.direction.sign());
        let mut row = vec![sign, source, destination, words::protocol(flow)];
        row.extend(columns.iter().map(|(_, text)| text(flow, now)));
        row
    };
    let rows = [header].into_iter().chain(flows().map(row));
    let is_text = |column: usize| column < 4 || columns[column - 4].0 == FLAGS.0;
    grid(rows, |column| !is_text(column))
}

fn short(end: &End, cut: &HashMap<String, String>) -> String {
    let name = cut.get(&end.name).unwrap_or(&end.name);
    format!("{name}{}", end.port)
}

/// `worker  shop/web-0  eth0  for 12s`
fn heading(report: &FlowReport, door: &TopTalkers) -> String {
    let interface = door.interface.as_ref().map(Untrusted::to_string);
    let interface = interface.unwrap_or_else(|| format!("if{}", door.id.ifindex));
    let pod = door.pod_label().map(|pod| pod.to_string());
    let parts = [
        Some(door.node.to_string()),
        pod,
        Some(interface),
        Some(format!(
            "for {}",
            age(door.since_ms, milliseconds(&report.taken_at))
        )),
    ];
    list(parts.into_iter().flatten(), "  ")
}

/// What is not among the flows of an interface: never silently missing.
fn below(door: &TopTalkers) -> Vec<String> {
    let rest = |rest: &Rest, what: &str| {
        (rest.flows > 0).then(|| {
            let (number, counts) = (count(Some(rest.flows)), rest.counts);
            let flows = if rest.flows == 1 { "flow" } else { "flows" };
            let sums = format!("{}, {}", packets(counts.packets), bytes(Some(counts.bytes)));
            format!("  + {number} {what}{flows}: {sums}")
        })
    };
    let outside =
        Direction::BOTH.map(|direction| words::outside(direction, door.outside(direction)));
    let outside = outside.map(|text| text.map(|text| format!("  + {text}")));
    let rests = [rest(&door.more, "more "), rest(&door.filtered, "filtered ")];
    let reason = door.reason.as_ref();
    let reason = reason.map(|reason| format!("  flows are not counted: {reason}"));
    let all = rests.into_iter().chain(outside).chain([reason]);
    all.flatten().collect()
}

/// What belongs under the tables.
fn footer(report: &FlowReport, quiet: &[&TopTalkers]) -> Vec<String> {
    let mut notes = Vec::new();
    if report.doors.is_empty() {
        notes.push("flows are counted at no interface".into());
    }
    if !quiet.is_empty() {
        let filtered = quiet.iter().filter(|door| door.filtered.flows > 0).count();
        let evicted = quiet.iter().filter(|door| has_evicted(door)).count();
        let parts = [
            (filtered, "the filter left out those of"),
            (evicted, "packets of evicted flows at"),
        ];
        let parts = parts.into_iter().filter(|(number, _)| *number > 0);
        let parts = parts.map(|(number, what)| format!("; {what} {number}"));
        notes.push(format!(
            "no flows at {} interfaces{}",
            quiet.len(),
            list(parts, "")
        ));
    }
    for door in &report.uncounted {
        let label = |name: &Untrusted| name.within(door.namespace.as_ref()).to_string();
        let pod = door.pod.as_ref().map(label);
        let interface = door.interface.as_ref().map(Untrusted::to_string);
        let place = [Some(door.node.to_string()), pod, interface];
        let reason = door.reason.as_ref().map(ToString::to_string);
        let reason = reason.unwrap_or_else(|| "not yet".into());
        let place = list(place.into_iter().flatten(), " ");
        notes.push(format!("flows are not counted at {place}: {reason}"));
    }
    let address = |address: &IpAddr| {
        format!("* several pods, nodes or services have {address}: it is not named")
    };
    notes.extend(report.ambiguous.iter().map(address));
    let window = report.window_seconds;
    let window = window.map_or_else(String::new, |seconds| format!(", window {seconds:.1} s"));
    let memory = report.memory.map_or_else(String::new, |memory| {
        format!(", room for {} flows", count(Some(memory.room)))
    });
    notes.push(format!(
        "{} interfaces{window}{memory}; a packet crosses several interfaces, so never add them up",
        report.doors.len()
    ));
    notes.extend(report.notes.iter().map(|note| safe(note)));
    notes
}
