//! The JSON form, and its schema.

use std::io::{self, Write};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;

use crate::model::{Snapshot, is_harmless};

/// The schema of a snapshot.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Snapshot>()
}

/// The schema of a form as it is written: a field that may be `null` is there all the same.
pub(super) fn schema_of<T: JsonSchema>() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    generator.into_root_schema_for::<T>().into()
}

/// Writes a snapshot in as many lines as it takes.
///
/// # Errors
/// Those of the writer.
pub fn write(snapshot: &Snapshot, out: impl Write) -> io::Result<()> {
    write_pretty(snapshot, out)
}

/// Writes anything in as many lines as it takes.
///
/// # Errors
/// Those of the writer.
pub fn write_pretty(value: &impl Serialize, out: impl Write) -> io::Result<()> {
    put(&serde_json::to_string_pretty(value)?, out)
}

/// Writes a snapshot in one line.
///
/// # Errors
/// Those of the writer.
pub fn write_line(snapshot: &Snapshot, out: impl Write) -> io::Result<()> {
    write_short(snapshot, out)
}

/// Writes anything in one line.
///
/// # Errors
/// Those of the writer.
pub(super) fn write_short(value: &impl Serialize, out: impl Write) -> io::Result<()> {
    put(&serde_json::to_string(value)?, out)
}

/// Names stay what they are, and do nothing to a terminal: what would is written in JSON's own way, which
/// of all characters asks it only for those below a space. Outside of strings there are none of them but
/// ends of lines.
fn put(json: &str, mut out: impl Write) -> io::Result<()> {
    let mut written = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if is_harmless(c) || c == '\n' {
            written.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                written.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    written.push('\n');
    out.write_all(written.as_bytes())
}
