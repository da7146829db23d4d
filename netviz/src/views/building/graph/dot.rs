//! Graphviz' language.

use std::fmt::Write as _;

use super::{pairs, way};
use crate::views::building::Map;

/// Draws it.
#[must_use]
pub fn dot(map: &Map<'_>) -> String {
    let mut out = String::from("graph netviz {\n  rankdir=LR;\n  node [shape=box];\n");
    let mut next = 0;
    let mut joined = Vec::new();
    for (number, building) in map.layout.buildings.iter().enumerate() {
        let title = quoted(&map.heading(building));
        let _ = writeln!(
            out,
            "  subgraph cluster_n{number} {{\n    label=\"{title}\";"
        );
        let (pairs, _) = pairs(map, building, usize::MAX);
        for pair in pairs {
            let grey = if pair.is_quiet() {
                ", color=gray, fontcolor=gray40"
            } else {
                ""
            };
            let mut write = |id: usize, lines: &[String]| {
                let lines: Vec<_> = lines.iter().map(|line| quoted(line)).collect();
                let _ = writeln!(out, "    d{id} [label=\"{}\"{grey}];", lines.join("\\n"));
            };
            write(next, &pair.far);
            if let Some(near) = &pair.near {
                write(next + 1, near);
                let line = line(pair.busiest);
                let _ = writeln!(out, "    d{next} -- d{} [{line}];", next + 1);
            }
            if pair.joined {
                // From the end that is furthest out.
                joined.push((next + usize::from(pair.near.is_some()), pair.busiest));
            }
            next += 2;
        }
        out.push_str("  }\n");
    }
    if let (Some(name), false) = (way(map), joined.is_empty()) {
        let _ = writeln!(out, "  way [shape=ellipse, label=\"{}\"];", quoted(&name));
        for (door, busiest) in joined {
            let _ = writeln!(out, "  d{door} -- way [{}];", line(busiest));
        }
    }
    out.push_str("}\n");
    out
}

fn line(busiest: Option<f64>) -> &'static str {
    match busiest {
        None => "style=dashed",
        Some(0.0) => "style=dotted, color=gray",
        Some(_) => "style=bold",
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
