//! The terminal: its properties, its keys, and its alternate screen.

mod alternate;

use std::io::{self, IsTerminal as _};

pub use alternate::AlternateScreen;
use crossterm::{
    event::{Event, read},
    terminal::size,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{sys::threads, views::text::Style};

/// Whether standard output is a terminal that a person reads.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colours are wanted (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Reads keys, the mouse and resizes on a thread, which ends with the process: a read of the
/// terminal cannot be interrupted.
pub(super) fn listen() -> io::Result<UnboundedReceiver<Event>> {
    let (sender, events) = unbounded_channel();
    threads::start("netviz-keys", "reads the keys", move || {
        while let Ok(event) = read() {
            if sender.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(events)
}

/// The style of standard output: as wide as the terminal, if it is one.
pub(super) fn style() -> Style {
    let terminal = is_terminal();
    Style {
        width: terminal.then(|| dimensions().0),
        colour: terminal && colour(),
        ..Style::default()
    }
}

/// Columns and rows, with the usual ones in place of the 0 that a serial console reports.
pub(super) fn dimensions() -> (usize, usize) {
    let (columns, rows) = size().unwrap_or_default();
    let or = |value: u16, usual| if value < 2 { usual } else { usize::from(value) };
    (or(columns, 80), or(rows, 24))
}
