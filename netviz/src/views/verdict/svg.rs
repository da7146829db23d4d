//! The ladder as a picture: doors one below the other, and a line as wide as the number of packets.
//! Self-contained, no script, readable in light and dark.

use super::{
    causes::causes,
    path::{Path, Rung, State, Tone},
    sentences::{detours, doubts, notes},
    words::{end, expected, sent, summary, tone},
};
use crate::{
    verify::{Verdict, Way},
    views::{
        svg::Svg,
        text::{cut_middle, wrap},
    },
};

const WIDTH: usize = 860;
const MARGIN: usize = 24;
const STEP: usize = 30;
/// The line of packets, and the texts beside it.
const RAIL: usize = 70;
const DOOR: usize = 96;
const PLACE: usize = 260;
const SEEN: usize = 590;
const MARK: usize = 602;
/// Characters of a line.
const COLUMNS: usize = 98;

const STYLE: &str = ":root{color-scheme:light dark}svg{background:#fff;color:#1b1f24}text{font:13px ui-monospace,monospace;fill:currentColor}.h{font-weight:bold}.s{font-size:11px;opacity:.75}.l{stroke:#1668c7}.q{stroke:#8a8f98;stroke-width:1.5;stroke-dasharray:3 4}.o{fill:#fff;stroke:#1668c7;stroke-width:2}.f{opacity:.6}.w{fill:#9a4a00}.b{fill:#b3261e}.g{fill:#1a7f37}.x{fill:#b3261e;stroke:none}@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.l{stroke:#58a6ff}.o{fill:#0d1117;stroke:#58a6ff}.w{fill:#f0a35e}.b,.x{fill:#ff7b72}.g{fill:#3fb950}}";

/// Draws one verdict.
#[must_use]
pub fn draw(verdict: &Verdict) -> String {
    let pair = format!("{} -> {}", end(&verdict.from), end(&verdict.to));
    let word = verdict.verdict.word().to_uppercase();
    let result = format!("{word}  {}", summary(verdict));
    let mut svg = Svg::default();
    let mut y = MARGIN + 8;
    line(&mut svg, "h", MARGIN, y, &cut_middle(&pair, COLUMNS));
    for text in [sent(verdict), format!("routing: {}", expected(verdict))] {
        y += 20;
        line(&mut svg, "s", MARGIN, y, &cut_middle(&text, COLUMNS));
    }
    for way in [Way::Request, Way::Reply] {
        let path = Path::new(verdict, way);
        if !path.rungs.is_empty() {
            y = draw_path(&mut svg, &path, y + STEP + 8);
        }
    }
    y += 12;
    let tone = format!("h {}", class(tone(verdict.verdict)));
    for text in wrap(&result, COLUMNS, 2) {
        y += 20;
        line(&mut svg, &tone, MARGIN, y, &text);
    }
    let causes = verdict.losses.iter().flat_map(|loss| causes(verdict, loss));
    let remarks = [detours(verdict), doubts(verdict), notes(verdict)];
    for text in causes.chain(remarks.concat()) {
        for text in wrap(&text, COLUMNS, 2) {
            y += 18;
            line(&mut svg, "d", MARGIN, y, &text);
        }
    }
    let height = y + MARGIN;
    svg.document((WIDTH, height), STYLE, (&pair, &result))
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "d",
        Tone::Faint => "f",
        Tone::Odd => "w",
        Tone::Bad => "b",
        Tone::Good => "g",
    }
}

/// Draws one way below `top`. Returns its lower end.
fn draw_path(out: &mut Svg, path: &Path, top: usize) -> usize {
    let way = path.way.to_string();
    out.open(None, &way);
    line(out, "h", MARGIN, top, &way);
    let heights = || (1..).map(|place| top + STEP * place);
    for (pair, y) in path.rungs.windows(2).zip(heights()) {
        rail(out, y, [&pair[0], &pair[1]], path.of);
    }
    for (rung, y) in path.rungs.iter().zip(heights()) {
        draw_rung(out, rung, y);
    }
    out.close();
    top + STEP * path.rungs.len()
}

/// The line between two doors, as wide as the number of packets at the second.
fn rail(out: &mut Svg, y: usize, [last, rung]: [&Rung; 2], of: u32) {
    let lost = matches!(last.state, State::Missing | State::Unreached | State::Idle);
    let came = match rung.state {
        State::Crossed => true,
        State::Skipped | State::Hidden => !lost,
        State::Missing | State::Unreached | State::Idle => false,
    };
    let share = f64::from(rung.count.unwrap_or(of)) / f64::from(of.max(1));
    let (class, width) = match came {
        true => ("l", 1.5 + 4.5 * share),
        false => ("q", 1.5),
    };
    out.line(class, (RAIL, y), (RAIL, y + STEP), width);
}

fn draw_rung(out: &mut Svg, rung: &Rung, y: usize) {
    let (class, place, base) = (class(rung.tone()), rung.place(), y + 5);
    let (direction, facts) = (rung.direction, rung.facts().join("; "));
    let title = format!("{direction} {}, {place}; {facts}", rung.interface);
    out.open(None, &title);
    // A loss has a cross in place of the circle, because a colour is not enough.
    if rung.lost {
        line(out, "h x", RAIL - 4, y + 4, "x");
    } else if rung.state != State::Skipped {
        out.circle("o", (RAIL, y), 5);
    }
    let number = rung.number.map(|number| number.to_string());
    out.text("s", (RAIL - 12, base), "end", &number.unwrap_or_default());
    let interface = cut_middle(&rung.interface, 15);
    let door = format!("{} {interface}", direction.sign());
    line(out, class, DOOR, base, &door);
    line(out, class, PLACE, base, &cut_middle(&place, 34));
    out.text(class, (SEEN, base), "end", &rung.seen);
    let median = rung.times.as_ref().map(|(median, _)| median.trim());
    let marks = rung.marks.iter().map(String::as_str);
    let beside: Vec<_> = marks.chain(median).collect();
    line(out, class, MARK, base, &cut_middle(&beside.join(", "), 31));
    let about = cut_middle(&rung.about.join(" "), 60);
    line(out, "s", PLACE, base + 11, &about);
    out.close();
}

fn line(out: &mut Svg, class: &str, x: usize, y: usize, words: &str) {
    out.text(class, (x, y), "start", words);
}
