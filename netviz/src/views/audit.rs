//! Who stands at each door: each view a function of one audit.

mod fold;
pub mod sarif;
pub mod text;

use std::io::{self, Write};

use schemars::generate::SchemaSettings;

use crate::audit::Audit;

/// The schema of the JSON form: a field that may be `null` is there all the same.
#[must_use]
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings
        .into_generator()
        .into_root_schema_for::<Audit>()
        .into()
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
