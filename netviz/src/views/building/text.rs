//! The building in characters: 80 columns and wider.
//!
//! ```text
//! ┌ mycluster-worker · 172.18.0.2/16 ───────────────────────────────────────┐
//! │ ┌ default/busybox-c8bbbbb84-t6ggh ──┐                                   │
//! │ │ 10.10.2.117/32             eth0 8 ▐╪═════╪▌ 9 lxc4a891387ff1a         │
//! │ └──────────────────── ▼ 12.0 ▲ 11.8 ┘         ▼ 11.8 ▲ 12.0             │
//! │ tunnel to other nodes  cilium_vxlan 4 ▐═════════════════════════════════╪══╗
//! ```
//!
//! Two buildings are beside each other if the width allows; the right one is mirrored.

mod line;
mod node_box;
mod page;

use super::Map;
pub use crate::views::text::Style;
use crate::views::{
    footnotes::Footnotes,
    summary,
    text::{ascii, widest, wrap},
};
use node_box::House;
use page::{Plot, Street};

/// The least width of a drawing.
pub const NARROWEST: usize = 80;
/// The width without a terminal.
const USUAL: usize = 100;
/// The least and the greatest width of a building.
const NARROWEST_HOUSE: usize = 77;
const WIDEST_HOUSE: usize = 110;

/// The width of a building, and whether two are beside each other.
fn divide(map: &Map<'_>, width: Option<usize>) -> (usize, bool) {
    let width = width.unwrap_or(USUAL).max(NARROWEST);
    let several = map.layout.buildings.len() > 1;
    let beside = (width - page::BESIDE) / 2;
    if several && beside >= NARROWEST_HOUSE {
        return (beside.min(WIDEST_HOUSE), true);
    }
    let gutter = match map.layout.way {
        Some(_) => page::UNDER,
        None => 0,
    };
    (width.min(WIDEST_HOUSE + gutter) - gutter, false)
}

/// Draws all buildings, without a line break at the end.
#[must_use]
pub fn draw(map: &Map<'_>, style: Style) -> String {
    let (width, beside) = divide(map, style.width);
    let mut street = Street::new(width, beside, map.layout.way.is_some());
    let mut remarks = Footnotes::default();
    let house = House {
        map,
        mac: style.full,
        names: map.labels(node_box::room(width)),
        inner: width - 4,
    };
    let row = if beside { 2 } else { 1 };
    for buildings in map.layout.buildings.chunks(row) {
        let plots = buildings.iter().map(|it| house.draw(it, &mut remarks));
        let mut plots: Vec<_> = plots.collect();
        let highest = plots.iter().map(Plot::height).max().unwrap_or(0);
        for plot in &mut plots {
            plot.stretch(highest);
        }
        street.add(&plots, style.colour);
    }
    let mut lines = street.lines();
    lines.push(String::new());
    let width = widest(&lines);
    lines.extend(map.below(&remarks, "═ traffic, ┄ idle, ? unknown", width));
    let notes = summary::notes(map.snapshot);
    lines.extend(notes.iter().flat_map(|note| wrap(note, width, 2)));
    let drawing = lines.join("\n");
    if style.ascii {
        ascii(&drawing)
    } else {
        drawing
    }
}
