//! `/sys/kernel/rcu_expedited`: has the kernel end RCU grace periods at once.
//!
//! 200 tcx links attach in 0.02 ms each with it, and in 8.5 ms each without. It affects the whole
//! machine, so it is on only while there is much to attach, and a second process, which outlives even
//! a SIGKILL of this one, restores it.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{attach::TraceError, sys::signals};

const SWITCH: &str = "/sys/kernel/rcu_expedited";
/// Longer than another netviz holds the switch, …
const PATIENCE: Duration = Duration::from_secs(5);
/// … and how often netviz checks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Hidden command of netviz under which the guard runs.
pub const GUARD_COMMAND: &str = "internal-rcu-guard";

/// The switch, and its guard.
#[derive(Debug)]
pub(crate) struct Expedite {
    guard: Child,
    on: bool,
    /// The previous value, while the guard has to restore it and may die before.
    before: Option<u8>,
}

impl Expedite {
    /// Starts the guard; the switch is not touched yet.
    pub(crate) fn new() -> Result<Self, TraceError> {
        use std::os::unix::process::CommandExt as _;
        let error = |source| TraceError::Expedite {
            path: SWITCH,
            source,
        };
        // Fails now rather than half-way.
        fs::OpenOptions::new()
            .write(true)
            .open(SWITCH)
            .map_err(error)?;
        let guard = Command::new("/proc/self/exe")
            .arg(GUARD_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is for netviz, not for its guard.
            .process_group(0)
            .spawn()
            .map_err(error)?;
        let mut expedite = Self {
            guard,
            on: false,
            before: None,
        };
        expedite.answer().map_err(error)?;
        Ok(expedite)
    }

    /// Turns it on, or restores it; returns once that is done.
    pub(crate) fn set(&mut self, on: bool) {
        // A guard without an input was given up.
        if self.on == on || self.guard.stdin.is_none() {
            return;
        }
        if self.ask(on).is_err() {
            log::warn!("the guard of {SWITCH} does not answer: attaching goes on without it");
            drop(self.guard.stdin.take());
            self.put_back();
        }
    }

    fn ask(&mut self, on: bool) -> io::Result<()> {
        let pipe = self.guard.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.write_all(if on { b"1" } else { b"0" })?;
        if on {
            self.before = Some(self.answer()?).filter(u8::is_ascii_digit);
        }
        self.answer()?;
        self.on = on;
        if !on {
            self.before = None;
        }
        Ok(())
    }

    fn answer(&mut self) -> io::Result<u8> {
        let pipe = self
            .guard
            .stdout
            .as_mut()
            .ok_or(io::ErrorKind::BrokenPipe)?;
        let mut byte = [0];
        pipe.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Restores the switch for a guard that has died.
    fn put_back(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        if let Err(error) = write_back(before) {
            let before = char::from(before);
            log::warn!(
                "cannot put back {SWITCH}, whose guard has died: {error}; echo {before} > {SWITCH}"
            );
        }
    }
}

/// Waits for another guard that holds the switch: it saved the dead one's value as the previous one, and
/// restores that.
fn write_back(before: u8) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(SWITCH)?;
    let until = Instant::now() + PATIENCE;
    while let Err(error) = file.try_lock() {
        if Instant::now() > until {
            return Err(error.into());
        }
        thread::sleep(LOOK_AGAIN);
    }
    fs::write(SWITCH, [before])
}

impl Drop for Expedite {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if !self.guard.wait().is_ok_and(|status| status.success()) {
            self.put_back();
        }
    }
}

/// The guard: sets the switch as standard input requests, and restores the previous value at the end of
/// the input, which comes at the latest with the death of the other process. Signals to a whole service
/// or terminal do not end it.
///
/// # Errors
/// When the switch cannot be read or written.
pub fn guard() -> io::Result<()> {
    signals::ignore()?;
    let mut switch = Switch {
        file: fs::OpenOptions::new().read(true).write(true).open(SWITCH)?,
        before: None,
    };
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    output.write_all(b"r").and_then(|()| output.flush())?;
    let mut byte = [0];
    // A killed netviz does not read the answers.
    let mut reply = |answer| {
        let _ = output.write_all(&[answer]).and_then(|()| output.flush());
    };
    while input.read(&mut byte)? == 1 {
        if byte[0] == b'1' {
            // Reported first, so that netviz can restore it if this guard is killed with the switch on.
            reply(switch.take()?);
            switch.turn_on()?;
        } else {
            switch.put_back()?;
        }
        reply(DONE);
    }
    switch.put_back()
}

/// The guard's answer without a value.
const DONE: u8 = b'd';

/// Held by one guard at a time: another one would take this one's value for the previous one.
struct Switch {
    file: fs::File,
    before: Option<Vec<u8>>,
}

impl Switch {
    /// The value that this one has to restore from now on; [`DONE`] where another guard holds the switch,
    /// which is on already.
    fn take(&mut self) -> io::Result<u8> {
        if self.before.is_none() && self.file.try_lock().is_ok() {
            self.before = Some(fs::read(SWITCH)?);
        }
        Ok(match self.before.as_deref().map(<[u8]>::trim_ascii) {
            Some([digit]) => *digit,
            _ => DONE,
        })
    }

    fn turn_on(&self) -> io::Result<()> {
        if self.before.is_none() {
            return Ok(());
        }
        fs::write(SWITCH, b"1")
    }

    fn put_back(&mut self) -> io::Result<()> {
        if let Some(before) = self.before.take() {
            fs::write(SWITCH, before)?;
            self.file.unlock()?;
        }
        Ok(())
    }
}
