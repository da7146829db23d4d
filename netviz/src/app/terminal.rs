//! The terminal: a screen that is given back, whatever happens, and the keys.

use std::{
    io::{self, IsTerminal as _, Write},
    thread,
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{Event, KeyCode, KeyEventKind, KeyModifiers, read},
    execute, queue,
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use tokio::sync::mpsc;

use crate::views::text::{cut_end, visible_width};

/// What a person did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    Redraw,
}

/// The alternate screen, left again when this is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) input: mpsc::UnboundedReceiver<Input>,
}

/// Whether a person is looking at standard output.
pub(super) fn is_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colours are wanted (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            hook(panic);
        }));
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        let (sender, input) = mpsc::unbounded_channel();
        // Ends with the process: there is no way to interrupt a read of the terminal.
        thread::Builder::new()
            .name("netviz-keys".into())
            .spawn(move || keys(&sender))?;
        Ok(Self { input })
    }

    /// Draws over what was there, so that nothing flickers; what does not fit is said.
    pub(super) fn draw(&self, text: &str, footer: &str) -> io::Result<()> {
        let (columns, rows) = dimensions();
        let mut out = io::BufWriter::new(io::stdout().lock());
        queue!(out, MoveTo(0, 0))?;
        let lines: Vec<_> = text.lines().collect();
        let room = rows - 1;
        let cut = lines.len() > room;
        let shown = if cut { room - 1 } else { lines.len() };
        for line in &lines[..shown] {
            draw_line(&mut out, line, columns)?;
        }
        if cut {
            let more = format!(
                "… {} more lines: a taller window, or --node, --pod, --device",
                lines.len() - shown
            );
            draw_line(&mut out, &more, columns)?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        write!(out, "{}", cut_end(footer, columns))?;
        out.flush()
    }
}

/// Writes a line over the one that was there. One that is as wide as the screen leaves the cursor
/// on its last character, which clearing would take away.
fn draw_line(out: &mut impl Write, line: &str, columns: usize) -> io::Result<()> {
    let line = cut_end(line, columns);
    write!(out, "{line}")?;
    if visible_width(&line) < columns {
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    write!(out, "\r\n")
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// Width of the terminal in columns.
pub(super) fn width() -> Option<usize> {
    Some(dimensions().0)
}

/// Columns and rows; a serial console does not know its own, and says 0.
fn dimensions() -> (usize, usize) {
    let (columns, rows) = size().unwrap_or_default();
    let or = |value: u16, usual| if value < 2 { usual } else { usize::from(value) };
    (or(columns, 80), or(rows, 24))
}

fn keys(sender: &mpsc::UnboundedSender<Input>) {
    while let Ok(event) = read() {
        let input = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
                KeyCode::Char('q') | KeyCode::Esc => Input::Quit,
                // In raw mode Ctrl-C is a key like any other.
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Input::Quit,
                _ => continue,
            },
            Event::Resize(..) => Input::Redraw,
            _ => continue,
        };
        if sender.send(input).is_err() {
            return;
        }
    }
}
