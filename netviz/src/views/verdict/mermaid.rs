//! The ladder as a Mermaid flowchart: doors in order, in the boxes of their pods and nodes. Solid
//! lines are paths that packets took, dotted lines are expected ones.

use std::fmt::Write as _;

use super::{
    path::{Path, State},
    words::{end, sent, summary},
};
use crate::{
    verify::{Verdict, Way},
    views::text::entities,
};

/// Draws one verdict.
#[must_use]
pub fn draw(verdict: &Verdict) -> String {
    let mut out = String::from("flowchart TD\n");
    let (from, to, sent) = (end(&verdict.from), end(&verdict.to), sent(verdict));
    let pair = format!("{from} to {to}, {sent}");
    let word = verdict.verdict.word().to_uppercase();
    let result = format!("{word}: {}", summary(verdict));
    let _ = writeln!(out, "  head[\"{}\"]", entities(&pair));
    let mut last = "head".to_owned();
    for (letter, way) in [('q', Way::Request), ('p', Way::Reply)] {
        let path = Path::new(verdict, way);
        doors(&mut out, letter, &path);
        last = lines(&mut out, letter, &path, &last);
    }
    let result = entities(&result);
    let _ = writeln!(out, "  said([\"{result}\"])\n  {last} ~~~ said");
    out.push_str("  classDef wrong stroke-width:3px,stroke-dasharray:6 3\n");
    out
}

/// The doors of a way; neighbours in one place share a box.
fn doors(out: &mut String, letter: char, path: &Path) {
    let mut numbers = 0..;
    for rungs in path.rungs.chunk_by(|a, b| a.place() == b.place()) {
        for (place, (rung, number)) in rungs.iter().zip(&mut numbers).enumerate() {
            if place == 0 {
                let title = entities(&rung.place());
                let _ = writeln!(out, "  subgraph {letter}s{number}[\"{title}\"]");
            }
            let mut label = format!("{} {} {}", rung.direction.sign(), rung.interface, rung.seen);
            for fact in rung.about.iter().chain(&rung.marks) {
                let _ = write!(label, ", {fact}");
            }
            let class = if rung.wrong { ":::wrong" } else { "" };
            let _ = writeln!(out, "    {letter}{number}[\"{}\"]{class}", entities(&label));
        }
        out.push_str("  end\n");
    }
}

/// The lines between the doors of a way. Returns their end.
fn lines(out: &mut String, letter: char, path: &Path, from: &str) -> String {
    let mut last = from.to_owned();
    for (number, rung) in path.rungs.iter().enumerate() {
        let here = format!("{letter}{number}");
        let line = match (rung.state, &rung.times) {
            (State::Crossed, Some((median, _))) => format!("-->|\"{}\"|", entities(median.trim())),
            (State::Crossed, None) => "-->".into(),
            _ => "-.->".into(),
        };
        let _ = writeln!(out, "  {last} {line} {here}");
        last = here;
    }
    last
}
