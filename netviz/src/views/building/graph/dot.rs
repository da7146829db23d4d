//! Graphviz' language.

use std::fmt::Write as _;

use super::parts::Graph;
use crate::views::building::Map;

/// Draws the building in DOT.
#[must_use]
pub fn dot(map: &Map<'_>) -> String {
    let graph = Graph::new(map, usize::MAX);
    let mut out = String::from("graph netviz {\n  rankdir=LR;\n  node [shape=box];\n");
    for (number, cluster) in graph.clusters.iter().enumerate() {
        let title = quoted(&cluster.title);
        let _ = writeln!(
            out,
            "  subgraph cluster_n{number} {{\n    label=\"{title}\";"
        );
        for edge in &cluster.edges {
            let grey = match edge.is_quiet() {
                true => ", color=gray, fontcolor=gray40",
                false => "",
            };
            let boxes = [Some(&edge.far), edge.near.as_ref()].into_iter().flatten();
            for (id, lines) in (edge.id..).zip(boxes) {
                let lines: Vec<_> = lines.iter().map(|line| quoted(line)).collect();
                let lines = lines.join("\\n");
                let _ = writeln!(out, "    d{id} [label=\"{lines}\"{grey}];");
            }
            if edge.near.is_some() {
                let (far, near, line) = (edge.id, edge.id + 1, line(edge.busiest));
                let _ = writeln!(out, "    d{far} -- d{near} [{line}];");
            }
        }
        if !cluster.more.is_empty() {
            let more = quoted(&cluster.more.join(", "));
            let _ = writeln!(out, "    more{number} [label=\"{more}\", color=gray];");
        }
        out.push_str("  }\n");
    }
    for (from, to, busiest) in &graph.links {
        let _ = writeln!(out, "  d{from} -- d{to} [{}];", line(*busiest));
    }
    for (number, way) in graph.ways.iter().enumerate() {
        let name = quoted(&way.name);
        let _ = writeln!(out, "  way{number} [shape=ellipse, label=\"{name}\"];");
        for (door, busiest) in &way.ends {
            let line = if way.tunnel {
                "style=dashed"
            } else {
                line(*busiest)
            };
            let _ = writeln!(out, "  d{door} -- way{number} [{line}];");
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
