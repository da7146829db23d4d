//! Who stands at each door: each view a function of one audit.

mod fold;
pub mod sarif;
pub mod text;

use std::io::{self, Write};

use super::json::schema_of;
use crate::audit::Audit;

/// The schema of the JSON form.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<Audit>()
}

/// Writes the JSON form.
///
/// # Errors
/// Those of the writer.
pub fn write(audit: &Audit, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, audit)?;
    writeln!(out)
}

/// Writes the SARIF form.
///
/// # Errors
/// Those of the writer.
pub fn write_sarif(audit: &Audit, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &sarif::log(audit))?;
    writeln!(out)
}
