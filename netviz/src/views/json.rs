//! The JSON form, and its schema.

use std::io::{self, Write};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;

use crate::model::Snapshot;

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
pub fn write_pretty(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Writes a snapshot in one line.
///
/// # Errors
/// Those of the writer.
pub fn write_line(snapshot: &Snapshot, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, snapshot)?;
    writeln!(out)
}
