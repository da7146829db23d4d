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
//! Where there is room, two buildings stand beside each other, the right one turned round, with the
//! tunnel between them.

mod line;
mod node_box;
mod page;

use super::Map;
use crate::views::{
    footnotes::Footnotes,
    table::summary,
    text::{visible_width, wrap},
};
use node_box::House;
use page::{Plot, Street};

/// The narrowest drawing that says enough.
pub const NARROWEST: usize = 80;
/// Wider, lines would be mostly empty.
const WIDEST_HOUSE: usize = 110;
const NARROWEST_HOUSE: usize = 77;

/// How the text is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns; less than [`NARROWEST`] is taken for that.
    pub width: usize,
    /// No sign that ASCII has not; foreign names stay as they are.
    pub ascii: bool,
    /// Ethernet addresses as well.
    pub mac: bool,
    /// Whether what nothing crosses may be dimmed. It never carries a meaning of its own.
    pub colour: bool,
}

/// Columns of one building, and whether two stand beside each other.
fn divide(map: &Map<'_>, width: usize) -> (usize, bool) {
    let width = width.max(NARROWEST);
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
    let names = map.labels(node_box::room(width));
    let house = House {
        map,
        style,
        names: &names,
        inner: width - 4,
    };
    let row = if beside { 2 } else { 1 };
    for buildings in map.layout.buildings.chunks(row) {
        let mut plots: Vec<_> = buildings
            .iter()
            .map(|building| house.draw(building, &mut remarks))
            .collect();
        let highest = plots.iter().map(Plot::height).max().unwrap_or(0);
        for plot in &mut plots {
            plot.stretch(highest);
        }
        street.add(&plots, style.colour);
    }
    let mut lines = street.lines();
    lines.push(String::new());
    let width = lines
        .iter()
        .map(|line| visible_width(line))
        .max()
        .unwrap_or(0);
    for remark in super::footnotes(&remarks) {
        lines.extend(wrap(&remark, width, 4));
    }
    for line in map.legend("═ crossed, ┄ by nothing, ? not known") {
        lines.extend(wrap(&line, width, 2));
    }
    for said in summary::said(map.snapshot) {
        lines.extend(wrap(&said, width, 2));
    }
    let text = lines.join("\n");
    if style.ascii { plain(&text) } else { text }
}

/// The drawing's own signs in ASCII.
fn plain(text: &str) -> String {
    let sign = |c| match c {
        '┌' | '┐' | '└' | '┘' | '╪' | '┼' | '╗' | '╝' | '╔' | '╚' | '╠' | '╣' | '╬' | '╦' | '╩' => {
            '+'
        }
        '│' | '▐' | '▌' | '║' => '|',
        '─' => '-',
        '═' => '=',
        '┄' | '·' => '.',
        '▼' => 'v',
        '▲' => '^',
        '▶' | '▷' => '>',
        '◀' | '◁' => '<',
        '…' => '~',
        '–' => '?',
        other => other,
    };
    text.chars().map(sign).collect()
}
