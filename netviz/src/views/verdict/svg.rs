//! The ladder as a picture: doors one below the other, along them the line that packets took, as
//! thick as many of them came so far. Self-contained, no script, readable in light and dark.

use super::{
    path::{Path, Rung, State},
    sentences::{causes, remarks},
    words::{end, expected, sent, summary},
};
use crate::{
    verify::{Kind, Verdict, Way},
    views::{
        svg::Svg,
        text::{cut_middle, wrap},
    },
};

const WIDTH: usize = 860;
const MARGIN: usize = 24;
const STEP: usize = 30;
/// Where the line of packets is, and the texts beside it.
const RAIL: usize = 70;
const DOOR: usize = 96;
const PLACE: usize = 260;
const SEEN: usize = 590;
const MARK: usize = 602;
/// Characters that fit into the width.
const COLUMNS: usize = 98;

const STYLE: &str = ":root{color-scheme:light dark}svg{background:#fff;color:#1b1f24}text{font:13px ui-monospace,monospace;fill:currentColor}.h{font-weight:bold}.s{font-size:11px;opacity:.75}.l{stroke:#1668c7}.q{stroke:#8a8f98;stroke-width:1.5;stroke-dasharray:3 4}.o{fill:#fff;stroke:#1668c7;stroke-width:2}.f{opacity:.6}.w{fill:#9a4a00}.b{fill:#b3261e}.g{fill:#1a7f37}.x{fill:#b3261e;stroke:none}@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.l{stroke:#58a6ff}.o{fill:#0d1117;stroke:#58a6ff}.w{fill:#f0a35e}.b,.x{fill:#ff7b72}.g{fill:#3fb950}}";

/// Draws one verdict.
#[must_use]
pub fn draw(verdict: &Verdict) -> String {
    let pair = format!("{} -> {}", end(&verdict.from), end(&verdict.to));
    let said = format!(
        "{}  {}",
        verdict.verdict.word().to_uppercase(),
        summary(verdict)
    );
    let mut svg = Svg::default();
    let mut y = MARGIN + 8;
    line(&mut svg, "h", MARGIN, y, &cut_middle(&pair, COLUMNS));
    for text in [sent(verdict), format!("expected: {}", expected(verdict))] {
        y += 20;
        line(&mut svg, "s", MARGIN, y, &cut_middle(&text, COLUMNS));
    }
    for way in [Way::Request, Way::Reply] {
        let path = Path::new(verdict, way);
        if !path.rungs.is_empty() {
            y = draw_path(&mut svg, &path, y + STEP + 8);
        }
    }
    let tone = match verdict.verdict {
        Kind::Verified => "h g",
        Kind::Detour | Kind::Unclear => "h w",
        Kind::Lost => "h b",
    };
    y += 12;
    for text in wrap(&said, COLUMNS, 2) {
        y += 20;
        line(&mut svg, tone, MARGIN, y, &text);
    }
    for text in reasons(verdict) {
        for text in wrap(&text, COLUMNS, 2) {
            y += 18;
            line(&mut svg, "d", MARGIN, y, &text);
        }
    }
    let height = y + MARGIN;
    svg.document((WIDTH, height), STYLE, (&pair, &said))
}

fn reasons(verdict: &Verdict) -> Vec<String> {
    let losses = verdict.losses.iter();
    let causes = losses.flat_map(|loss| causes(verdict, loss));
    causes.chain(remarks(verdict)).collect()
}

/// Draws one way below `top`, and says where it ends.
fn draw_path(out: &mut Svg, path: &Path, top: usize) -> usize {
    let way = match path.way {
        Way::Request => "request",
        Way::Reply => "reply",
    };
    out.open(None, way);
    line(out, "h", MARGIN, top, way);
    let mut y = top;
    let mut before: Option<(usize, &Rung)> = None;
    for rung in &path.rungs {
        y += STEP;
        if let Some((from, last)) = before {
            rail(out, from, y, last, rung, path.of);
        }
        before = Some((y, rung));
    }
    y = top;
    for rung in &path.rungs {
        y += STEP;
        draw_rung(out, rung, y);
    }
    out.close();
    y
}

/// The line between two doors, as thick as many packets came to the second.
fn rail(out: &mut Svg, from: usize, to: usize, last: &Rung, rung: &Rung, of: u32) {
    let passed = |state| matches!(state, State::Skipped | State::Hidden);
    let came = rung.state == State::Crossed || passed(rung.state) && passed_on(last);
    let class = if came { "l" } else { "q" };
    let share = f64::from(rung.count.unwrap_or(of)) / f64::from(of.max(1));
    let width = if came { 1.5 + 4.5 * share } else { 1.5 };
    out.line(class, (RAIL, from), (RAIL, to), width);
}

fn passed_on(rung: &Rung) -> bool {
    !matches!(rung.state, State::Missing | State::Unreached | State::Idle)
}

fn draw_rung(out: &mut Svg, rung: &Rung, y: usize) {
    let class = match rung.state {
        _ if rung.lost => "b",
        _ if rung.wrong => "w",
        State::Hidden => "w",
        State::Skipped | State::Unreached | State::Missing | State::Idle => "f",
        State::Crossed => "d",
    };
    let place = match &rung.pod {
        Some(pod) => format!("pod {pod}"),
        None => rung.node.clone(),
    };
    let number = rung
        .number
        .map_or_else(String::new, |number| number.to_string());
    let title = format!(
        "{} {}, {place}; {}",
        rung.direction,
        rung.interface,
        rung.facts().join("; ")
    );
    out.open(None, &title);
    // Lost: a cross in place of the circle, as colour carries no meaning alone.
    if rung.lost {
        line(out, "h x", RAIL - 4, y + 4, "x");
    } else if rung.state != State::Skipped {
        out.circle("o", (RAIL, y), 5);
    }
    let base = y + 5;
    out.text("s", (RAIL - 12, base), "end", &number);
    let door = format!(
        "{} {}",
        rung.direction.sign(),
        cut_middle(&rung.interface, 15)
    );
    line(out, class, DOOR, base, &door);
    line(out, class, PLACE, base, &cut_middle(&place, 34));
    out.text(class, (SEEN, base), "end", &rung.seen);
    let mut beside: Vec<String> = rung.marks.clone();
    beside.extend(
        rung.times
            .as_ref()
            .map(|(median, _)| median.trim().to_owned()),
    );
    line(out, class, MARK, base, &cut_middle(&beside.join(", "), 31));
    line(
        out,
        "s",
        PLACE,
        base + 11,
        &cut_middle(&rung.about.join(" "), 60),
    );
    out.close();
}

fn line(out: &mut Svg, class: &str, x: usize, y: usize, words: &str) {
    out.text(class, (x, y), "start", words);
}
