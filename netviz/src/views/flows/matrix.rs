//! The pairs that talk, as a matrix: from the row to the column. SVG, or a page with the table.

use std::collections::{BTreeMap, HashMap};

use super::{
    pair_table::{self, name},
    pairs::{CountedAt, PairReport, Party, TalkingPair},
};
use crate::{
    model::natural_order,
    views::{
        building::svg::document,
        svg::Svg,
        text::{Style, bytes, count, cut_apart},
    },
};

/// Parties with a row of their own, the busiest; the others share one.
const MOST: usize = 40;
/// Characters of a name.
const NAME: usize = 40;
/// Pixels.
const MARGIN: usize = 16;
const CELL: (usize, usize) = (64, 22);
const LABEL: usize = NAME * 8 + 40;

const STYLE: &str = ":root{color-scheme:light dark}svg{background:#fff;color:#1b1f24;max-width:100%;height:auto}text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:currentColor;white-space:pre}text.s{font-size:11px}.h{font-weight:bold}.n{fill:none;stroke:#8a8f98;stroke-width:.5}.l1{fill:#1668c7;fill-opacity:.08}.l2{fill:#1668c7;fill-opacity:.16}.l3{fill:#1668c7;fill-opacity:.26}.l4{fill:#1668c7;fill-opacity:.38}.l5{fill:#1668c7;fill-opacity:.52}@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.l1,.l2,.l3,.l4,.l5{fill:#58a6ff}}";

const DESCRIPTION: &str = "Bytes that each row sent to each column; the darker a cell, the more.";

/// Bytes and packets from one to another.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    packets: u64,
    /// Whether a part was counted at the receiver.
    at_receiver: bool,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.at_receiver |= other.at_receiver;
    }
}

/// Rows, columns and cells.
struct Matrix {
    names: Vec<String>,
    cells: BTreeMap<(usize, usize), Sum>,
}

/// What one sent to another.
fn sent(pairs: &[TalkingPair]) -> impl Iterator<Item = (&Party, &Party, Sum)> {
    pairs.iter().flat_map(|pair| {
        let both = [
            (&pair.a, &pair.b, &pair.a_to_b),
            (&pair.b, &pair.a, &pair.b_to_a),
        ];
        both.into_iter().filter_map(|(from, to, counts)| {
            let counts = counts.as_ref()?;
            let sum = Sum {
                bytes: counts.counts.bytes,
                packets: counts.counts.packets,
                at_receiver: counts.counted_at == CountedAt::Receiver,
            };
            Some((from, to, sum))
        })
    })
}

impl Matrix {
    fn new(pairs: &[TalkingPair]) -> Self {
        let mut parties: HashMap<&Party, u64> = HashMap::new();
        for (from, to, sum) in sent(pairs) {
            *parties.entry(from).or_default() += sum.bytes;
            *parties.entry(to).or_default() += sum.bytes;
        }
        let mut parties: Vec<_> = parties.into_iter().collect();
        parties.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let others = parties.len().saturating_sub(MOST);
        parties.truncate(MOST);
        parties.sort_by(|(a, _), (b, _)| {
            let names = natural_order(&name(a), &name(b));
            names.then_with(|| a.cmp(b))
        });
        let mut names: Vec<_> = parties.iter().map(|(party, _)| name(party)).collect();
        if others > 0 {
            names.push(format!("{others} others"));
        }
        let places = parties.iter().enumerate();
        let places: HashMap<&Party, usize> = places.map(|(place, it)| (it.0, place)).collect();
        let mut cells: BTreeMap<(usize, usize), Sum> = BTreeMap::new();
        for (from, to, sum) in sent(pairs) {
            let place = |party| places.get(party).copied().unwrap_or(MOST);
            cells.entry((place(from), place(to))).or_default().add(sum);
        }
        Self { names, cells }
    }
}

/// Draws the matrix.
#[must_use]
pub fn draw(report: &PairReport) -> String {
    let matrix = Matrix::new(&report.pairs);
    let mut svg = Svg::default();
    let cut = cut_apart(matrix.names.iter().cloned(), NAME);
    let (width, height) = CELL;
    let top = MARGIN + 2 * height;
    svg.text(
        "h",
        (MARGIN, MARGIN + 14),
        "start",
        "from row to column, bytes",
    );
    for (place, label) in matrix.names.iter().enumerate() {
        let (x, y) = (MARGIN + LABEL + place * width, top + place * height);
        let number = (place + 1).to_string();
        svg.text("s", (x + width / 2, top - 6), "middle", &number);
        svg.text("", (MARGIN + 24, y + 15), "end", &number);
        svg.text("", (MARGIN + 36, y + 15), "start", &cut[label]);
    }
    let most = matrix
        .cells
        .values()
        .map(|sum| sum.bytes)
        .max()
        .unwrap_or(0);
    for ((from, to), sum) in &matrix.cells {
        let (x, y) = (MARGIN + LABEL + to * width, top + from * height);
        let sums = format!(
            "{} → {}: {} packets, {}",
            matrix.names[*from],
            matrix.names[*to],
            count(Some(sum.packets)),
            bytes(Some(sum.bytes))
        );
        svg.open(None, &sums);
        svg.rectangle(level(sum.bytes, most), (x, y), (width - 2, height - 2));
        svg.text("s", (x + width - 6, y + 15), "end", &short(sum));
        svg.close();
    }
    let side = matrix.names.len();
    let bottom = top + side * height + height;
    let mut y = bottom;
    for note in pair_table::footer(report) {
        svg.text("s", (MARGIN, y), "start", note.trim());
        y += 16;
    }
    let size = (
        2 * MARGIN + LABEL + (side * width).max(12 * width),
        y + MARGIN,
    );
    svg.document(size, STYLE, ("netviz: who talks with whom", DESCRIPTION))
}

/// The class of a cell, by the magnitude of its bytes.
fn level(bytes: u64, most: u64) -> &'static str {
    // Each level is a fourth of the next one.
    match most.checked_div(bytes.max(1)).unwrap_or(0) {
        0..4 => "l5",
        4..16 => "l4",
        16..64 => "l3",
        64..256 => "l2",
        _ => "l1",
    }
}

/// `1.2M`, in at most seven characters.
fn short(sum: &Sum) -> String {
    let text = bytes(Some(sum.bytes));
    let text = text.replace(" B", "").replace("iB", "").replace(' ', "");
    let mark = if sum.at_receiver { "'" } else { "" };
    text + mark
}

/// The matrix with the table under it, as one page.
#[must_use]
pub fn page(report: &PairReport) -> String {
    let table = pair_table::draw(report, Style::default());
    document("who talks with whom", &draw(report), &table)
}
