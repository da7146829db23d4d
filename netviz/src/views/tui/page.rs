//! What a screen shows.

use std::{collections::HashSet, time::Duration};

use crossterm::event::{KeyEvent, MouseEvent};
use ratatui::Frame;

use super::keys::Action;
use crate::model::{DoorId, Snapshot};

/// Takes snapshots and keys, and draws: pure, without a terminal.
pub trait Page {
    /// Shows a reading, at `now` on a monotonic clock.
    fn update(&mut self, snapshot: Snapshot, now: Duration);

    /// Sets the progress of attaching; `None` when it is complete.
    fn set_attaching(&mut self, text: Option<String>);

    /// Shows a message until the next key.
    fn set_message(&mut self, text: String);

    /// Sets the size of the screen.
    fn resize(&mut self, columns: u16, rows: u16);

    /// Applies a key.
    fn key(&mut self, key: KeyEvent) -> Action;

    /// Applies the mouse.
    fn mouse(&mut self, mouse: MouseEvent) -> Action;

    /// Draws the whole screen.
    fn draw(&self, frame: &mut Frame);

    /// The interfaces whose flows it shows, and which are counted only as long as it does.
    fn flow_doors(&self) -> HashSet<DoorId>;

    /// Appends a line that a command of the screen printed.
    fn pane_line(&mut self, line: &str) {
        let _ = line;
    }

    /// Shows how the command ended.
    fn pane_ended(&mut self, how: String) {
        let _ = how;
    }
}
