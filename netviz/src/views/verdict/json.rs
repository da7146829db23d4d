//! The JSON form of a verdict, and its schema.

use std::io::{self, Write};

use serde_json::Value;

use super::sentences::{cause, detour, doubt, note, row_note};
use crate::{
    verify::{Verdict, Way},
    views::json::{schema_of, write_pretty, write_short},
};

/// The schema of a verdict.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_of::<Verdict>();
    add_text(&mut schema);
    schema
}

/// Every object with a `code` also has the sentence as `text`, except a reason inside of one.
fn add_text(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut)
        && properties.contains_key("code")
    {
        let description = "The same in a sentence.";
        let text = serde_json::json!({"type": "string", "description": description});
        properties.insert("text".into(), text);
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(add_text),
        Value::Array(items) => items.iter_mut().for_each(add_text),
        _ => {}
    }
}

/// Writes one verdict as an object, several as a list, over several lines.
///
/// # Errors
/// Those of the writer.
pub fn write(verdicts: &[Verdict], out: impl Write) -> io::Result<()> {
    match verdicts {
        [verdict] => write_pretty(&value(verdict)?, out),
        verdicts => {
            let values: io::Result<Vec<_>> = verdicts.iter().map(value).collect();
            write_pretty(&values?, out)
        }
    }
}

/// Writes one verdict in one line.
///
/// # Errors
/// Those of the writer.
pub fn write_line(verdict: &Verdict, out: impl Write) -> io::Result<()> {
    write_short(&value(verdict)?, out)
}

/// A verdict with a `text` beside each `code`.
fn value(verdict: &Verdict) -> io::Result<Value> {
    let mut value = serde_json::to_value(verdict)?;
    let mut say = |list: &str, place: usize, text: String| {
        value[list][place]["text"] = text.into();
    };
    for (place, it) in verdict.detours.iter().enumerate() {
        say("detours", place, detour(verdict, it));
    }
    for (place, it) in verdict.unclear.iter().enumerate() {
        say("unclear", place, doubt(verdict, it));
    }
    for (place, it) in verdict.notes.iter().enumerate() {
        say("notes", place, note(verdict, it));
    }
    for (place, loss) in verdict.losses.iter().enumerate() {
        for (number, it) in loss.causes.iter().enumerate() {
            value["losses"][place]["causes"][number]["text"] = cause(verdict, loss, it).into();
        }
    }
    for (way, list) in [(Way::Request, "request"), (Way::Reply, "reply")] {
        for (place, row) in verdict.rows(way).iter().enumerate() {
            if let Some(note) = &row.note {
                value[list][place]["note"]["text"] = row_note(note).into();
            }
        }
    }
    Ok(value)
}
