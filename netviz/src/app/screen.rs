//! A screen of lines that scrolls.

use std::io::{self, Write};

use crossterm::{
    cursor::MoveTo,
    event::{Event, KeyCode, KeyEventKind, KeyModifiers},
    queue,
    terminal::{Clear, ClearType},
};
use tokio::sync::mpsc;

use super::terminal::{Taken, dimensions, listen};
use crate::views::{
    table::Drawing,
    text::{cut_end, visible_width},
};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    Redraw,
    /// Scrolls down by this many lines.
    Scroll(isize),
}

/// A screen of lines that scrolls; dropping it gives the terminal back.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) input: mpsc::UnboundedReceiver<Input>,
    /// The first row in view.
    first: usize,
    _taken: Taken,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let taken = Taken::take(false)?;
        Ok(Self {
            input: listen(input)?,
            first: 0,
            _taken: taken,
        })
    }

    /// Draws over what was there, so that nothing flickers. What stands below stays in view, the
    /// rows are scrolled.
    pub(super) fn draw(&mut self, drawing: &Drawing, keys: &str) -> io::Result<()> {
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
        write!(out, "{}", cut_end(&format!("{keys}{scroll}"), columns))?;
        out.flush()
    }

    /// Moves the rows at the next drawing.
    pub(super) fn scroll(&mut self, lines: isize) {
        self.first = self.first.saturating_add_signed(lines);
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

/// Lines by which a page key moves.
fn page() -> isize {
    isize::try_from(dimensions().1 / 2).unwrap_or(1)
}

/// What a key means to a screen that only scrolls.
fn input(event: Event) -> Option<Input> {
    Some(match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Input::Quit,
            // In raw mode Ctrl-C is a key like any other.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Input::Quit,
            KeyCode::Down | KeyCode::Char('j') => Input::Scroll(1),
            KeyCode::Up | KeyCode::Char('k') => Input::Scroll(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => Input::Scroll(page()),
            KeyCode::PageUp => Input::Scroll(-page()),
            KeyCode::Home | KeyCode::Char('g') => Input::Scroll(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => Input::Scroll(isize::MAX),
            _ => return None,
        },
        Event::Resize(..) => Input::Redraw,
        _ => return None,
    })
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
            let mut screen = Screen::enter().expect("a screen");
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
        // Ends with an error when nobody holds the other side.
        let _ = master.read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written);
        let place = |text| written.rfind(text);
        assert!(
            place("\u{1b}[?1049h").is_some() && place("q quit").is_some(),
            "{written}"
        );
        assert!(place("\u{1b}[?1049l") > place("\u{1b}[?1049h"), "{written}");
        assert!(place("\u{1b}[?25h") > place("\u{1b}[?25l"), "{written}");
        // What happened is told on the screen that stays.
        assert!(
            written.find("on purpose") > written.find("\u{1b}[?1049l"),
            "{written}"
        );
    }
}
