//! The table of doors, refreshed in place on a screen that scrolls.

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
    terminal::{Taken, dimensions, listen, style},
};
use crate::{
    model::Snapshot,
    views::{
        table::{self, Drawing},
        text::{cut_end, visible_width},
    },
};

/// A table that is refreshed in place; dropping it gives the terminal back.
pub(super) struct TableScreen {
    events: UnboundedReceiver<Event>,
    shown: Shown,
    latest: Option<Snapshot>,
    attaching: Option<String>,
    /// The first row in view.
    first: usize,
    _taken: Taken,
}

impl TableScreen {
    pub(super) fn enter(shown: Shown) -> io::Result<Self> {
        let taken = Taken::take(false)?;
        Ok(Self {
            events: listen()?,
            shown,
            latest: None,
            attaching: None,
            first: 0,
            _taken: taken,
        })
    }

    fn refresh(&mut self) -> Result<ControlFlow<()>> {
        let footer = match &self.attaching {
            Some(text) => format!("{text}  q quit"),
            None => "q quit".into(),
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
        for line in lines
            .iter()
            .skip(self.first)
            .take(room)
            .chain(below)
            .take(rows - 1)
        {
            draw_line(&mut out, line, columns)?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        let scroll = if hidden > 0 {
            format!("  ↑↓ {hidden} more lines")
        } else {
            String::new()
        };
        write!(out, "{}", cut_end(&format!("{footer}{scroll}"), columns))?;
        out.flush()
    }

    /// Applies a key; false for a key that ends the screen.
    fn key(&mut self, key: KeyEvent) -> bool {
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

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Read as _,
        os::unix::process::CommandExt as _,
        process::{Command, Stdio},
    };

    use nix::{
        pty::openpty,
        sys::termios::{LocalFlags, tcgetattr},
    };

    use super::*;

    const ON_A_SCREEN: &str = "NETVIZ_TEST_ON_A_SCREEN";
    const THIS_TEST: &str = "app::screen::tests::a_panic_gives_the_terminal_back";

    /// Runs itself once more, on a terminal, and panics there.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(ON_A_SCREEN).is_some() {
            let mut screen = TableScreen::enter(Shown::default()).expect("a screen");
            let drawing = Drawing {
                rows: vec!["doors".into()],
                below: Vec::new(),
            };
            screen.draw(&drawing, "q quit").expect("a drawing");
            panic!("on purpose");
        }
        let pty = openpty(None, None).expect("a pseudo terminal");
        let (mut master, slave) = (File::from(pty.master), File::from(pty.slave));
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command
            .args([THIS_TEST, "--exact", "--nocapture"])
            .envs([(ON_A_SCREEN, "1"), ("RUST_BACKTRACE", "0")])
            .stdin(end())
            .stdout(end())
            .stderr(end());
        let own_terminal = || {
            nix::unistd::setsid()?;
            // SAFETY: standard input is the terminal.
            match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: two system calls.
        unsafe { command.pre_exec(own_terminal) };
        let status = command.status().expect("this test on a terminal");
        assert!(!status.success());
        let flags = tcgetattr(&slave).expect("its settings").local_flags;
        assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        drop((command, slave));
        let mut written = Vec::new();
        // Ends with an error when the other end is closed.
        let _ = master.read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written);
        let place = |text| written.rfind(text);
        assert!(
            place("\u{1b}[?1049h").is_some() && place("q quit").is_some(),
            "{written}"
        );
        assert!(place("\u{1b}[?1049l") > place("\u{1b}[?1049h"), "{written}");
        assert!(place("\u{1b}[?25h") > place("\u{1b}[?25l"), "{written}");
        // The message is printed on the main screen.
        assert!(
            written.find("on purpose") > written.find("\u{1b}[?1049l"),
            "{written}"
        );
    }
}
