//! The terminal: its properties, its keys, and taking it for a screen.

mod taken;

use std::io::{self, IsTerminal as _};

use crossterm::{
    event::{Event, read},
    terminal::size,
};
pub use taken::Aside;
pub(super) use taken::Taken;
use tokio::sync::mpsc;

use crate::sys::threads;

/// Whether a person is looking at standard output.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colours are wanted (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Reads the terminal on a thread of its own and sends on what `wanted` makes of it.
///
/// The thread ends with the process: there is no way to interrupt a read of the terminal.
pub(super) fn listen<T: Send + 'static>(
    wanted: impl Fn(Event) -> Option<T> + Send + 'static,
) -> io::Result<mpsc::UnboundedReceiver<T>> {
    let (sender, input) = mpsc::unbounded_channel();
    threads::start("netviz-keys", "reads the keys", move || {
        while let Ok(event) = read() {
            if wanted(event).is_some_and(|input| sender.send(input).is_err()) {
                return;
            }
        }
    })?;
    Ok(input)
}

/// Width of the terminal in columns.
pub(super) fn width() -> usize {
    dimensions().0
}

/// Columns and rows; a serial console does not know its own, and says 0.
pub(super) fn dimensions() -> (usize, usize) {
    let (columns, rows) = size().unwrap_or_default();
    let or = |value: u16, usual| if value < 2 { usual } else { usize::from(value) };
    (or(columns, 80), or(rows, 24))
}
