//! Who stands at each door: each view a function of one audit.

mod grouping;
pub mod sarif;
pub mod text;

use std::io::{self, Write};

use super::json::{schema_of, write_pretty};
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
pub fn write(audit: &Audit, out: impl Write) -> io::Result<()> {
    write_pretty(audit, out)
}

/// Writes the SARIF form.
///
/// # Errors
/// Those of the writer.
pub fn write_sarif(audit: &Audit, out: impl Write) -> io::Result<()> {
    write_pretty(&sarif::log(audit), out)
}
