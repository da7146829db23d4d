//! One record per flow, or per direction of a pair.

use std::io::{self, Write};

use super::{
    owners::Owner,
    pair_table::name,
    pairs::{CountedAt, PairCounts, PairReport},
    report::{FlowReport, NamedFlow, TopTalkers},
    words,
};
use crate::{
    model::{Counts, Direction, Flow, OutsideFlows, Transport, Untrusted},
    views::{
        csv::{cell, io_error, number, rate},
        protocol,
    },
};

/// Columns of every record.
const COMMON: [&str; 11] = [
    "taken_at",
    "kind",
    "node",
    "pod",
    "namespace",
    "interface",
    "ifindex",
    "direction",
    "packets",
    "segments",
    "bytes",
];

/// A column's name, and its value.
type Column = (&'static str, fn(&NamedFlow) -> String);

/// Columns of a flow, empty in other records.
const FLOW: [Column; 20] = [
    ("source", |it| it.flow.key.source.to_string()),
    ("source_name", |it| owner(it.source_owner.as_ref())),
    ("source_port", |it| number(ports(&it.flow).map(|it| it[0]))),
    ("destination", |it| it.flow.key.destination.to_string()),
    ("destination_name", |it| {
        owner(it.destination_owner.as_ref())
    }),
    ("destination_port", |it| {
        number(ports(&it.flow).map(|it| it[1]))
    }),
    ("protocol", |it| protocol::name(it.flow.key.protocol)),
    ("icmp_type", |it| number(icmp(&it.flow).map(|it| it[0]))),
    ("icmp_code", |it| number(icmp(&it.flow).map(|it| it[1]))),
    ("fragment", |it| it.flow.key.fragment.to_string()),
    ("tunnel", |it| number(it.flow.key.tunnel.map(|it| it.id))),
    ("asked", |it| number(it.translation.map(|it| it.asked))),
    ("answered", |it| {
        number(it.translation.map(|it| it.answered))
    }),
    ("answered_name", |it| owner(it.answered_by.as_ref())),
    ("packets_per_second", |it| rate(it.flow.packets_per_second)),
    ("bytes_per_second", |it| rate(it.flow.bytes_per_second)),
    ("first_seen_ms", |it| {
        it.flow.counts.first_seen_ms.to_string()
    }),
    ("last_seen_ms", |it| it.flow.counts.last_seen_ms.to_string()),
    ("tcp_flags", |it| words::flags(it.flow.counts.tcp_flags)),
    ("retransmitted", |it| {
        it.flow.counts.retransmitted.to_string()
    }),
];

/// Writes a header and a record per flow. Packets in no flow have records of another `kind` than
/// `flow`, so that the records of an interface's hook add up to its counters.
pub fn write(report: &FlowReport, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let header = COMMON.into_iter().chain(FLOW.iter().map(|(name, _)| *name));
    writer.write_record(header).map_err(io_error)?;
    let mut write = |record: Vec<String>| writer.write_record(&record).map_err(io_error);
    for door in &report.doors {
        for flow in &door.flows {
            let direction = flow.flow.direction.to_string();
            let counts = &flow.flow.counts.counts;
            let common = common(report, door, "flow", direction, counts);
            write([common, FLOW.map(|(_, value)| value(flow)).to_vec()].concat())?;
        }
        for (kind, direction, counts) in rests(door) {
            let common = common(report, door, kind, direction, &counts);
            write([common, vec![String::new(); FLOW.len()]].concat())?;
        }
    }
    writer.flush()
}

/// What is in no record of a flow.
fn rests(door: &TopTalkers) -> Vec<(&'static str, String, Counts)> {
    let hook = |direction: Direction| {
        let OutsideFlows {
            evicted,
            unparsed,
            unread,
        } = *door.outside(direction);
        let parts = [
            ("evicted", evicted),
            ("unparsed", unparsed),
            ("unread", unread),
        ];
        parts.map(|(kind, counts)| (kind, direction.to_string(), counts))
    };
    let hooks = Direction::BOTH.map(hook).concat();
    // Of both hooks together.
    let more = [
        ("more", String::new(), door.more.counts),
        ("filtered", String::new(), door.filtered.counts),
    ];
    let all = hooks.into_iter().chain(more);
    all.filter(|(_, _, counts)| counts.packets > 0).collect()
}

fn common(
    report: &FlowReport,
    door: &TopTalkers,
    kind: &str,
    direction: String,
    counts: &Counts,
) -> Vec<String> {
    vec![
        report.taken_at.clone(),
        kind.into(),
        cell(&door.node),
        untrusted(door.pod.as_ref()),
        untrusted(door.namespace.as_ref()),
        untrusted(door.interface.as_ref()),
        door.id.ifindex.to_string(),
        direction,
        counts.packets.to_string(),
        counts.segments.to_string(),
        counts.bytes.to_string(),
    ]
}

const PAIR: [&str; 11] = [
    "taken_at",
    "from",
    "to",
    "packets",
    "segments",
    "bytes",
    "packets_per_second",
    "bytes_per_second",
    "retransmitted",
    "flows",
    "counted_at",
];

/// Writes a header and a record per direction of a pair; packets in no flow are last, without names.
pub fn write_pairs(report: &PairReport, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(PAIR).map_err(io_error)?;
    for pair in &report.pairs {
        let directions = [
            (&pair.a, &pair.b, &pair.a_to_b),
            (&pair.b, &pair.a, &pair.b_to_a),
        ];
        for (from, to, counts) in directions {
            if let Some(counts) = counts {
                let mut record = vec![report.taken_at.clone(), cell(name(from)), cell(name(to))];
                record.extend(pair_counts(counts));
                writer.write_record(&record).map_err(io_error)?;
            }
        }
    }
    let outside = &report.outside_flows;
    for (kind, counts) in [
        ("evicted", outside.evicted),
        ("unparsed", outside.unparsed),
        ("unread", outside.unread),
    ] {
        let mut record = vec![String::new(); PAIR.len()];
        record[0].clone_from(&report.taken_at);
        record[3] = counts.packets.to_string();
        record[4] = counts.segments.to_string();
        record[5] = counts.bytes.to_string();
        record[10] = kind.into();
        writer.write_record(&record).map_err(io_error)?;
    }
    writer.flush()
}

fn pair_counts(it: &PairCounts) -> [String; 8] {
    let counted_at = match it.counted_at {
        CountedAt::Sender => "sender",
        CountedAt::Receiver => "receiver",
    };
    [
        it.counts.packets.to_string(),
        it.counts.segments.to_string(),
        it.counts.bytes.to_string(),
        rate(it.packets_per_second),
        rate(it.bytes_per_second),
        it.retransmitted.to_string(),
        it.flows.to_string(),
        counted_at.into(),
    ]
}

fn untrusted(name: Option<&Untrusted>) -> String {
    name.map_or_else(String::new, cell)
}

fn owner(known: Option<&Owner>) -> String {
    let name = known.and_then(words::owner);
    name.map_or_else(String::new, cell)
}

fn ports(flow: &Flow) -> Option<[u16; 2]> {
    match flow.key.transport {
        Transport::Ports {
            source,
            destination,
        } => Some([source, destination]),
        Transport::Icmp { .. } | Transport::None => None,
    }
}

fn icmp(flow: &Flow) -> Option<[u8; 2]> {
    match flow.key.transport {
        Transport::Icmp { kind, code, .. } => Some([kind, code]),
        Transport::Ports { .. } | Transport::None => None,
    }
}
