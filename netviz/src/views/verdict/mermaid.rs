//! The ladder as a Mermaid flowchart: doors in order, in the boxes of their pods and nodes. Ways
//! that packets went are lines, those that they should have gone are dotted.

use std::fmt::Write as _;

use super::{
    path::{Path, Rung, State},
    words::{end, sent, summary},
};
use crate::{
    verify::{Verdict, Way},
    views::building::graph::mermaid::entity,
};

/// Draws one verdict.
#[must_use]
pub fn draw(verdict: &Verdict) -> String {
    let mut out = String::from("flowchart TD\n");
    let pair = format!(
        "{} to {}, {}",
        end(&verdict.from),
        end(&verdict.to),
        sent(verdict)
    );
    let said = format!(
        "{}: {}",
        verdict.verdict.word().to_uppercase(),
        summary(verdict)
    );
    let _ = writeln!(out, "  head[\"{}\"]", entity(&pair));
    let mut last = "head".to_owned();
    for (letter, way) in [('q', Way::Request), ('p', Way::Reply)] {
        let path = Path::new(verdict, way);
        doors(&mut out, letter, &path);
        last = lines(&mut out, letter, &path, &last);
    }
    let _ = writeln!(out, "  said([\"{}\"])\n  {last} ~~~ said", entity(&said));
    out.push_str("  classDef wrong stroke-width:3px,stroke-dasharray:6 3\n");
    out
}

/// The doors of a way, those that are neighbours in one place in one box.
fn doors(out: &mut String, letter: char, path: &Path) {
    let place = |rung: &Rung| match &rung.pod {
        Some(pod) => format!("pod {pod}"),
        None => rung.node.clone(),
    };
    let mut open = None;
    for (number, rung) in path.rungs.iter().enumerate() {
        let here = place(rung);
        if open.as_ref() != Some(&here) {
            if open.is_some() {
                out.push_str("  end\n");
            }
            let _ = writeln!(out, "  subgraph {letter}s{number}[\"{}\"]", entity(&here));
            open = Some(here);
        }
        let mut label = format!("{} {} {}", rung.direction.sign(), rung.interface, rung.seen);
        for fact in rung.about.iter().chain(&rung.marks) {
            let _ = write!(label, ", {fact}");
        }
        let class = if rung.wrong { ":::wrong" } else { "" };
        let _ = writeln!(out, "    {letter}{number}[\"{}\"]{class}", entity(&label));
    }
    if open.is_some() {
        out.push_str("  end\n");
    }
}

/// The lines between the doors of a way; says where it ends.
fn lines(out: &mut String, letter: char, path: &Path, from: &str) -> String {
    let mut last = from.to_owned();
    for (number, rung) in path.rungs.iter().enumerate() {
        let here = format!("{letter}{number}");
        let line = match (rung.state, &rung.times) {
            (State::Crossed, Some((median, _))) => format!("-->|\"{}\"|", entity(median.trim())),
            (State::Crossed, None) => "-->".into(),
            _ => "-.->".into(),
        };
        let _ = writeln!(out, "  {last} {line} {here}");
        last = here;
    }
    last
}
