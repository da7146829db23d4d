//! The table of doors: nodes, veth pairs, and the two ends of each.
//!
//! ```text
//! mycluster-worker2  172.18.0.4/16
//!   veth pair                 door                   ▼ pkt/s  ▲ pkt/s  ▼ packets  ▲ packets  state
//!   busybox-c8bbbbb84-fmhwc  eth0              10      12.0     12.0      1 204      1 198  ok
//!     10.10.1.164/32         lxc174c023046ff   11      12.0     12.0      1 198      1 204  ok
//! ```

use crossterm::style::Stylize as _;

pub use super::text::Style;
use super::{
    door::{Status, name, pair_name, state},
    footnotes::{Footnote, Footnotes},
    order::is_pair,
    summary,
    text::{ascii, bytes, count, cut_apart, cut_end, grid, list, rate, safe, widest, wrap},
};
use crate::model::{DoorState, Side, Snapshot, Traffic};

/// Draws the table, without a line break at the end.
#[must_use]
pub fn draw(snapshot: &Snapshot, style: Style) -> String {
    let mut lines = Vec::new();
    for (least, figures) in LAYOUTS {
        lines = columns(snapshot, least, figures);
        let left = style.width.unwrap_or(usize::MAX);
        let Some(left) = left.checked_sub(widest(&lines) + STATE_WIDTH) else {
            continue;
        };
        // What is left is for names first.
        lines = columns(snapshot, least.saturating_add(left), figures);
        break;
    }
    let (rows, reasons) = rows(snapshot, style, &lines);
    let below = below(snapshot, style.width.unwrap_or(usize::MAX), &reasons);
    let table = [rows, below].concat().join("\n");
    match style.ascii {
        true => ascii(&table),
        false => table,
    }
}

/// The least width of the state column.
const STATE_WIDTH: usize = 12;
/// Truncated reasons to repeat in full under the table.
const REASONS: usize = 4;

/// A title, and a figure of each hook.
type Figure = (&'static str, fn(&Traffic) -> String);

const RATE: Figure = ("pkt/s", |it| rate(it.packets_per_second));
const PACKETS: Figure = ("packets", |it| count(it.packets));
const SEGMENTS: Figure = ("segments", |it| count(it.segments));
const BYTES: Figure = ("bytes", |it| bytes(it.bytes));

/// Layouts from the widest to the narrowest: the least width of a pod's name, and the figures.
const LAYOUTS: [(usize, &[Figure]); 5] = [
    (64, &[RATE, PACKETS, SEGMENTS, BYTES]),
    (34, &[RATE, PACKETS, BYTES]),
    (21, &[RATE, PACKETS]),
    // Names of a deployment's pods usually fit: `netshoot-7d996d7884-fwt8z`.
    (25, &[RATE]),
    (22, &[RATE]),
];

/// The header and one line per door, without the state.
fn columns(snapshot: &Snapshot, pod: usize, figures: &[Figure]) -> Vec<String> {
    let doors = &snapshot.doors;
    let names = cut_apart(doors.iter().map(pair_name), pod);
    let mut header = vec!["  veth pair".into(), "door".into(), String::new()];
    for (title, _) in figures {
        header.extend([format!("▼ {title}"), format!("▲ {title}")]);
    }
    let row = |(place, door): (usize, &DoorState)| {
        let before = place.checked_sub(1).map(|before| &doors[before]);
        let mut row = vec![
            pair(before, door, &names[&pair_name(door)]),
            name(door),
            door.ifindex.to_string(),
        ];
        for (_, figure) in figures {
            row.extend([figure(&door.ingress), figure(&door.egress)]);
        }
        row
    };
    let rows = doors.iter().enumerate().map(row);
    grid([header].into_iter().chain(rows), |column| column >= 2)
}

/// First column: the pod or the kind of veth pair, and under it the address.
fn pair(before: Option<&DoorState>, door: &DoorState, name: &str) -> String {
    let Some(first) = before.filter(|before| is_pair(before, door)) else {
        // There is no second line for the address.
        let single = door.side == Side::Pod && door.peer_ifindex.is_none();
        let address = door.addresses.first().filter(|_| single);
        let address = address.map_or_else(String::new, |address| format!(" {address}"));
        return format!("  {name}{address}");
    };
    if door.side == Side::Host {
        return "    its far end".into();
    }
    // The pod's address, or that of whichever end has one.
    let address = first.addresses.first().or(door.addresses.first());
    address.map_or_else(String::new, |address| format!("    {address}"))
}

fn is_quiet(door: &DoorState) -> bool {
    let idle = |traffic: &Traffic| traffic.packets_per_second.unwrap_or(0.0) == 0.0;
    idle(&door.ingress) && idle(&door.egress)
}

/// Headings and doors with their states, and the reasons that were truncated.
fn rows(snapshot: &Snapshot, style: Style, lines: &[String]) -> (Vec<String>, Footnotes) {
    let mut rows = Vec::new();
    let mut reasons = Footnotes::default();
    let mut node = None;
    let (header, lines) = match lines {
        [header, lines @ ..] => (header.as_str(), lines),
        [] => ("", lines),
    };
    let left = widest(&[header]);
    let room = style.width.map_or(usize::MAX, |it| it.saturating_sub(left));
    for (line, door) in lines.iter().zip(&snapshot.doors) {
        if node != Some(door.node_netns) {
            if node.is_some() {
                rows.push(String::new());
            }
            node = Some(door.node_netns);
            rows.push(heading(snapshot, door));
            rows.push(format!("{header}state"));
        }
        let whole = state(door);
        let cut = cut_end(&whole, room);
        if cut != whole {
            reasons.add(door, format!("{} {}", name(door), door.ifindex));
        }
        rows.push(match style.colour {
            true => coloured(door, line, &cut),
            false => format!("{line}{cut}"),
        });
    }
    let width = style.width.unwrap_or(usize::MAX);
    let rows = rows.iter().map(|line| cut_end(line.trim_end(), width));
    (rows.collect(), reasons)
}

/// `mycluster-worker  172.18.0.2/16  pods 10.10.2.0/24  vxlan, legacy host routing`
fn heading(snapshot: &Snapshot, door: &DoorState) -> String {
    let mut nodes = snapshot.nodes.iter();
    let mut parts = vec![door.node.to_string()];
    if let Some(node) = nodes.find(|node| node.netns == door.node_netns) {
        parts.push(list(&node.addresses, " "));
        parts.extend(summary::cluster(node));
    }
    safe(&parts.join("  "))
}

/// ANSI colours that every palette has, and faint for what is idle.
fn coloured(door: &DoorState, line: &str, state: &str) -> String {
    let line = match is_quiet(door) {
        true => line.dim().to_string(),
        false => line.to_owned(),
    };
    format!("{line}{}", Status::of(door).coloured(state))
}

/// What belongs under the table.
fn below(snapshot: &Snapshot, width: usize, reasons: &Footnotes) -> Vec<String> {
    let footnote = |note: &Footnote| match note.places.as_slice() {
        [place] => format!("  {place}  {}", note.text),
        places => format!("  {}: {}", note.text, places.join(", ")),
    };
    let shown = reasons.all().take(REASONS).map(footnote);
    let mut below: Vec<_> = shown.flat_map(|note| wrap(&note, width, 4)).collect();
    let more = reasons.all().count().saturating_sub(REASONS);
    if more > 0 {
        let more = format!("  … and {more} more: a wider window shows them");
        below.push(cut_end(&more, width));
    }
    below.extend(wrap(&summary::footer(snapshot), width, 2));
    let notes = summary::notes(snapshot);
    below.extend(notes.iter().flat_map(|note| wrap(note, width, 2)));
    below
}
