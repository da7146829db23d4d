//! The table of doors, refreshed in place.

use std::{
    io::{self, Write},
    ops::ControlFlow,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use crossterm::{
    cursor::MoveTo,
    event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    queue,
    terminal::{Clear, ClearType},
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    sink::{Shown, Sink, attaching, progress},
    terminal::{AlternateScreen, dimensions, listen, style},
};
use crate::{
    model::Snapshot,
    views::{
        table::{self, Drawing},
        text::{cut_end, safe, visible_width},
    },
};

/// A table that is refreshed in place; dropping it restores the terminal.
pub(super) struct TableScreen {
    events: UnboundedReceiver<Event>,
    shown: Shown,
    latest: Option<Snapshot>,
    attaching: Option<String>,
    /// A message, until a key is pressed.
    message: Option<String>,
    /// The first row in view.
    first: usize,
    _terminal: AlternateScreen,
}

impl TableScreen {
    pub(super) fn enter(shown: Shown) -> io::Result<Self> {
        let terminal = AlternateScreen::enter(false)?;
        Ok(Self {
            events: listen()?,
            shown,
            latest: None,
            attaching: None,
            message: None,
            first: 0,
            _terminal: terminal,
        })
    }

    fn refresh(&mut self) -> Result<ControlFlow<()>> {
        self.message = AlternateScreen::message().or(self.message.take());
        let footer = match (&self.message, &self.attaching) {
            (Some(text), _) => format!("q quit  {}", safe(text)),
            (None, Some(text)) => format!("{text}  q quit"),
            (None, None) => "q quit".into(),
        };
        if let Some(latest) = &self.latest {
            self.draw(&table::drawing(latest, style()), &footer)
                .context("cannot write to the terminal")?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Draws over the previous table, without flicker. The rows scroll; what is below them stays
    /// in view.
    fn draw(&mut self, drawing: &Drawing, footer: &str) -> io::Result<()> {
        let (columns, rows) = dimensions();
        let Drawing { rows: lines, below } = drawing;
        let room = rows.saturating_sub(below.len() + 1).max(1);
        self.first = self.first.min(lines.len().saturating_sub(room));
        let hidden = lines.len().saturating_sub(room);
        let mut out = io::BufWriter::new(io::stdout().lock());
        queue!(out, MoveTo(0, 0))?;
        let shown = lines.iter().skip(self.first).take(room).chain(below);
        for line in shown.take(rows - 1) {
            draw_line(&mut out, line, columns)?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        let scroll = match hidden {
            0 => String::new(),
            hidden => format!("  ↑↓ {hidden} more lines"),
        };
        write!(out, "{}", cut_end(&format!("{footer}{scroll}"), columns))?;
        out.flush()
    }

    /// Applies a key; false for a key that ends the screen.
    fn key(&mut self, key: KeyEvent) -> bool {
        self.message = None;
        let page = isize::try_from(dimensions().1 / 2).unwrap_or(1);
        let lines = match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            // In raw mode Ctrl-C is a key like any other.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::PageDown | KeyCode::Char(' ') => page,
            KeyCode::PageUp => -page,
            KeyCode::Home | KeyCode::Char('g') => isize::MIN,
            KeyCode::End | KeyCode::Char('G') => isize::MAX,
            _ => 0,
        };
        self.first = self.first.saturating_add_signed(lines);
        true
    }
}

impl Sink for TableScreen {
    async fn show(&mut self, snapshot: Arc<Snapshot>) -> Result<ControlFlow<()>> {
        self.attaching = attaching(progress(&snapshot));
        self.latest = Some(self.shown.of(snapshot));
        self.refresh()
    }

    async fn input(&mut self) -> Result<ControlFlow<()>> {
        let goes_on = match self.events.recv().await {
            Some(Event::Key(key)) => key.kind == KeyEventKind::Release || self.key(key),
            Some(_) => true,
            None => false,
        };
        match goes_on {
            true => self.refresh(),
            false => Ok(ControlFlow::Break(())),
        }
    }
}

/// Overwrites a line. A line as wide as the screen leaves the cursor on its last character, which
/// clearing would erase.
fn draw_line(out: &mut impl Write, line: &str, columns: usize) -> io::Result<()> {
    let line = cut_end(line, columns);
    write!(out, "{line}")?;
    if visible_width(&line) < columns {
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    write!(out, "\r\n")
}
