//! The output of a command that the screen started, or flows.

use std::collections::HashSet;

use super::command_line::CommandLine;
use crate::{
    model::DoorId,
    views::text::{safe, wrap},
};

/// Lines to keep.
const KEPT: usize = 10_000;

/// A command and its output so far, or the flows that it would show.
#[derive(Debug)]
pub(super) struct Pane {
    pub(super) command: CommandLine,
    lines: Vec<String>,
    ended: Option<String>,
    /// In place of the output, the flows of these interfaces.
    pub(super) flows: Option<HashSet<DoorId>>,
    /// First line in view.
    pub(super) down: usize,
}

impl Pane {
    pub(super) fn new(command: CommandLine) -> Self {
        Self {
            command,
            lines: Vec::new(),
            ended: None,
            flows: None,
            down: 0,
        }
    }

    /// The flows of `doors`, which `command` shows as well.
    pub(super) fn of_flows(command: CommandLine, doors: HashSet<DoorId>) -> Self {
        Self {
            flows: Some(doors),
            ..Self::new(command)
        }
    }

    /// `running`, or how it ended.
    pub(super) fn status(&self) -> &str {
        match self.flows {
            Some(_) => "counting flows",
            None => self.ended.as_deref().unwrap_or("running"),
        }
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
