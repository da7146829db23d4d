//! What is beside or below the list: details, or the output of a command.

use std::collections::HashSet;

use super::{pane::Pane, state::State};
use crate::{
    model::DoorId,
    views::{
        flows::{FlowReport, FlowSort, Selected, table},
        text::Style,
    },
};

/// The most flows of an interface.
const FLOWS: usize = 20;

impl State {
    /// Appends a line that the command printed.
    pub fn pane_line(&mut self, line: &str) {
        if let Some(pane) = &mut self.pane {
            pane.push(line);
        }
    }

    /// Shows how the command ended: `exit code 1`.
    pub fn pane_ended(&mut self, how: String) {
        if let Some(pane) = &mut self.pane {
            pane.end(how);
        }
    }

    /// Scrolls the pane or else the details.
    pub(super) fn scroll(&mut self, lines: isize) {
        let last = self.last_line();
        let down = match &mut self.pane {
            Some(pane) => &mut pane.down,
            None => &mut self.down,
        };
        *down = down.saturating_add_signed(lines).min(last);
    }

    /// The title of the pane or the details, its lines of at most `width` columns, and the first of
    /// them in view.
    pub(super) fn side(&self, width: usize) -> (String, Vec<String>, usize) {
        match &self.pane {
            Some(Pane {
                flows: Some(doors),
                command,
                down,
                ..
            }) => (command.to_string(), self.flow_lines(doors, width), *down),
            Some(pane) => (pane.command.to_string(), pane.wrapped(width), pane.down),
            None => {
                let (title, lines) = self.detail_lines(width);
                (title, lines, self.down)
            }
        }
    }

    /// The flows of `doors` in lines.
    fn flow_lines(&self, doors: &HashSet<DoorId>, width: usize) -> Vec<String> {
        let Some(snapshot) = &self.shown else {
            return Vec::new();
        };
        let selected = Selected {
            top: Some(FLOWS),
            sort: FlowSort::Rate,
            doors: Some(doors.clone()),
            ..Selected::default()
        };
        let style = Style {
            width: Some(width),
            ..Style::default()
        };
        let text = table::draw(&FlowReport::new(snapshot, &selected), style);
        text.lines().map(Into::into).collect()
    }

    /// The last position to which it can be scrolled.
    pub(super) fn last_line(&self) -> usize {
        let area = self.places().details;
        let (_, lines, _) = self.side(usize::from(area.width.saturating_sub(2)));
        let height = usize::from(area.height.saturating_sub(1));
        lines.len().saturating_sub(height)
    }
}
