//! One record per door.

use std::io::{self, Write};

use crate::model::{Snapshot, Traffic, Untrusted};

/// Column names, in the order of the records.
pub const HEADER: [&str; 19] = [
    "taken_at",
    "node",
    "pod",
    "namespace",
    "interface",
    "ifindex",
    "peer_interface",
    "peer_ifindex",
    "netns",
    "state",
    "reason",
    "ingress_packets",
    "ingress_segments",
    "ingress_bytes",
    "ingress_packets_per_second",
    "egress_packets",
    "egress_segments",
    "egress_bytes",
    "egress_packets_per_second",
];

/// Writes a header and a record per door; what is not known is an empty field.
///
/// # Errors
/// Those of the writer.
pub fn write(snapshot: &Snapshot, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(HEADER).map_err(io_error)?;
    for door in &snapshot.doors {
        let state = serde_json::to_value(door.state).ok();
        let state = state
            .as_ref()
            .and_then(|state| state.as_str())
            .unwrap_or_default();
        let mut record = vec![
            snapshot.taken_at.clone(),
            cell(door.node.raw()),
            text(door.pod.as_ref()),
            text(door.namespace.as_ref()),
            text(door.interface.as_ref()),
            door.ifindex.to_string(),
            text(door.peer_interface.as_ref()),
            number(door.peer_ifindex),
            number(door.netns.map(|netns| netns.0)),
            state.to_owned(),
            door.reason
                .as_ref()
                .map_or_else(String::new, |reason| cell(&reason.to_string())),
        ];
        record.extend(traffic(&door.ingress));
        record.extend(traffic(&door.egress));
        writer.write_record(&record).map_err(io_error)?;
    }
    writer.flush()
}

/// The writer's own error: a closed pipe is to be recognised as one.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn traffic(traffic: &Traffic) -> [String; 4] {
    [
        number(traffic.packets),
        number(traffic.segments),
        number(traffic.bytes),
        traffic
            .packets_per_second
            .map_or_else(String::new, |rate| format!("{rate:.3}")),
    ]
}

fn text(value: Option<&Untrusted>) -> String {
    value.map_or_else(String::new, |value| cell(value.raw()))
}

/// How a formula begins, in letters of either width: where wide ones are at home, sheets read them too.
const FORMULA: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// A name in a spreadsheet: one that begins as a formula does would be run as one.
fn cell(value: &str) -> String {
    let safe = super::text::safe(value);
    if safe.starts_with(FORMULA) {
        format!("'{safe}")
    } else {
        safe
    }
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
