//! One line per door with everything that people look up, for a wide terminal or a pager. Nothing is cut.

use super::{
    door::{Status, name, state},
    json::word,
    summary,
    text::{Style, UNKNOWN, ascii, bits, grid, list, rate, safe},
};
use crate::model::{Chain, DoorState, Snapshot};

/// A column's title, and its text.
type Column = (&'static str, fn(&DoorState) -> String);

const COLUMNS: [Column; 18] = [
    ("NODE", |door| door.node.to_string()),
    ("POD", |door| or_unknown(door.pod_label())),
    ("INTERFACE", name),
    ("INDEX", |door| door.ifindex.to_string()),
    ("ROLE", |door| word(&door.role)),
    ("KIND", |door| or_unknown(door.kind.as_ref())),
    ("PEER", |door| or_unknown(door.peer_ifindex)),
    ("ADDRESSES", |door| match door.addresses.is_empty() {
        true => UNKNOWN.into(),
        false => list(&door.addresses, ","),
    }),
    ("MAC", |door| or_unknown(door.mac.as_ref())),
    ("MTU", |door| or_unknown(door.mtu)),
    ("LINK", |door| or_unknown(door.link_state)),
    ("NETNS", |door| or_unknown(door.netns.map(|netns| netns.0))),
    ("▼ PKT/S", |door| rate(door.ingress.packets_per_second)),
    ("▲ PKT/S", |door| rate(door.egress.packets_per_second)),
    ("▼ BITS", |door| bits(door.ingress.bytes_per_second)),
    ("▲ BITS", |door| bits(door.egress.bytes_per_second)),
    ("PROGRAMS", programs),
    ("STATE", state),
];

/// Draws the table, without a line break at the end.
#[must_use]
pub(super) fn draw(snapshot: &Snapshot, style: Style) -> String {
    let titles = COLUMNS.map(|(title, _)| title.to_owned()).to_vec();
    let row = |door| COLUMNS.map(|(_, text)| text(door)).to_vec();
    let rows = [titles].into_iter().chain(snapshot.doors.iter().map(row));
    let mut lines = grid(rows, is_number);
    if style.colour {
        for (line, door) in lines.iter_mut().skip(1).zip(&snapshot.doors) {
            *line = Status::of(door).coloured(line);
        }
    }
    lines.push(summary::footer(snapshot));
    lines.extend(summary::notes(snapshot));
    let table = list(lines.iter().map(|line| line.trim_end()), "\n");
    match style.ascii {
        true => ascii(&table),
        false => table,
    }
}

fn is_number(column: usize) -> bool {
    let (title, _) = COLUMNS[column];
    ["INDEX", "PEER", "MTU", "NETNS"].contains(&title) || title.starts_with(['▼', '▲'])
}

fn or_unknown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| UNKNOWN.into(), |value| safe(&value.to_string()))
}

/// `▼cil_from_contai ▲–`: the programs of others at each hook, in run order.
fn programs(door: &DoorState) -> String {
    let names = |chain: &Option<Chain>| match chain {
        None => UNKNOWN.into(),
        Some(chain) => list(chain.ahead.iter().chain(&chain.behind), ","),
    };
    let ingress = names(&door.programs.ingress);
    let egress = names(&door.programs.egress);
    let hooks = [("▼", ingress), ("▲", egress)].into_iter();
    let hooks = hooks.filter(|(_, names)| !names.is_empty());
    list(hooks.map(|(sign, names)| format!("{sign} {names}")), " ")
}
