//! Checks that an output format is valid for any name: one check per format.

use netviz::model::Untrusted;
use serde_json::Value;

use super::is_harmful;

/// Elements of all drawings.
pub const PICTURE: &[&str] = &[
    "svg", "title", "desc", "style", "g", "rect", "circle", "text", "line",
];
/// Elements of the page around a drawing.
pub const PAGE: &[&str] = &["html", "head", "meta", "body", "pre"];
/// Elements of a JUnit report.
pub const REPORT: &[&str] = &[
    "testsuites",
    "testsuite",
    "testcase",
    "system-out",
    "failure",
    "error",
];
/// Attributes of any of these elements.
const ATTRIBUTES: &[&str] = &[
    "viewBox",
    "width",
    "height",
    "role",
    "aria-labelledby",
    "id",
    "class",
    "x",
    "y",
    "rx",
    "cx",
    "cy",
    "r",
    "x1",
    "x2",
    "y1",
    "y2",
    "stroke-width",
    "stroke-linecap",
    "text-anchor",
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "classname",
    "tests",
    "skipped",
    "failures",
    "errors",
    "type",
    "message",
];

/// Checks that the text does not control a terminal.
///
/// # Panics
/// If it does.
#[track_caller]
pub fn plain(what: &str, text: &str) {
    assert_eq!(
        text.chars().find(|&c| is_harmful(c)),
        None,
        "{what}: {text:?}"
    );
}

/// Checks for well-formed XML of these elements, without attributes, comments or instructions that
/// the drawing does not write. A page of netviz is well-formed XML after its first line.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn markup(what: &str, text: &str, elements: &[&[&str]]) {
    plain(what, text);
    let xml = text.strip_prefix("<!doctype html>\n").unwrap_or(text);
    let tree = roxmltree::Document::parse(xml);
    let tree = tree.unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
    for node in tree.descendants() {
        assert!(!node.is_comment() && !node.is_pi(), "{what}: {node:?}");
        let name = node.tag_name().name();
        let known = elements.iter().any(|some| some.contains(&name));
        assert!(known || !node.is_element(), "{what}: {node:?}");
        for attribute in node.attributes() {
            let known = ATTRIBUTES.contains(&attribute.name());
            assert!(known, "{what}: {attribute:?} of {node:?}");
        }
    }
}

/// Checks for a flowchart with one statement per line, each of a kind that the drawing writes;
/// quotes contain only letters and references.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn mermaid(what: &str, text: &str) {
    plain(what, text);
    for line in text.lines() {
        let parts: Vec<_> = line.split('"').collect();
        // A pair is one line, with each end in quotes.
        assert!([1, 3, 5].contains(&parts.len()), "{what}: {line}");
        let word = line.trim_start().split([' ', '[', '(', ':']).next();
        let word = word.unwrap_or_default();
        let (name, number) = word.split_at(
            word.find(|c: char| c.is_ascii_digit())
                .unwrap_or(word.len()),
        );
        let numbered = number.chars().all(|c| c.is_ascii_digit());
        let known = match name {
            "flowchart" | "classDef" | "subgraph" | "end" | "head" | "said" => number.is_empty(),
            "d" | "n" | "q" | "p" | "qs" | "ps" | "more" | "way" => numbered && !number.is_empty(),
            _ => false,
        };
        assert!(known, "{what}: {line}");
        for label in parts.iter().skip(1).step_by(2) {
            let label = label.replace("<br/>", "");
            let bare = label.contains(['<', '>', '&', '`', '\\', '[', ']', '{', '}', '|']);
            assert!(!bare, "{what}: {line}");
            let references = label.matches('#').count();
            assert_eq!(references, label.matches(';').count(), "{what}: {line}");
        }
    }
}

/// Checks for a graph with one statement per line, in which no name ends its quotes.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn dot(what: &str, text: &str) {
    plain(what, text);
    for line in text.lines() {
        let bare = line.replace("\\\\", "").replace("\\\"", "");
        let parts: Vec<_> = bare.split('"').collect();
        assert!([1, 3].contains(&parts.len()), "{what}: {line}");
        let outside: String = parts.iter().step_by(2).copied().collect();
        let word = outside.trim_start().split([' ', '=']).next();
        let word = word
            .unwrap_or_default()
            .trim_end_matches([';', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        let known = [
            "graph",
            "rankdir",
            "node",
            "subgraph",
            "cluster_n",
            "label",
            "d",
            "way",
            "more",
            "}",
        ];
        assert!(known.contains(&word), "{what}: {line}");
        assert!(!outside.contains('\\'), "{what}: {line}");
    }
}

/// Checks for the given number of rows, including the header, with equal numbers of columns and
/// without a cell that a spreadsheet would execute.
///
/// # Panics
/// If it is not.
#[track_caller]
pub fn sheet(what: &str, text: &str, rows: usize) {
    plain(what, text);
    let found = cells(text);
    assert_eq!(found.len(), rows, "{what}: {text}");
    for row in &found {
        assert_eq!(row.len(), found[0].len(), "{what}: {row:?}");
        const RUN: [char; 10] = [
            '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
        ];
        assert!(
            row.iter().all(|cell| !cell.starts_with(RUN)),
            "{what}: {row:?}"
        );
    }
}

/// Splits text into cells (RFC 4180).
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(
        !quoted && cell.is_empty() && row.is_empty(),
        "half a row: {text}"
    );
    rows
}

/// Checks that the output differs from that of a harmless name only in the name. Facts contain the
/// original name; sentences may contain the escaped name.
///
/// # Panics
/// If it differs elsewhere, or contains characters that control a terminal.
#[track_caller]
pub fn json(what: &str, name: &str, write: impl Fn(&str) -> Vec<u8>) -> Value {
    const HARMLESS: &str = "a-name-of-no-harm";
    let text = String::from_utf8(write(name)).expect("text");
    plain(what, &text);
    let read: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
    let harmless = serde_json::from_slice(&write(HARMLESS)).expect("JSON");
    let sentences_shown = renamed("", read.clone(), name, name);
    assert_eq!(
        sentences_shown,
        renamed("", harmless, HARMLESS, name),
        "{what}"
    );
    read
}

/// Fields that contain a sentence.
const SENTENCES: [&str; 3] = ["text", "message", "remedy"];

fn renamed(key: &str, value: Value, from: &str, to: &str) -> Value {
    match value {
        // A command quotes names that need it.
        Value::String(text) if key == "next" => {
            let bare = |text: &str| text.replace(['\'', '\\'], "");
            let shown = bare(&Untrusted::from(to).to_string());
            bare(&text.replace(from, &shown)).into()
        }
        Value::String(text) if SENTENCES.contains(&key) => {
            text.replace(from, &Untrusted::from(to).to_string()).into()
        }
        Value::String(text) => text.replace(from, to).into(),
        Value::Array(values) => {
            let values = values.into_iter();
            values.map(|it| renamed(key, it, from, to)).collect()
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| {
                let value = renamed(&key, value, from, to);
                (key, value)
            })
            .collect(),
        other => other,
    }
}
