//! Progress in one line of standard error, at a terminal only.

use std::{
    cell::RefCell,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// The least time between two lines.
const PACE: Duration = Duration::from_millis(50);

/// A line that each text replaces, and that is cleared at the end.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    /// When the line was written last, if it is there.
    written: RefCell<Option<Instant>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            written: RefCell::new(None),
        }
    }

    /// Shows `text`, unless the line was written a moment ago.
    pub(super) fn show(&self, text: &str) {
        let mut written = self.written.borrow_mut();
        if self.is_terminal && written.is_none_or(|at| at.elapsed() >= PACE) {
            *written = Some(Instant::now());
            let _ = write!(io::stderr(), "\r{text:40}");
        }
    }

    /// Clears the line.
    pub(super) fn clear(&self) {
        if self.written.take().is_some() {
            let _ = write!(io::stderr(), "\r{:60}\r", "");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
