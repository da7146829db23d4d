//! `/sys/kernel/rcu_expedited`: has the kernel end RCU grace periods at once.
//!
//! 200 tcx links attach in 0.02 ms each with it, and in 8.5 ms each without. It is a switch of the
//! whole machine, so it is on only while there is much to attach, and a second process, which
//! outlives even a SIGKILL of this one, puts it back.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use super::TraceError;

const SWITCH: &str = "/sys/kernel/rcu_expedited";
/// Hidden command of netviz under which the guard runs.
pub const GUARD_COMMAND: &str = "internal-rcu-guard";

/// The switch, and its guard.
#[derive(Debug)]
pub(crate) struct Expedite {
    guard: Child,
    on: bool,
}

impl Expedite {
    /// Starts the guard; the switch is not touched yet.
    pub(crate) fn new() -> Result<Self, TraceError> {
        use std::os::unix::process::CommandExt as _;
        let error = |source| TraceError::Expedite {
            path: SWITCH,
            source,
        };
        // Refused now rather than half-way.
        fs::OpenOptions::new()
            .write(true)
            .open(SWITCH)
            .map_err(error)?;
        let guard = Command::new("/proc/self/exe")
            .arg(GUARD_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal is for netviz, not for its guard.
            .process_group(0)
            .spawn()
            .map_err(error)?;
        let mut expedite = Self { guard, on: false };
        expedite.answer().map_err(error)?;
        Ok(expedite)
    }

    /// Turns it on or back; returns once the kernel has it.
    pub(crate) fn set(&mut self, on: bool) {
        if self.on == on {
            return;
        }
        let message: &[u8] = if on { b"1" } else { b"0" };
        let sent = self
            .guard
            .stdin
            .as_mut()
            .is_some_and(|pipe| pipe.write_all(message).is_ok());
        match sent.then(|| self.answer()) {
            Some(Ok(())) => self.on = on,
            _ => log::warn!("the guard of {SWITCH} does not answer: attaching goes on without it"),
        }
    }

    fn answer(&mut self) -> io::Result<()> {
        let pipe = self
            .guard
            .stdout
            .as_mut()
            .ok_or(io::ErrorKind::BrokenPipe)?;
        pipe.read_exact(&mut [0])
    }
}

impl Drop for Expedite {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The guard: sets the switch as standard input says, and puts back what was there at the end of
/// the input, which comes at the latest with the death of the other process.
///
/// # Errors
/// When the switch cannot be read or written.
pub fn guard() -> io::Result<()> {
    let mut switch = Switch {
        file: fs::OpenOptions::new().read(true).write(true).open(SWITCH)?,
        before: None,
    };
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    output.write_all(b"r").and_then(|()| output.flush())?;
    let mut byte = [0];
    while input.read(&mut byte)? == 1 {
        match byte[0] {
            b'1' => switch.turn_on()?,
            _ => switch.put_back()?,
        }
        // A netviz that was killed does not read the answer.
        let _ = output.write_all(b"d").and_then(|()| output.flush());
    }
    switch.put_back()
}

/// Held by one guard at a time: another one would take what this one has set for what was there.
struct Switch {
    file: fs::File,
    before: Option<Vec<u8>>,
}

impl Switch {
    /// Where another guard holds it, it is on already.
    fn turn_on(&mut self) -> io::Result<()> {
        if self.before.is_none() && self.file.try_lock().is_ok() {
            self.before = Some(fs::read(SWITCH)?);
            fs::write(SWITCH, b"1")?;
        }
        Ok(())
    }

    fn put_back(&mut self) -> io::Result<()> {
        if let Some(before) = self.before.take() {
            fs::write(SWITCH, before)?;
            self.file.unlock()?;
        }
        Ok(())
    }
}
