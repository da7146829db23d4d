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
        let rows = rows.max(2);
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
pub(super) fn width() -> usize {
    dimensions().0
}

/// Columns and rows. Serial consoles and fresh pseudo terminals say 0, which means not known.
fn dimensions() -> (usize, usize) {
    let (columns, rows) = size().unwrap_or_default();
    let or = |value: u16, usual| match value {
        0 => usual,
        value => usize::from(value),
    };
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
    const THIS_TEST: &str = "app::terminal::tests::a_panic_gives_the_terminal_back";

    /// Runs itself once more, on a terminal, and panics there.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(ON_A_SCREEN).is_some() {
            let screen = Screen::enter().expect("a screen");
            screen.draw("doors", "q quit").expect("a drawing");
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
