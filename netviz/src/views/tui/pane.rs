//! The output of a command that the screen started.

use super::command_line::CommandLine;
use crate::views::text::{safe, wrap};

/// Lines to keep.
const KEPT: usize = 10_000;

/// A command and its output so far.
#[derive(Debug)]
pub(super) struct Pane {
    pub(super) command: CommandLine,
    lines: Vec<String>,
    ended: Option<String>,
    /// First line in view.
    pub(super) down: usize,
}

impl Pane {
    pub(super) fn new(command: CommandLine) -> Self {
        Self {
            command,
            lines: Vec::new(),
            ended: None,
            down: 0,
        }
    }

    /// `running`, or how it ended.
    pub(super) fn status(&self) -> &str {
        self.ended.as_deref().unwrap_or("running")
    }

    /// The output in lines of at most `width` columns.
    pub(super) fn wrapped(&self, width: usize) -> Vec<String> {
        let lines = self.lines.iter();
        lines.flat_map(|line| wrap(line, width, 4)).collect()
    }

    /// Appends a line that the command printed.
    pub(super) fn push(&mut self, line: &str) {
        if self.lines.len() < KEPT {
            self.lines.push(safe(line.trim_end()));
        }
    }

    /// The command has ended.
    pub(super) fn end(&mut self, how: String) {
        self.ended = Some(how);
    }
}
