//! The building as a picture: self-contained, no script, readable in light and dark.

use std::fmt::Write as _;

use super::{Hall, Map, name, purpose, rates, remark};
use crate::{
    model::DoorState,
    views::{
        layout::Building,
        table,
        text::{cut_middle, safe},
    },
};

const WIDTH: usize = 860;
const MARGIN: usize = 16;
const HEADING: usize = 36;
const ROOM: usize = 56;
const GATE: usize = 44;
/// Where the wall of the rooms is, and where the node's ends stand.
const WALL: usize = 480;
const NEAR: usize = 570;

const STYLE: &str = ":root{color-scheme:light dark}svg{background:#fff;color:#1b1f24}text{font:13px ui-monospace,monospace;fill:currentColor}.h{font-weight:bold}.s{font-size:11px;opacity:.75}.n{fill:none;stroke:currentColor;stroke-width:2}.r{fill:none;stroke:currentColor;opacity:.6}.c{stroke:#1668c7}.q{stroke:#8a8f98;stroke-dasharray:3 4}.w{fill:#b25000}@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.c{stroke:#58a6ff}.w{fill:#f0a35e}}";

/// Draws all buildings below one another.
#[must_use]
pub fn draw(map: &Map<'_>) -> String {
    let heights: Vec<usize> = map.layout.buildings.iter().map(height).collect();
    let total = heights.iter().map(|height| height + MARGIN).sum::<usize>() + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" width=\"{WIDTH}\" height=\"{total}\" role=\"img\" aria-labelledby=\"t d\"><title id=\"t\">Doors of {}</title><desc id=\"d\">Nodes as buildings, pods as rooms, interfaces as doors, veth pairs as corridors; the wider a corridor, the more packets cross it.</desc><style>{STYLE}</style>\n",
        escape(&list(map))
    );
    let mut top = MARGIN;
    for (building, height) in map.layout.buildings.iter().zip(heights) {
        draw_building(&mut out, map, building, top, height);
        top += height + MARGIN;
    }
    out.push_str("</svg>\n");
    out
}

/// The picture with the table under it, as one page.
#[must_use]
pub fn page(map: &Map<'_>) -> String {
    let table = table::draw(map.snapshot, table::Style::default());
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/><meta name=\"viewport\" content=\"width=device-width\"/><title>netviz: {}</title><style>:root{{color-scheme:light dark}}body{{font-family:ui-monospace,monospace;margin:1em}}svg{{max-width:100%;height:auto}}pre{{overflow-x:auto}}</style></head><body>\n{}<pre>{}</pre>\n</body></html>\n",
        escape(&list(map)),
        draw(map),
        escape(&table)
    )
}

fn list(map: &Map<'_>) -> String {
    let names: Vec<_> = map
        .layout
        .buildings
        .iter()
        .map(|building| safe(&building.name))
        .collect();
    names.join(", ")
}

fn height(building: &Building) -> usize {
    let gates = building.inner.len() + building.gates.len();
    HEADING + building.rooms.len() * (ROOM + 8) + gates * GATE + 8
}

fn draw_building(out: &mut String, map: &Map<'_>, building: &Building, top: usize, height: usize) {
    let width = WIDTH - 2 * MARGIN;
    let _ = writeln!(
        out,
        "<g><rect class=\"n\" x=\"{MARGIN}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    );
    text(
        out,
        "h",
        MARGIN + 12,
        top + 22,
        "start",
        &map.heading(building),
        100,
    );
    let mut y = top + HEADING;
    for hall in building.rooms.iter().filter_map(|hall| map.hall(hall)) {
        room(out, &hall, y);
        y += ROOM + 8;
    }
    for hall in building
        .inner
        .iter()
        .chain(&building.gates)
        .filter_map(|hall| map.hall(hall))
    {
        gate(out, &hall, y);
        y += GATE;
    }
    out.push_str("</g>\n");
}

fn room(out: &mut String, hall: &Hall<'_>, y: usize) {
    let x = MARGIN + 12;
    let width = WALL - x;
    let _ = writeln!(
        out,
        "<g><rect class=\"r\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{ROOM}\" rx=\"3\"/>"
    );
    text(out, "h", x + 8, y + 18, "start", &safe(hall.label), 54);
    let address = hall.far.addresses.join(" ");
    text(out, "s", x + 8, y + 38, "start", &safe(&address), 38);
    door(out, hall.far, WALL - 8, y + 32, "end");
    if let Some(near) = hall.near {
        corridor(out, hall, y + 28);
        door(out, near, NEAR + 8, y + 32, "start");
    }
    out.push_str("</g>\n");
}

fn gate(out: &mut String, hall: &Hall<'_>, y: usize) {
    let (first, second) = hall.outwards();
    out.push_str("<g>");
    let addresses: Vec<&str> = hall
        .doors()
        .flat_map(|door| &door.addresses)
        .map(String::as_str)
        .collect();
    let about = format!(
        "{} {}",
        purpose(hall.role).unwrap_or_default(),
        addresses.join(" ")
    );
    text(
        out,
        "s",
        MARGIN + 20,
        y + 20,
        "start",
        safe(&about).trim(),
        38,
    );
    door(out, first, WALL - 8, y + 20, "end");
    corridor(out, hall, y + 16);
    if let Some(second) = second {
        door(out, second, NEAR + 8, y + 20, "start");
    }
    out.push_str("</g>\n");
}

fn door(out: &mut String, door: &DoorState, x: usize, y: usize, anchor: &str) {
    let remark = remark(door);
    let mark = if remark.is_some() { " !" } else { "" };
    let class = if remark.is_some() { "w" } else { "d" };
    let label = format!("{} {}{mark}", cut_middle(&name(door), 15), door.ifindex);
    let mut title = format!("{} index {}", name(door), door.ifindex);
    for fact in [door.mac.as_ref(), remark.as_ref()].into_iter().flatten() {
        title.push_str("; ");
        title.push_str(&safe(fact));
    }
    let _ = write!(out, "<g><title>{}</title>", escape(&title));
    text(out, class, x, y, anchor, &label, 60);
    text(
        out,
        "s",
        x,
        y + 15,
        anchor,
        &format!("{} pkt/s", rates(door)),
        60,
    );
    out.push_str("</g>\n");
}

fn corridor(out: &mut String, hall: &Hall<'_>, y: usize) {
    let busiest = hall.busiest().unwrap_or(0.0);
    let class = if hall.is_quiet() { "q" } else { "c" };
    // A line for a packet, ten times as wide for a million.
    let width = 1.5 + (1.0 + busiest).log10() * 2.0;
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{WALL}\" y1=\"{y}\" x2=\"{NEAR}\" y2=\"{y}\" stroke-width=\"{width:.1}\"/>"
    );
}

fn text(out: &mut String, class: &str, x: usize, y: usize, anchor: &str, text: &str, room: usize) {
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
        escape(&cut_middle(text, room))
    );
}

/// A text as XML takes it, in an element or an attribute.
pub(in crate::views) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to write them.
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
