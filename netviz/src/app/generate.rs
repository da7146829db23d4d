//! `netviz schema`, `completions` and `man`: what follows from the types and the command line alone.

use std::{
    io::{self, ErrorKind, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, anyhow};
use clap_complete::Shell;

use crate::{
    cli::{self, SchemaForm},
    views::{audit, building, flows, json, verdict},
};

/// Prints the JSON schema of a command's `-o json`.
///
/// # Errors
/// When standard output cannot be written.
pub fn schema(form: SchemaForm) -> Result<()> {
    let schema = match form {
        SchemaForm::Snapshot => json::schema(),
        SchemaForm::Map => building::json::schema(),
        SchemaForm::Audit => audit::schema(),
        SchemaForm::Verdict => verdict::json::schema(),
        SchemaForm::Flows => flows::schema(),
        SchemaForm::FlowPairs => flows::pairs_schema(),
        SchemaForm::Watch => verdict::watch::json::schema(),
    };
    let schema = serde_json::to_string_pretty(&schema)?;
    print(format!("{schema}\n").as_bytes()).context("cannot write the schema")
}

/// Prints the completion script for a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "netviz", &mut script);
    print(&script).context("cannot write the completion script")
}

/// Writes the man pages into a directory, one per command.
///
/// # Errors
/// When a file cannot be written.
pub fn man(directory: &Path) -> Result<()> {
    clap_mangen::generate_to(cli::command(), directory).map_err(|error| {
        anyhow!(
            "cannot write the man pages into {}: {error}; name a directory that exists and is writable",
            directory.display()
        )
    })
}

/// Prints to standard output; a reader that has closed its end is no error.
fn print(bytes: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
