//! Builds of the netviz binary.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process::{cargo, line, succeeded};

/// `cargo build --release -p netviz`; messages go to the terminal.
pub(crate) fn release() -> Command {
    let mut command = cargo();
    command.args(["build", "--release", "-p", "netviz"]);
    command
}

/// The same, optimized for size: the binary that is copied to nodes.
pub(crate) fn small() -> Command {
    let mut command = cargo();
    command.args(["build", "--profile", "small", "-p", "netviz"]);
    command
}

/// Runs a build and returns the path of the binary, as cargo reports it.
pub(crate) fn binary(build: &mut Command) -> Result<PathBuf> {
    build.arg("--message-format=json-render-diagnostics");
    let output = build
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", line(build)))?;
    succeeded(build, output.status)?;
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .find_map(executable)
        .with_context(|| format!("`{}` built no binary netviz", line(build)))
}

/// Returns the path in cargo's message about the binary.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_netviz = message["target"]["name"] == "netviz";
    let path = message["executable"].as_str()?;
    is_netviz.then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_found_in_cargo_messages() {
        let messages = [
            r#"{"reason":"compiler-artifact","target":{"name":"netviz"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"netviz"},"executable":"/t/netviz"}"#,
            "not json",
        ];
        let found: Vec<_> = messages.into_iter().filter_map(executable).collect();
        assert_eq!(found, [PathBuf::from("/t/netviz")]);
    }
}
