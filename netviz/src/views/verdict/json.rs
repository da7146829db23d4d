//! The JSON form of a verdict, and its schema.

use std::io::{self, Write};

use crate::{
    verify::Verdict,
    views::json::{schema_of, write_pretty, write_short},
};

/// The schema of a verdict.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Verdict>()
}

/// Writes one verdict as an object, several as a list, in as many lines as it takes.
///
/// # Errors
/// Those of the writer.
pub fn write(verdicts: &[Verdict], out: impl Write) -> io::Result<()> {
    match verdicts {
        [verdict] => write_pretty(verdict, out),
        verdicts => write_pretty(&verdicts, out),
    }
}

/// Writes one verdict in one line.
///
/// # Errors
/// Those of the writer.
pub fn write_line(verdict: &Verdict, out: impl Write) -> io::Result<()> {
    write_short(verdict, out)
}
