//! Every view of all data, with a hostile name wherever others choose the name.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use netviz::{
    model::Snapshot,
    verify::Verdict,
    views::{
        FORMATS, audit,
        building::{self, Map, Origin, graph, svg, text},
        csv,
        flows::{self, FlowReport, PairReport, Selected},
        json,
        lines::Lines,
        table, tui,
        verdict::{self, drawing::Drawing, junit, ladder, matrix, mermaid, results},
        yaml,
    },
};
use netviz_tests::builders::{
    hostile::{
        NAMES, check,
        data::{self, cluster, verdicts},
        escaped,
    },
    verdicts::building,
};
use ratatui::{Terminal, backend::TestBackend};
use serde_json::Value;

/// A view for people, of all data with that name.
type View = (&'static str, fn(&str) -> String);
/// An output for programs.
type Form = (&'static str, fn(&str) -> Vec<u8>);

/// Runs each view with each name. The output of a hostile name must equal that of its escaped form:
/// any escape that a view omits makes a difference, even if the drawing library removes the worst.
fn each(views: &[View], check: impl Fn(&str, &str)) {
    for (aim, name) in NAMES {
        let harmless = escaped(name);
        for (view, draw) in views {
            let (what, drawn) = (format!("{aim}: {view}"), draw(name));
            check(&what, &drawn);
            assert_eq!(drawn, draw(&harmless), "{what}");
        }
    }
}

fn flows_of(name: &str) -> FlowReport {
    FlowReport::new(&data::talking(name), &Selected::default())
}

fn pairs_of(name: &str) -> PairReport {
    PairReport::new(&data::talking(name), &Selected::default())
}

fn doors_as_table(name: &str) -> String {
    let style = table::Style {
        width: Some(120),
        ..table::Style::default()
    };
    table::draw(&cluster(name), style)
}

fn doors_as_wide_table(name: &str) -> String {
    let wide = FORMATS.iter().find(|format| format.name == "wide").unwrap();
    let mut out = Vec::new();
    (wide.write)(&cluster(name), table::Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn map_as_text(name: &str, ascii: bool) -> String {
    let style = text::Style {
        colour: false,
        width: Some(100),
        ascii,
        full: true,
    };
    text::draw(&Map::new(&cluster(name)), style)
}

/// Returns the live screen with the details of a node, of each kind of pod and of their doors, and
/// during a search by name. Nearly all of them fit into one this tall.
fn screens(name: &str) -> String {
    let options = tui::Options {
        interval: Duration::from_secs(1),
        ..tui::Options::default()
    };
    let (columns, rows) = (120, 90);
    let mut state = tui::State::new(options, columns, rows);
    state.update(cluster(name), Duration::from_secs(1));
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let mut draw = |state: &tui::State| {
        terminal.draw(|frame| tui::draw(frame, state)).unwrap();
        terminal.backend().to_string()
    };
    let mut screens = String::new();
    // A node and its first pods; the others look the same.
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
        width: Some(100),
        full,
        ..ladder::Style::default()
    };
    let ladders = verdicts(name).into_iter();
    ladders.map(|it| ladder::draw(&it, style) + "\n").collect()
}

/// Returns views of `netviz verify --all-pairs`: of two ends, and of enough for a matrix.
fn matrices(name: &str) -> String {
    let style = matrix::Style::default();
    let (alike, mut apart) = (verdicts(name), verdicts(name));
    for (number, verdict) in apart.iter_mut().enumerate() {
        verdict.from.name = format!("{}/{number}", verdict.from.name.raw()).into();
    }
    let text = matrix::draw(&apart, style);
    assert!(text.contains("from, to"), "{text}");
    text + &matrix::draw(&alike, style) + &results::draw(&alike, style)
}

fn audits(name: &str, width: Option<usize>, full: bool) -> String {
    let style = audit::text::Style {
        width,
        full,
        ..audit::text::Style::default()
    };
    audit::text::draw(&data::audit(name), style)
}

/// Output to a terminal does not control it, and no name adds a line.
#[test]
fn terminal_output_is_safe() {
    let views: [View; 14] = [
        ("flows", |name| {
            flows::table::draw(&flows_of(name), table::Style::default())
        }),
        ("flow pairs", |name| {
            flows::pair_table::draw(&pairs_of(name), table::Style::default())
        }),
        ("table", doors_as_table),
        ("wide table", doors_as_wide_table),
        ("lines", |name| {
            Lines::new(jiff::tz::TimeZone::UTC)
                .next(&cluster(name))
                .join("\n")
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
    let mut out = Vec::new();
    junit::write(&verdicts(name), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Pages, drawings and reports are well-formed, and contain only elements and attributes of the
/// drawing.
#[test]
fn markup_is_well_formed() {
    let elements = [check::PICTURE, check::PAGE, check::REPORT];
    let views: [View; 5] = [
        ("flows", |name| flows::matrix::draw(&pairs_of(name))),
        ("page of flows", |name| flows::matrix::page(&pairs_of(name))),
        ("map", |name| drawn(name, svg::draw)),
        ("page", |name| drawn(name, svg::page)),
        ("JUnit", reports),
    ];
    each(&views, |what, text| check::markup(what, text, &elements));
    for number in 0..verdicts("").len() {
        for (aim, name) in NAMES {
            let picture = |name: &str| {
                let snapshot = building();
                let verdict = &verdicts(name)[number];
                Drawing::new(verdict, &snapshot, Origin::default()).svg()
            };
            check::markup(aim, &picture(name), &[check::PICTURE]);
            assert_eq!(picture(name), picture(&escaped(name)), "{aim}");
        }
    }
}

/// In Mermaid and DOT, no name ends its quotes.
#[test]
fn graph_keeps_names_quoted() {
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

/// CSV keeps its columns and rows, and no cell is a formula.
#[test]
fn csv_has_no_formulas() {
    let view: View = ("doors", |name| {
        let mut out = Vec::new();
        csv::write(&cluster(name), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    });
    let rows = 1 + cluster("").doors.len();
    each(&[view], |what, text| check::sheet(what, text, rows));
    let view: View = ("flows", |name| {
        String::from_utf8(written(flows_of(name), |it, out| {
            flows::csv::write(it, out)
        }))
        .unwrap()
    });
    let rows = (view.1)("a").lines().count();
    each(&[view], |what, text| check::sheet(what, text, rows));
    let view: View = ("flow pairs", |name| {
        String::from_utf8(written(pairs_of(name), |it, out| {
            flows::csv::write_pairs(it, out)
        }))
        .unwrap()
    });
    let rows = (view.1)("a").lines().count();
    each(&[view], |what, text| check::sheet(what, text, rows));
}

/// Returns the bytes that a writer writes.
fn written<T>(of: T, write: fn(&T, &mut Vec<u8>) -> std::io::Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&of, &mut out).unwrap();
    out
}

const FORMS: [Form; 9] = [
    ("flows", |name| {
        written(flows_of(name), |it, out| json::write(it, out))
    }),
    ("flow pairs", |name| {
        written(pairs_of(name), |it, out| json::write(it, out))
    }),
    ("doors", |name| {
        written(cluster(name), |it, out| json::write(it, out))
    }),
    ("doors in a line", |name| {
        written(cluster(name), |it, out| json::write_line(it, out))
    }),
    ("map", |name| {
        written(cluster(name), |it: &Snapshot, out| {
            json::write(&building::json::drawing(&Map::new(it)), out)
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
        written(data::audit(name), |it, out| json::write(it, out))
    }),
    ("SARIF", |name| {
        written(data::audit(name), |it, out| {
            json::write(&audit::sarif::log(it), out)
        })
    }),
];

/// JSON keeps every name unchanged, and the reader decides what to do with it. JSON lines stay one
/// line each, and the output does not control a terminal.
#[test]
fn json_keeps_names() {
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

/// YAML has the data of JSON, and does not control a terminal.
#[test]
fn yaml_has_the_data_of_json() {
    let forms: [Form; 2] = [
        ("doors", |name| {
            written(cluster(name), |it, out| yaml::write(it, out))
        }),
        ("verdicts", |name| {
            written(verdicts(name), |it: &Vec<Verdict>, out| {
                verdict::json::write_yaml(it, out)
            })
        }),
    ];
    for (form, write) in forms {
        let (_, json) = FORMS.iter().find(|(name, _)| *name == form).unwrap();
        for (aim, name) in NAMES {
            let text = String::from_utf8(write(name)).unwrap();
            check::plain(&format!("{aim}: {form}"), &text);
            let yaml: Value = serde_saphyr::from_str(&text).unwrap();
            let json: Value = serde_json::from_slice(&json(name)).unwrap();
            assert_eq!(yaml, json, "{aim}: {form}");
        }
    }
}

/// Everything that others can name has the hostile name in the test data.
#[test]
fn every_view_is_covered() {
    const NAME: &str = "a-name-for-all";
    // netviz's own words, numbers and durations.
    const OWN: [&str; 31] = [
        "kind",
        "destination",
        "asked",
        "answered",
        "counted_at",
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
        "attachment",
        "to",
        "next",
    ];
    fn check_names(form: &str, key: &str, value: &Value) {
        match value {
            Value::String(text) => {
                let named = text.contains(NAME) || OWN.contains(&key);
                // Cilium's programs, which are known by their names; findings name those that are
                // missing.
                let cilium = text.starts_with("cil_") || key == "message";
                assert!(named || cilium, "{form}: {key} is {text:?}");
            }
            Value::Array(values) => values.iter().for_each(|it| check_names(form, key, it)),
            Value::Object(fields) => fields
                .iter()
                .for_each(|(key, it)| check_names(form, key, it)),
            _ => {}
        }
    }
    for (form, write) in FORMS
        .into_iter()
        .filter(|(form, _)| !matches!(*form, "SARIF" | "map"))
    {
        check_names(form, "", &serde_json::from_slice(&write(NAME)).unwrap());
    }
}
