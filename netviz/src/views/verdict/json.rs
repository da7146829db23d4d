//! The JSON form of a verdict, and its schema.

use std::{
    borrow::Borrow,
    io::{self, Write},
};

use serde_json::Value;

use super::{
    causes::{causes, remedies},
    sentences::{detours, notes, row_note, unclear},
};
use crate::{
    verify::{Verdict, Way},
    views::{
        json::{self, schema_of},
        yaml,
    },
};

/// The schema of a verdict.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_of::<Verdict>();
    add_text(&mut schema);
    let causes = schema["$defs"]["Cause"]["oneOf"].as_array_mut();
    for cause in causes.into_iter().flatten() {
        let description = "A command that comes next; `null` if there is none.";
        cause["properties"]["next"] =
            serde_json::json!({"type": ["string", "null"], "description": description});
    }
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
pub fn write(verdicts: &[impl Borrow<Verdict>], out: impl Write) -> io::Result<()> {
    json::write(&values(verdicts)?, out)
}

/// Writes the same as YAML.
pub fn write_yaml(verdicts: &[impl Borrow<Verdict>], out: impl Write) -> io::Result<()> {
    yaml::write(&values(verdicts)?, out)
}

fn values(verdicts: &[impl Borrow<Verdict>]) -> io::Result<Value> {
    match verdicts {
        [verdict] => value(verdict.borrow()),
        verdicts => {
            let values = verdicts.iter().map(|verdict| value(verdict.borrow()));
            values.collect::<io::Result<_>>().map(Value::Array)
        }
    }
}

/// Writes one verdict in one line.
pub fn write_line(verdict: &Verdict, out: impl Write) -> io::Result<()> {
    json::write_line(&value(verdict)?, out)
}

/// A verdict with a `text` beside each `code`, and a `next` beside that of a cause.
pub(super) fn value(verdict: &Verdict) -> io::Result<Value> {
    let mut value = serde_json::to_value(verdict)?;
    let texts = [
        ("detours", detours(verdict)),
        ("unclear", unclear(verdict)),
        ("notes", notes(verdict)),
    ];
    for (list, texts) in texts {
        for (place, text) in texts.into_iter().enumerate() {
            value[list][place]["text"] = text.into();
        }
    }
    for (place, loss) in verdict.losses.iter().enumerate() {
        for (number, text) in causes(verdict, loss).into_iter().enumerate() {
            value["losses"][place]["causes"][number]["text"] = text.into();
        }
        for (number, next) in remedies(verdict, loss).into_iter().enumerate() {
            value["losses"][place]["causes"][number]["next"] = next.into();
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
