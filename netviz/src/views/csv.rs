//! One record per door.

use std::{
    fmt::Display,
    io::{self, Write},
};

use super::{json::word, text::safe};
use crate::model::{DoorState, Snapshot, Traffic};

/// A column's name, and its value.
type Column<T> = (&'static str, fn(&T) -> String);

/// The columns of a door.
const DOOR: [Column<DoorState>; 11] = [
    ("node", |door| cell(&door.node)),
    ("pod", |door| name(&door.pod)),
    ("namespace", |door| name(&door.namespace)),
    ("interface", |door| name(&door.interface)),
    ("ifindex", |door| door.ifindex.to_string()),
    ("peer_interface", |door| name(&door.peer_interface)),
    ("peer_ifindex", |door| number(door.peer_ifindex)),
    ("netns", |door| number(door.netns.map(|netns| netns.0))),
    ("role", |door| word(&door.role)),
    ("state", |door| word(&door.state)),
    ("reason", |door| name(&door.reason)),
];

/// The columns of each hook.
const HOOK: [Column<Traffic>; 5] = [
    ("packets", |hook| number(hook.packets)),
    ("segments", |hook| number(hook.segments)),
    ("bytes", |hook| number(hook.bytes)),
    ("packets_per_second", |hook| rate(hook.packets_per_second)),
    ("bytes_per_second", |hook| rate(hook.bytes_per_second)),
];

/// The names of all columns.
#[must_use]
pub fn header() -> Vec<String> {
    let door = DOOR.map(|(name, _)| name.to_owned());
    let hook = |direction| HOOK.map(|(name, _)| format!("{direction}_{name}"));
    let hooks = [hook("ingress"), hook("egress")].concat();
    let columns = ["taken_at".to_owned()].into_iter().chain(door);
    columns.chain(hooks).collect()
}

/// Writes a header and a record per door; an unknown value is an empty field.
pub fn write(snapshot: &Snapshot, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(header()).map_err(io_error)?;
    for door in &snapshot.doors {
        let mut record = vec![snapshot.taken_at.clone()];
        record.extend(DOOR.map(|(_, value)| value(door)));
        for hook in [&door.ingress, &door.egress] {
            record.extend(HOOK.map(|(_, value)| value(hook)));
        }
        writer.write_record(&record).map_err(io_error)?;
    }
    writer.flush()
}

/// The writer's own error, so that callers recognise a closed pipe.
pub(super) fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// How a formula begins. Spreadsheets also read the full-width characters.
const FORMULA: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// A text that a spreadsheet does not run as a formula.
pub(super) fn cell(value: impl Display) -> String {
    let safe = safe(&value.to_string());
    match safe.starts_with(FORMULA) {
        true => format!("'{safe}"),
        false => safe,
    }
}

fn name(value: &Option<impl Display>) -> String {
    value.as_ref().map_or_else(String::new, cell)
}

pub(super) fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

pub(super) fn rate(value: Option<f64>) -> String {
    number(value.map(|rate| format!("{rate:.3}")))
}
