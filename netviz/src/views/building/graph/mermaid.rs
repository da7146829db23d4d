//! A Mermaid flowchart.

use std::fmt::Write as _;

use super::{Edge, pairs, way};
use crate::views::building::Map;

/// Mermaid refuses what is longer (`maxTextSize`), and a page cannot ask for more.
const LONGEST: usize = 50_000;
/// It refuses more lines between boxes as well (`maxEdges`).
const EDGES: usize = 500;

/// Draws it. What Mermaid would refuse for its size is drawn with the busiest pods alone, and
/// says so.
#[must_use]
pub fn mermaid(map: &Map<'_>) -> String {
    let rooms = map.layout.buildings.iter().map(|it| it.rooms.len());
    let mut most = rooms.max().unwrap_or(0);
    loop {
        let chart = chart(map, most);
        // In UTF-16, as a browser counts.
        let fits = chart.text.encode_utf16().count() < LONGEST && chart.edges < EDGES;
        if fits || most == 0 {
            return chart.text;
        }
        most = most * 9 / 10;
    }
}

struct Chart {
    text: String,
    edges: usize,
}

fn chart(map: &Map<'_>, most: usize) -> Chart {
    let mut text = String::from("flowchart LR\n  classDef quiet color:#777,stroke:#999\n");
    let (mut next, mut edges) = (0, 0);
    let mut joined = Vec::new();
    for (number, building) in map.layout.buildings.iter().enumerate() {
        let title = entity(&map.heading(building));
        let _ = writeln!(text, "  subgraph n{number}[\"{title}\"]");
        let (pairs, left) = pairs(map, building, most);
        for edge in &pairs {
            let _ = writeln!(text, "    {}", pair(edge, next));
            if edge.joined {
                // From the end that is furthest out.
                joined.push((next + usize::from(edge.near.is_some()), edge.busiest));
            }
            edges += usize::from(edge.near.is_some());
            next += 2;
        }
        if left > 0 {
            let pods = if left == 1 { "pod" } else { "pods" };
            let _ = writeln!(
                text,
                "    more{number}[\"and {left} more {pods}, not busier than these: netviz map -o svg\"]:::quiet"
            );
        }
        text.push_str("  end\n");
    }
    if let (Some(name), false) = (way(map), joined.is_empty()) {
        let _ = writeln!(text, "  way([\"{}\"])", entity(&name));
        for (door, busiest) in joined {
            let _ = writeln!(text, "  d{door} {} way", line(busiest));
            edges += 1;
        }
    }
    Chart { text, edges }
}

/// `d0["busybox<br/>eth0 8 …"] === d1["lxc…"]`
fn pair(pair: &Edge, id: usize) -> String {
    let class = if pair.is_quiet() { ":::quiet" } else { "" };
    let of = |id: usize, lines: &[String]| {
        let lines: Vec<_> = lines.iter().map(|line| entity(line)).collect();
        format!("d{id}[\"{}\"]{class}", lines.join("<br/>"))
    };
    let far = of(id, &pair.far);
    match &pair.near {
        Some(near) => format!("{far} {} {}", line(pair.busiest), of(id + 1, near)),
        None => far,
    }
}

fn line(busiest: Option<f64>) -> &'static str {
    match busiest {
        None => "---",
        Some(0.0) => "-.-",
        Some(_) => "===",
    }
}

/// Mermaid reads HTML and its own `#…;` in labels.
pub(in crate::views) fn entity(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '<' | '>' | '&' | '#' | '`' | '\\' | ';' | '[' | ']' | '{' | '}' | '|' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out
}
