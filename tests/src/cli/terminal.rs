//! A pseudo terminal with a program, and the screen that a user would see.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use nix::{
    pty::{Winsize, openpty},
    sys::termios::{LocalFlags, tcgetattr},
};

use super::wait::until;

/// Follows all output of the program; no terminal displays it (an application program command).
const END: &[u8] = b"\x1b_end\x1b\\";

/// The program, the other side of the terminal, and all output.
#[derive(Debug)]
pub struct Terminal {
    /// The program.
    pub child: Child,
    master: File,
    // Kept open, so that the terminal and its settings outlive the program.
    slave: File,
    output: Arc<Mutex<Output>>,
}

/// The output and its rendering.
struct Output {
    written: Vec<u8>,
    screen: vt100::Parser,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.screen.screen().contents())
    }
}

impl Terminal {
    /// Starts a program on a new terminal.
    ///
    /// # Panics
    /// If there are no pseudo terminals.
    #[must_use]
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).expect("a pseudo terminal");
        let (master, slave) = (File::from(pty.master), File::from(pty.slave));
        for end in [&master, &slave] {
            // SAFETY: sets a flag of an open descriptor.
            unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        let copy = || slave.try_clone().expect("a descriptor");
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let own = || {
            nix::unistd::setsid()?;
            // SAFETY: stdin is the terminal.
            match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: two system calls.
        unsafe { command.pre_exec(own) };
        let child = command.spawn().expect("the program starts");
        let output = Arc::new(Mutex::new(Output {
            written: Vec::new(),
            screen: vt100::Parser::new(rows, columns, 0),
        }));
        let (mut reader, written) = (master.try_clone().expect("a descriptor"), output.clone());
        // Ends with the terminal.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let mut output = written.lock().unwrap_or_else(PoisonError::into_inner);
                output.written.extend_from_slice(&buffer[..length]);
                output.screen.process(&buffer[..length]);
            }
        });
        Self {
            child,
            master,
            slave,
            output,
        }
    }

    /// Returns the output so far.
    #[must_use]
    pub fn written(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output.written).into_owned()
    }

    /// Returns the length of the output so far, in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.written.len()
    }

    /// Returns the current screen, line by line.
    #[must_use]
    pub fn screen(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.screen.screen().contents()
    }

    /// Waits until the screen satisfies `wanted`, and returns the time that took.
    pub fn wait_for_screen(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Duration {
        let look = || match self.screen() {
            screen if wanted(&screen) => Ok(()),
            screen => Err(format!("\n{screen}")),
        };
        until(what, limit, look).1
    }

    /// Resizes the terminal, as a user does who drags its window.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.screen.screen_mut().set_size(rows, columns);
        // SAFETY: the descriptor is open, and the structure outlives the call.
        let done =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits until `text` has been written, and returns the time that took.
    pub fn wait_for_text(&self, text: &str, limit: Duration) -> Duration {
        let look = || match self.written() {
            written if written.contains(text) => Ok(()),
            written => Err(format!("{written:?}")),
        };
        until(text, limit, look).1
    }

    /// Types keys.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn type_keys(&mut self, keys: &str) {
        self.master
            .write_all(keys.as_bytes())
            .expect("cannot write to the terminal");
    }

    /// Waits for the exit of the program and the end of its output.
    pub fn wait_for_exit(&mut self, limit: Duration) -> ExitStatus {
        let child = &mut self.child;
        let look = || child.try_wait().ok().flatten().ok_or("it runs");
        let status = until("the program ends", limit, look).0;
        self.slave.write_all(END).expect("the terminal");
        let read = || {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            let before = output.written.strip_suffix(END).map(<[u8]>::len);
            let before = before.ok_or("there is more to come")?;
            output.written.truncate(before);
            Ok::<(), &str>(())
        };
        until("all output is read", limit, read);
        status
    }

    /// Returns the settings of the terminal that the program has not restored.
    #[must_use]
    pub fn complaints(&self) -> Vec<&'static str> {
        let written = self.written();
        let last = |on: &str, off: &str| written.rfind(on) > written.rfind(off);
        let flags = tcgetattr(&self.slave).map(|settings| settings.local_flags);
        let flags = flags.unwrap_or(LocalFlags::empty());
        let checks = [
            (
                last("\u{1b}[?1049h", "\u{1b}[?1049l"),
                "on the alternate screen",
            ),
            (last("\u{1b}[?25l", "\u{1b}[?25h"), "no cursor"),
            (!flags.contains(LocalFlags::ECHO), "no echo"),
            (!flags.contains(LocalFlags::ICANON), "no lines"),
            (!flags.contains(LocalFlags::ISIG), "no signals"),
        ];
        checks
            .into_iter()
            .filter_map(|(wrong, what)| wrong.then_some(what))
            .collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has usually been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
