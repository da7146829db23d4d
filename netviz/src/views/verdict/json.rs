//! The JSON form of a verdict, and its schema.

use std::io::{self, Write};

use crate::{verify::Verdict, views::json::schema_of};

/// The schema of a verdict.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Verdict>()
}

/// Writes one verdict as an object, several as a list, in as many lines as it takes.
///
/// # Errors
/// Those of the writer.
pub fn write(verdicts: &[Verdict], mut out: impl Write) -> io::Result<()> {
    match verdicts {
        [verdict] => serde_json::to_writer_pretty(&mut out, verdict)?,
        verdicts => serde_json::to_writer_pretty(&mut out, verdicts)?,
    }
    writeln!(out)
}

/// Writes one verdict in one line.
///
/// # Errors
/// Those of the writer.
pub fn write_line(verdict: &Verdict, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, verdict)?;
    writeln!(out)
}
