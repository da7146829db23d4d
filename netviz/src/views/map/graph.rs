//! The building as a graph: Mermaid for a README, DOT for Graphviz.

use std::fmt::Write as _;

use super::{Hall, Map, name, rates};
use crate::views::text::safe;

/// A Mermaid flowchart.
#[must_use]
pub fn mermaid(map: &Map<'_>) -> String {
    let mut out = String::from("flowchart LR\n");
    each(map, |step| match step {
        Step::Node(number, title) => {
            let _ = writeln!(out, "  subgraph n{number}[\"{}\"]", entity(title));
        }
        Step::Room(id, title) => {
            let _ = writeln!(out, "    subgraph r{id}[\"{}\"]", entity(title));
        }
        Step::Door(id, text) => {
            let _ = writeln!(out, "      d{id}[\"{}\"]", entity(text));
        }
        Step::EndRoom => out.push_str("    end\n"),
        Step::EndNode => out.push_str("  end\n"),
        Step::Corridor(from, to, quiet, text) => {
            let line = if quiet { "-.-" } else { "===" };
            let _ = writeln!(out, "  d{from} {line}|\"{}\"| d{to}", entity(text));
        }
        Step::Tunnel(from, to) => {
            let _ = writeln!(out, "  d{from} ---|\"tunnel\"| d{to}");
        }
    });
    out
}

/// Graphviz' language.
#[must_use]
pub fn dot(map: &Map<'_>) -> String {
    let mut out = String::from("graph netviz {\n  rankdir=LR;\n  node [shape=box];\n");
    each(map, |step| match step {
        Step::Node(number, title) => {
            let _ = writeln!(
                out,
                "  subgraph cluster_n{number} {{\n    label=\"{}\";",
                quoted(title)
            );
        }
        Step::Room(id, title) => {
            let _ = writeln!(
                out,
                "    subgraph cluster_r{id} {{\n      label=\"{}\";",
                quoted(title)
            );
        }
        Step::Door(id, text) => {
            let _ = writeln!(out, "      d{id} [label=\"{}\"];", quoted(text));
        }
        Step::EndRoom => out.push_str("    }\n"),
        Step::EndNode => out.push_str("  }\n"),
        Step::Corridor(from, to, quiet, text) => {
            let style = if quiet { "dotted" } else { "bold" };
            let _ = writeln!(
                out,
                "  d{from} -- d{to} [style={style}, label=\"{}\"];",
                quoted(text)
            );
        }
        Step::Tunnel(from, to) => {
            let _ = writeln!(out, "  d{from} -- d{to} [style=dashed, label=\"tunnel\"];");
        }
    });
    out.push_str("}\n");
    out
}

enum Step<'a> {
    Node(usize, &'a str),
    Room(usize, &'a str),
    Door(usize, &'a str),
    EndRoom,
    EndNode,
    /// Two doors, whether nothing crossed, and the rates.
    Corridor(usize, usize, bool, &'a str),
    Tunnel(usize, usize),
}

/// Walks through the building; corridors and tunnels at the end.
fn each(map: &Map<'_>, mut tell: impl FnMut(Step<'_>)) {
    let mut next = 0;
    let mut corridors = Vec::new();
    let mut tunnels = Vec::new();
    for (number, building) in map.layout.buildings.iter().enumerate() {
        tell(Step::Node(number, &map.heading(building)));
        let halls = [&building.rooms, &building.inner, &building.gates];
        for (kind, hallway) in halls
            .iter()
            .enumerate()
            .flat_map(|(kind, halls)| halls.iter().map(move |hall| (kind, hall)))
        {
            let Some(hall) = map.hall(hallway) else {
                continue;
            };
            let (far, near) = (next, next + 1);
            next += 2;
            let room = kind == 0;
            if room {
                tell(Step::Room(far, &safe(hall.label)));
            }
            tell(Step::Door(far, &door(&hall, true)));
            if room {
                tell(Step::EndRoom);
            }
            if hall.near.is_some() {
                tell(Step::Door(near, &door(&hall, false)));
                corridors.push((far, near, hall.is_quiet(), rates(hall.far)));
            }
            if hall.role == crate::model::Role::Overlay {
                tunnels.push(far);
            }
        }
        tell(Step::EndNode);
    }
    for (far, near, quiet, text) in &corridors {
        tell(Step::Corridor(*far, *near, *quiet, text));
    }
    for (place, from) in tunnels.iter().enumerate() {
        for to in &tunnels[place + 1..] {
            tell(Step::Tunnel(*from, *to));
        }
    }
}

fn door(hall: &Hall<'_>, far: bool) -> String {
    let door = if far {
        hall.far
    } else {
        hall.near.unwrap_or(hall.far)
    };
    let address = door.addresses.first().map(|address| safe(address));
    format!(
        "{} {} {}",
        name(door),
        door.ifindex,
        address.unwrap_or_default()
    )
    .trim_end()
    .to_owned()
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

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
