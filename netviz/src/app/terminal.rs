//! The terminal: its properties, its keys, and its alternate screen.

mod alternate;
mod clipboard;

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

pub use alternate::AlternateScreen;
pub(super) use alternate::{resume, suspend};
pub(super) use clipboard::copy;
use crossterm::{
    event::{Event, read},
    terminal::size,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{sys::threads, views::text::Style};

/// Whether standard output is a terminal that a person reads.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colours are wanted: <https://no-color.org>, <https://bixense.com/clicolors>.
fn colour() -> bool {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal() && set("CLICOLOR").is_none_or(|value| value != "0")
}

/// Whether the locale names a character set other than UTF-8. Without a locale, as in a container,
/// terminals show UTF-8.
fn lacks_utf8() -> bool {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let mut locales = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(set);
    let utf8 = |locale: String| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    locales.next().is_some_and(|locale| !utf8(locale))
}

/// Prints a line on standard error, which may be closed.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
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
        colour: colour(),
        ascii: terminal && lacks_utf8(),
        ..Style::default()
    }
}

/// Columns and rows, with the usual ones in place of the 0 that a serial console reports.
pub(super) fn dimensions() -> (usize, usize) {
    let (columns, rows) = size().unwrap_or_default();
    let or = |value: u16, usual| if value < 2 { usual } else { usize::from(value) };
    (or(columns, 80), or(rows, 24))
}
