//! Every view of everything that netviz shows, in which all that others can name has a hostile name.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use netviz::{
    model::Snapshot,
    verify::Verdict,
    views::{
        audit,
        building::{self, Map, graph, svg, text},
        csv, json,
        lines::Lines,
        table::{self, Sort},
        tui,
        verdict::{
            self,
            junit::{self, Case},
            ladder, matrix, mermaid,
        },
    },
};
use netviz_tests::builders::hostile::{
    NAMES, check, defused,
    world::{self, cluster, verdicts},
};
use ratatui::{Terminal, backend::TestBackend};
use serde_json::Value;

/// A form for people: everything, under that name.
type View = (&'static str, fn(&str) -> String);
/// A form for programs.
type Form = (&'static str, fn(&str) -> Vec<u8>);

/// What each of them makes of each name, and of which. A hostile name looks as the harmless one that
/// it is made into: whatever a view forgets to defuse makes a difference, also where what it draws
/// with takes the worst away.
fn each(views: &[View], check: impl Fn(&str, &str)) {
    for (aim, name) in NAMES {
        let harmless = defused(name);
        for (view, draw) in views {
            let (what, drawn) = (format!("{aim}: {view}"), draw(name));
            check(&what, &drawn);
            assert_eq!(drawn, draw(&harmless), "{what}");
        }
    }
}

fn doors_as_table(name: &str) -> String {
    let style = table::Style {
        width: Some(120),
        colour: false,
    };
    table::draw(&cluster(name), style)
}

fn map_as_text(name: &str, ascii: bool) -> String {
    let style = text::Style {
        colour: false,
        width: 100,
        ascii,
        mac: true,
    };
    text::draw(&Map::new(&cluster(name)), style)
}

/// The screen, with the details of a node, of each kind of room, and of their doors; and while one is
/// looked for by its name. Nearly all of them fit into one so long.
fn screens(name: &str) -> String {
    let options = tui::Options {
        colour: false,
        interval: Duration::from_secs(1),
        sort: Sort::Place,
    };
    let (columns, rows) = (120, 90);
    let mut state = tui::State::new(options, columns, rows);
    state.take(cluster(name), Duration::from_secs(1));
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut draw = |state: &tui::State| {
        terminal.draw(|frame| tui::draw(frame, state)).unwrap();
        terminal.backend().to_string()
    };
    let mut screens = String::new();
    // A node and its first rooms: with the other ones it is the same.
    for _ in 0..16 {
        screens += &draw(&state);
        press(&mut state, KeyCode::Down);
    }
    press(&mut state, KeyCode::Char('/'));
    let keys = name.chars().map(KeyCode::Char);
    keys.for_each(|key| press(&mut state, key));
    screens + &draw(&state)
}

fn press(state: &mut tui::State, code: KeyCode) {
    state.key(KeyEvent::new(code, KeyModifiers::NONE));
}

fn ladders(name: &str, full: bool) -> String {
    let style = ladder::Style {
        width: 100,
        full,
        ..ladder::Style::default()
    };
    let ladders = verdicts(name).into_iter();
    ladders.map(|it| ladder::draw(&it, style) + "\n").collect()
}

/// As of `netviz verify --all`: between two ends, and among so many that they are a matrix.
fn matrices(name: &str) -> String {
    let style = matrix::Style::default();
    let (alike, mut apart) = (verdicts(name), verdicts(name));
    for (number, verdict) in apart.iter_mut().enumerate() {
        verdict.from.name = format!("{}/{number}", verdict.from.name.raw()).into();
    }
    let text = matrix::draw(&apart, style);
    assert!(text.contains("from, to"), "{text}");
    text + &matrix::draw(&alike, style)
}

fn audits(name: &str, width: Option<usize>, full: bool) -> String {
    let style = audit::text::Style {
        width,
        full,
        colour: false,
    };
    audit::text::draw(&world::audit(name), style)
}

/// What goes to a terminal does nothing there, and no name makes a line of its own.
#[test]
fn in_a_terminal() {
    let views: [View; 11] = [
        ("table", doors_as_table),
        ("lines", |name| {
            Lines::default().next(&cluster(name)).join("\n")
        }),
        ("map", |name| map_as_text(name, false)),
        ("ascii map", |name| map_as_text(name, true)),
        ("screens", screens),
        ("ladders", |name| ladders(name, false)),
        ("full ladders", |name| ladders(name, true)),
        ("matrices", matrices),
        ("audit", |name| audits(name, None, false)),
        ("narrow audit", |name| audits(name, Some(80), false)),
        ("full audit", |name| audits(name, None, true)),
    ];
    each(&views, check::plain);
}

fn drawn(name: &str, draw: fn(&Map<'_>) -> String) -> String {
    draw(&Map::new(&cluster(name)))
}

fn reports(name: &str) -> String {
    let verdicts = verdicts(name);
    let mut cases: Vec<_> = verdicts.iter().map(Case::new).collect();
    // What was wanted of it is said in words that may be somebody's.
    cases[0].why = Some(name.into());
    let mut out = Vec::new();
    junit::write(&cases, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A page, a picture and a report are well formed, and have no element and no attribute that the
/// drawing has not put there.
#[test]
fn in_markup() {
    let elements = [check::PICTURE, check::PAGE, check::REPORT];
    let views: [View; 3] = [
        ("map", |name| drawn(name, svg::draw)),
        ("page", |name| drawn(name, svg::page)),
        ("JUnit", reports),
    ];
    each(&views, |what, text| check::markup(what, text, &elements));
    for number in 0..verdicts("").len() {
        for (aim, name) in NAMES {
            let picture = |name: &str| verdict::svg::draw(&verdicts(name)[number]);
            check::markup(aim, &picture(name), &[check::PICTURE]);
            assert_eq!(picture(name), picture(&defused(name)), "{aim}");
        }
    }
}

/// In Mermaid and DOT no name ends the quotes that it stands in.
#[test]
fn in_a_graph() {
    let views: [View; 2] = [
        ("map", |name| drawn(name, graph::mermaid)),
        ("ladders", |name| {
            verdicts(name).iter().map(mermaid::draw).collect()
        }),
    ];
    each(&views, check::mermaid);
    let view: View = ("map", |name| drawn(name, graph::dot));
    each(&[view], check::dot);
}

/// CSV keeps its columns and its rows, and no cell is a formula.
#[test]
fn in_a_sheet() {
    let view: View = ("doors", |name| {
        let mut out = Vec::new();
        csv::write(&cluster(name), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    });
    let rows = 1 + cluster("").doors.len();
    each(&[view], |what, text| check::sheet(what, text, rows));
}

/// What is written with a writer, in bytes.
fn written<T>(of: T, write: fn(&T, &mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&of, &mut out).unwrap();
    out
}

const FORMS: [Form; 7] = [
    ("doors", |name| {
        written(cluster(name), |it, out| json::write(it, out))
    }),
    ("doors in a line", |name| {
        written(cluster(name), |it, out| json::write_line(it, out))
    }),
    ("map", |name| {
        written(cluster(name), |it: &Snapshot, out| {
            json::write_pretty(&building::json::drawing(&Map::new(it)), out)
        })
    }),
    ("verdicts", |name| {
        written(verdicts(name), |it: &Vec<Verdict>, out| {
            verdict::json::write(it, out)
        })
    }),
    ("a verdict in a line", |name| {
        written(verdicts(name), |it, out| {
            verdict::json::write_line(&it[3], out)
        })
    }),
    ("audit", |name| {
        written(world::audit(name), |it, out| audit::write(it, out))
    }),
    ("SARIF", |name| {
        written(world::audit(name), |it, out| audit::write_sarif(it, out))
    }),
];

/// JSON keeps every name as it is: who reads it decides what to do with it. It is one line where it
/// is to be one, and written to a terminal it does as little there as any other form.
#[test]
fn in_json() {
    for (form, write) in FORMS {
        for (aim, name) in NAMES {
            let what = format!("{aim}: {form}");
            check::json(&what, name, write);
            if form.ends_with("line") {
                let lines = write(name).iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(lines, 1, "{what}");
            }
        }
    }
}

/// Everything that somebody can name does have that name in what the views are given.
#[test]
fn every_view_is_covered() {
    const NAME: &str = "a-name-for-all";
    // Words of netviz, numbers and times in words.
    const OWN: [&str; 23] = [
        "link_state",
        "addresses",
        "pod_cidrs",
        "schema",
        "code",
        "protocol",
        "taken_at",
        "side",
        "role",
        "state",
        "named_by",
        "sources",
        "source",
        "code",
        "verdict",
        "mode_source",
        "direction",
        "way",
        "owner",
        "rule",
        "severity",
        "remedy",
        "explained_by",
    ];
    fn look(form: &str, key: &str, value: &Value) {
        match value {
            Value::String(text) => {
                let named = text.contains(NAME) || OWN.contains(&key);
                // Programs of Cilium, by whose names it is known; what is found of those it misses.
                let cilium = text.starts_with("cil_") || key == "message";
                assert!(named || cilium, "{form}: {key} is {text:?}");
            }
            Value::Array(values) => values.iter().for_each(|it| look(form, key, it)),
            Value::Object(fields) => fields.iter().for_each(|(key, it)| look(form, key, it)),
            _ => {}
        }
    }
    for (form, write) in FORMS
        .into_iter()
        .filter(|(form, _)| !matches!(*form, "SARIF" | "map"))
    {
        look(form, "", &serde_json::from_slice(&write(NAME)).unwrap());
    }
}
