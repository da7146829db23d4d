//! A Mermaid flowchart.

use std::fmt::Write as _;

use super::parts::{Edge, Graph};
use crate::views::{building::Map, text::entities};

/// Mermaid's limit of a text (`maxTextSize`), which a page cannot raise.
const LONGEST: usize = 50_000;
/// Mermaid's limit of lines between boxes (`maxEdges`).
const EDGES: usize = 500;

/// Draws the building in Mermaid. Leaves out the idlest pods if Mermaid would refuse the chart.
#[must_use]
pub fn mermaid(map: &Map<'_>) -> String {
    let rooms = map.layout.buildings.iter().map(|it| it.rooms.len());
    let mut most = rooms.max().unwrap_or(0);
    loop {
        let graph = Graph::new(map, most);
        let edges = graph.clusters.iter().flat_map(|cluster| &cluster.edges);
        let ends: usize = graph.ways.iter().map(|way| way.ends.len()).sum();
        let pairs = edges.filter(|edge| edge.near.is_some()).count();
        let lines = pairs + graph.links.len() + ends;
        let chart = chart(&graph);
        // In UTF-16, as a browser counts.
        let fits = chart.encode_utf16().count() < LONGEST && lines < EDGES;
        if fits || most == 0 {
            return chart;
        }
        most = most * 9 / 10;
    }
}

fn chart(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n  classDef quiet color:#777,stroke:#999\n");
    for (number, cluster) in graph.clusters.iter().enumerate() {
        let title = entities(&cluster.title);
        let _ = writeln!(out, "  subgraph n{number}[\"{title}\"]");
        for edge in &cluster.edges {
            let _ = writeln!(out, "    {}", pair(edge));
        }
        if !cluster.more.is_empty() {
            let more: Vec<_> = cluster.more.iter().map(|more| entities(more)).collect();
            let more = more.join("<br/>");
            let _ = writeln!(out, "    more{number}[\"{more}\"]:::quiet");
        }
        out.push_str("  end\n");
    }
    for (from, to, busiest) in &graph.links {
        let _ = writeln!(out, "  d{from} {} d{to}", line(*busiest));
    }
    for (number, way) in graph.ways.iter().enumerate() {
        let _ = writeln!(out, "  way{number}([\"{}\"])", entities(&way.name));
        for (door, busiest) in &way.ends {
            let line = if way.tunnel { "-.-" } else { line(*busiest) };
            let _ = writeln!(out, "  d{door} {line} way{number}");
        }
    }
    out
}

/// `d0["busybox<br/>eth0 8 …"] === d1["lxc…"]`
fn pair(edge: &Edge) -> String {
    let class = if edge.is_quiet() { ":::quiet" } else { "" };
    let of = |id: usize, lines: &[String]| {
        let lines: Vec<_> = lines.iter().map(|line| entities(line)).collect();
        format!("d{id}[\"{}\"]{class}", lines.join("<br/>"))
    };
    let far = of(edge.id, &edge.far);
    match &edge.near {
        Some(near) => format!("{far} {} {}", line(edge.busiest), of(edge.id + 1, near)),
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
