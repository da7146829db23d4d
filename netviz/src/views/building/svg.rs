//! The building as a picture: self-contained, no script, readable in light and dark.

mod node_box;
mod pen;

use super::Map;
use crate::views::{
    footnotes::Footnotes,
    svg::escape,
    table,
    text::{cut_middle, list, safe},
};
use node_box::{House, Port};
use pen::{Anchor, HOUSE, Pen, STREET};

const MARGIN: usize = 16;
/// Characters of the name in the street.
const NAME: usize = 15;
/// Height of a line below the buildings.
const LINE: usize = 16;
/// Characters below one column of buildings.
const LETTERS: usize = 98;

const DESCRIPTION: &str =
    "Nodes, pods, interfaces and veth pairs; the wider a line, the more packets cross it.";

const STYLE: &str = ":root{color-scheme:light dark}svg{background:#fff;color:#1b1f24;max-width:100%;height:auto}text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:currentColor;white-space:pre}.h{font-weight:bold}text.s{font-size:11px}.n{fill:none;stroke:currentColor;stroke-width:2}.r{fill:#f3f7fc;stroke:#57606a}.c{stroke:#1668c7}.q{stroke:#8a8f98;stroke-dasharray:3 4}.u{stroke:#b25000;stroke-dasharray:8 4}.g .r{fill:none;stroke:#8a8f98}.g text{fill:#5f6770}text.w,.g text.w{fill:#a04400;font-weight:bold}@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.r{fill:#161f2b;stroke:#8b949e}.c{stroke:#58a6ff}.g .r{stroke:#6e7681}.g text{fill:#98a1ab}text.w,.g text.w{fill:#f0a35e}.u{stroke:#f0a35e}}";

/// Draws all buildings in two columns, with the connection between them.
#[must_use]
pub fn draw(map: &Map<'_>) -> String {
    let beside = map.layout.buildings.len() > 1;
    let columns = if beside { 2 } else { 1 };
    let width = 2 * MARGIN + columns * HOUSE + if beside { STREET } else { 0 };
    let mut pen = Pen::default();
    let mut remarks = Footnotes::default();
    let house = House {
        map,
        names: map.labels(node_box::LABEL),
    };
    let mut ports = Vec::new();
    let mut top = MARGIN;
    for row in map.layout.buildings.chunks(2) {
        let height = row.iter().map(|it| house.height(it)).max().unwrap_or(0);
        for (side, building) in row.iter().enumerate() {
            let left = MARGIN + side * (HOUSE + STREET);
            pen.turn(left, HOUSE, side == 1);
            ports.extend(house.draw(&mut pen, building, top, height, &mut remarks));
        }
        top += height + MARGIN;
    }
    if beside {
        street(&mut pen, map, &ports);
    }
    let top = below(&mut pen, map, &remarks, top, columns);
    let title = format!("Doors of {}", nodes(map));
    pen.svg.document((width, top), STYLE, (&title, DESCRIPTION))
}

/// The connection between the columns, along all buildings that it connects.
fn street(pen: &mut Pen, map: &Map<'_>, ports: &[Port]) {
    let ends = ports.iter().map(|port| port.y);
    let (Some(first), Some(last)) = (ends.clone().min(), ends.max()) else {
        return;
    };
    let x = MARGIN + HOUSE + STREET / 2;
    let way = map.layout.way.as_ref();
    let name = way.and_then(|way| way.name.as_deref()).map(safe);
    let name = name.unwrap_or_default();
    let busiest = ports.iter().filter_map(|port| port.busiest);
    let busiest = busiest.reduce(f64::max);
    // Not within a building.
    pen.turn(0, 2 * x, false);
    pen.svg.open(None, &format!("between the nodes: {name}"));
    if first < last {
        pen.line((x, first), (x, last), busiest);
    }
    let name = cut_middle(&name, NAME);
    pen.write("s", (x, last + 20), Anchor::Middle, &name);
    pen.svg.close();
}

/// Remarks and the legend. Returns their lower end.
fn below(pen: &mut Pen, map: &Map<'_>, remarks: &Footnotes, top: usize, columns: usize) -> usize {
    pen.turn(0, HOUSE, false);
    let lines = "Solid lines: traffic, dotted lines: idle, dashed lines: unknown";
    let mut y = top + LINE / 2;
    for line in map.below(remarks, lines, columns * LETTERS) {
        pen.write("s", (MARGIN + 4, y), Anchor::Start, &line);
        y += LINE;
    }
    y + MARGIN / 2
}

/// The picture with the table under it, as one page.
#[must_use]
pub fn page(map: &Map<'_>) -> String {
    let table = table::draw(map.snapshot, table::Style::default());
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/><meta name=\"viewport\" content=\"width=device-width\"/><title>netviz: {}</title><style>:root{{color-scheme:light dark}}body{{font-family:ui-monospace,monospace;margin:1em;background:#fff;color:#1b1f24}}pre{{overflow-x:auto}}@media(prefers-color-scheme:dark){{body{{background:#0d1117;color:#e6edf3}}}}</style></head><body>\n{}<pre>{}</pre>\n</body></html>\n",
        escape(&nodes(map)),
        draw(map),
        escape(&table)
    )
}

fn nodes(map: &Map<'_>) -> String {
    let names = map.layout.buildings.iter().map(|it| &it.name);
    list(names, ", ")
}
