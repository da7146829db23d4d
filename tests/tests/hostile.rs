//! Every view of a cluster in which everything that a pod can name has a hostile name.

use std::time::Duration;

use netviz::{
    model::{Chain, Snapshot},
    views::{
        csv, json,
        lines::Lines,
        map::{Map, graph, svg, text},
        table::{self, Sort},
        tui,
    },
};
use netviz_tests::{
    cli::sight::blog,
    hostile::{NAMES, acts},
};
use ratatui::{Terminal, backend::TestBackend};
use serde_json::Value;

/// The blog's cluster, with one name for everything.
fn cluster(name: &str) -> Snapshot {
    let mut snapshot = blog().snapshot();
    let some = || Some(name.to_owned());
    let chain = || {
        Some(Chain {
            ahead: vec![name.into()],
            behind: vec![name.into()],
        })
    };
    for node in &mut snapshot.nodes {
        node.name = name.into();
    }
    for door in &mut snapshot.doors {
        door.node = name.into();
        (door.pod, door.namespace) = (some(), some());
        (door.interface, door.peer_interface) = (some(), some());
        (door.kind, door.mac, door.reason, door.link_state) = (some(), some(), some(), some());
        door.addresses = vec![name.into()];
        (door.programs.ingress, door.programs.egress) = (chain(), chain());
    }
    for corridor in &mut snapshot.corridors {
        corridor.node = name.into();
        corridor.pod = some();
        for passage in &mut corridor.passages {
            (passage.from, passage.to, passage.reason) = (some(), some(), some());
        }
    }
    for pod in &mut snapshot.pods {
        pod.node = name.into();
        (pod.name, pod.namespace) = (name.into(), some());
    }
    snapshot.notes = vec![name.into()];
    snapshot
}

fn picture(snapshot: &Snapshot) -> String {
    let options = tui::Options {
        colour: false,
        interval: Duration::from_secs(1),
        sort: Sort::Place,
    };
    let mut state = tui::State::new(options, 120, 60);
    state.take(snapshot.clone(), Duration::from_secs(1));
    let mut terminal = Terminal::new(TestBackend::new(120, 60)).unwrap();
    terminal.draw(|frame| tui::draw(frame, &state)).unwrap();
    terminal.backend().to_string()
}

fn maps(snapshot: &Snapshot, ascii: bool) -> String {
    let style = text::Style {
        colour: false,
        width: 100,
        ascii,
        mac: true,
    };
    text::draw(&Map::new(snapshot), style)
}

/// Draws a cluster.
type View = fn(&Snapshot) -> String;

/// What goes to a terminal does nothing there, and no name makes a line of its own.
#[test]
fn in_a_terminal() {
    for (aim, name) in NAMES {
        let snapshot = cluster(name);
        let views: [(&str, View); 5] = [
            ("table", |it| {
                table::draw(
                    it,
                    table::Style {
                        width: Some(120),
                        colour: false,
                    },
                )
            }),
            ("lines", |it| Lines::default().next(it).join("\n")),
            ("map", |it| maps(it, false)),
            ("ascii map", |it| maps(it, true)),
            ("screen", picture),
        ];
        for (view, draw) in views {
            let drawn = draw(&snapshot);
            assert_eq!(
                drawn.chars().find(|&c| acts(c)),
                None,
                "{aim}: {view}: {drawn:?}"
            );
            if aim == "another line of its own" {
                let tame = draw(&cluster(&name.replace(acts, "x").replace('\n', "x")));
                assert_eq!(
                    drawn.lines().count(),
                    tame.lines().count(),
                    "{view}: {drawn}"
                );
            }
        }
    }
}

/// A page and a picture are well formed, have no element that the drawing has not put there, and
/// no attribute that would run something.
#[test]
fn in_markup() {
    let known = ["svg", "title", "desc", "style", "g", "rect", "text", "line"];
    for (aim, name) in NAMES {
        let snapshot = cluster(name);
        let map = Map::new(&snapshot);
        let drawn = svg::draw(&map);
        let tree = roxmltree::Document::parse(&drawn)
            .unwrap_or_else(|error| panic!("{aim}: {error}: {drawn}"));
        for node in tree.descendants().filter(roxmltree::Node::is_element) {
            assert!(known.contains(&node.tag_name().name()), "{aim}: {node:?}");
            let mut attributes = node.attributes();
            assert!(
                attributes.all(|it| !it.name().starts_with("on")),
                "{aim}: {node:?}"
            );
        }
        let page = svg::page(&map);
        assert!(!page.contains("<script>alert"), "{aim}: {page}");
        for text in [drawn, page] {
            assert_eq!(text.chars().find(|&c| acts(c)), None, "{aim}: {text:?}");
        }
    }
}

/// In Mermaid and DOT no name ends the quotes that it stands in.
#[test]
fn in_a_graph() {
    for (aim, name) in NAMES {
        let snapshot = cluster(name);
        let map = Map::new(&snapshot);
        for line in graph::mermaid(&map).lines() {
            // A pair stands in one line, each end in quotes of its own.
            assert!(
                [0, 2, 4].contains(&line.matches('"').count()),
                "{aim}: {line}"
            );
            assert!(!line.trim_start().starts_with("click"), "{aim}: {line}");
        }
        for line in graph::dot(&map).lines() {
            let bare = line.replace("\\\\", "").replace("\\\"", "");
            assert!([0, 2].contains(&bare.matches('"').count()), "{aim}: {line}");
        }
        for text in [graph::mermaid(&map), graph::dot(&map)] {
            assert_eq!(text.chars().find(|&c| acts(c)), None, "{aim}: {text:?}");
        }
    }
}

/// CSV keeps its columns and its rows, and no cell is a formula.
#[test]
fn in_a_sheet() {
    for (aim, name) in NAMES {
        let snapshot = cluster(name);
        let mut out = Vec::new();
        csv::write(&snapshot, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.chars().find(|&c| acts(c)), None, "{aim}: {text:?}");
        // A quoted cell may have anything in it; outside of quotes, commas are columns.
        let rows = text.lines().map(|line| {
            line.split('"')
                .step_by(2)
                .map(|it| it.matches(',').count())
                .sum()
        });
        let columns: Vec<usize> = rows.collect();
        assert_eq!(columns.len(), 1 + snapshot.doors.len(), "{aim}: {text}");
        assert!(columns.iter().all(|it| *it == columns[0]), "{aim}: {text}");
    }
}

/// JSON keeps every name as it is: who reads it decides what to do with it. It is one line where it
/// is to be one, and says nothing that is not in the name.
#[test]
fn in_json() {
    for (aim, name) in NAMES {
        let snapshot = cluster(name);
        let (mut pretty, mut line) = (Vec::new(), Vec::new());
        json::write(&snapshot, &mut pretty).unwrap();
        json::write_line(&snapshot, &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.lines().count(), 1, "{aim}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&pretty).unwrap(),
            read,
            "{aim}"
        );
        assert_eq!(read["doors"][0]["pod"], name, "{aim}");
        let raw = line.trim_end_matches('\n');
        assert!(!raw.contains(|c: char| c < ' '), "{aim}: {line:?}");
    }
}
