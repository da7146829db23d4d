//! The JSON form, and its schema.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;

use crate::model::{Snapshot, is_harmless};

/// The schema of a snapshot.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Snapshot>()
}

/// The schema of a form as it is written: an unknown value is `null`, never left out.
pub(super) fn schema_of<T: JsonSchema>() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    generator.into_root_schema_for::<T>().into()
}

/// The word that the JSON form has for a variant.
pub(super) fn word(variant: &impl Serialize) -> String {
    let value = serde_json::to_value(variant).ok();
    let word = value.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or_default().to_owned()
}

/// The schema of `T` and of its parts, by name, for an OpenAPI document.
pub fn components<T: JsonSchema>() -> serde_json::Map<String, serde_json::Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|it| it.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    generator.subschema_for::<T>();
    generator.take_definitions(true)
}

/// Writes a value over several lines.
pub fn write(value: &impl Serialize, out: impl Write) -> io::Result<()> {
    put(&serde_json::to_string_pretty(value)?, out)
}

/// Writes a value in one line.
pub fn write_line(value: &impl Serialize, out: impl Write) -> io::Result<()> {
    put(&serde_json::to_string(value)?, out)
}

/// Escapes the characters that would act on a terminal. Apart from line breaks, they occur only in
/// strings.
fn put(json: &str, mut out: impl Write) -> io::Result<()> {
    let mut written = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if is_harmless(c) || c == '\n' {
            written.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(written, "\\u{unit:04x}");
            }
        }
    }
    written.push('\n');
    out.write_all(written.as_bytes())
}
