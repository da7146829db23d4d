//! The pairs that talk, as a table.
//!
//! ```text
//!   a           b                 → packets   → bytes  ← packets   ← bytes  flows
//!   shop/web-0  shop/db-0             1 204  98.0 KiB        900  1.1 MiB      12
//! ```

use super::{
    pairs::{CountedAt, Group, PairCounts, PairReport, Party, TalkingPair},
    words,
};
use crate::views::text::{
    Style, UNKNOWN, ascii, bits, bytes, count, cut_apart, cut_end, grid, list, rate, safe, widest,
    wrap,
};

/// A title, and a figure of one direction.
type Figure = (&'static str, fn(&PairCounts) -> String);

const PACKETS: Figure = ("packets", |it| count(Some(it.counts.packets)));
const BYTES: Figure = ("bytes", |it| bytes(Some(it.counts.bytes)));
const PACKET_RATE: Figure = ("pkt/s", |it| rate(it.packets_per_second));
const BIT_RATE: Figure = ("bit/s", |it| bits(it.bytes_per_second));

/// Layouts from the widest to the narrowest: the least width of a name, and the figures.
const LAYOUTS: [(usize, &[Figure]); 5] = [
    (40, &[PACKETS, BYTES, PACKET_RATE, BIT_RATE]),
    (30, &[PACKETS, BYTES, BIT_RATE]),
    (24, &[PACKETS, BYTES]),
    (16, &[BYTES]),
    (10, &[BYTES]),
];

/// The greatest width of a name without a terminal.
const WIDEST: usize = 60;

/// Draws the table, without a line break at the end.
#[must_use]
pub fn draw(report: &PairReport, style: Style) -> String {
    let width = style.width.unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    for (least, figures) in LAYOUTS {
        let least = if style.width.is_some() { least } else { WIDEST };
        lines = rows(&report.pairs, least, figures);
        let Some(left) = width.checked_sub(widest(&lines)) else {
            continue;
        };
        lines = rows(
            &report.pairs,
            least.saturating_add(left / 2).min(WIDEST),
            figures,
        );
        break;
    }
    let lines = lines
        .into_iter()
        .map(|line| cut_end(line.trim_end(), width));
    let footer = footer(report);
    let footer = footer.iter().flat_map(|note| wrap(note, width, 2));
    let text = list(lines.chain(footer), "\n");
    match style.ascii {
        true => ascii(&text),
        false => text,
    }
}

fn rows(pairs: &[TalkingPair], name: usize, figures: &[Figure]) -> Vec<String> {
    let names = pairs
        .iter()
        .flat_map(|pair| [self::name(&pair.a), self::name(&pair.b)]);
    let cut = cut_apart(names, name);
    let mut header = vec!["  a".to_owned(), "b".into()];
    for sign in ["→", "←"] {
        header.extend(figures.iter().map(|(title, _)| format!("{sign} {title}")));
    }
    header.push("flows".into());
    let row = |pair: &TalkingPair| {
        let [a, b] = [&pair.a, &pair.b].map(|party| cut[&self::name(party)].clone());
        let mut row = vec![format!("  {a}"), b];
        for direction in [&pair.a_to_b, &pair.b_to_a] {
            row.extend(figures.iter().map(|(_, text)| match direction {
                Some(counts) => text(counts) + mark(counts),
                None => UNKNOWN.into(),
            }));
        }
        let flows = pair.directions().map(|it| it.flows).sum();
        row.push(count(Some(flows)));
        row
    };
    let rows = [header].into_iter().chain(pairs.iter().map(row));
    grid(rows, |column| column >= 2)
}

/// The sign of figures from the receiver's interface.
fn mark(counts: &PairCounts) -> &'static str {
    match counts.counted_at {
        CountedAt::Sender => "",
        CountedAt::Receiver => "'",
    }
}

/// The name of one side.
pub(super) fn name(party: &Party) -> String {
    match party {
        Party::Known(owner) => words::owner(owner).unwrap_or_else(|| "several".into()),
        Party::Group(Group::Outside) => "outside".into(),
        Party::Group(Group::Multicast) => "multicast".into(),
    }
}

/// What belongs under the table.
pub(super) fn footer(report: &PairReport) -> Vec<String> {
    let mut notes = Vec::new();
    if report.more > 0 {
        let more = count(Some(report.more));
        notes.push(format!("  + {more} more pairs: --top shows more"));
    }
    if let Some(outside) = words::outside_of_all(&report.outside_flows) {
        notes.push(format!("  + {outside}"));
    }
    let mut directions = report.pairs.iter().flat_map(TalkingPair::directions);
    if directions.any(|it| it.counted_at == CountedAt::Receiver) {
        notes.push("' counted at the receiver: the sender's interface is not counted here".into());
    }
    let window = report.window_seconds;
    let window = window.map_or_else(String::new, |seconds| format!(", window {seconds:.1} s"));
    notes.push(format!(
        "each packet counted once, at its sender's interface; {} interfaces of pods{window}",
        report.interfaces
    ));
    notes.extend(report.notes.iter().map(|note| safe(note)));
    notes
}
