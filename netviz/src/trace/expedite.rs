//! `/sys/kernel/rcu_expedited`: has the kernel end RCU grace periods at once.
//!
//! 200 tcx links attach in 0.02 ms each with it, and in 8.5 ms each without. It is a switch of the
//! whole machine, so it is on only while there is much to attach, and a second process, which
//! outlives even a SIGKILL of this one, puts it back.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::{SigHandler, Signal, signal};

use super::TraceError;

const SWITCH: &str = "/sys/kernel/rcu_expedited";
/// Longer than others are in a hurry, …
const PATIENCE: Duration = Duration::from_secs(5);
/// … and how often it is seen whether they still are.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Hidden command of netviz under which the guard runs.
pub const GUARD_COMMAND: &str = "internal-rcu-guard";

/// The switch, and its guard.
#[derive(Debug)]
pub(crate) struct Expedite {
    guard: Child,
    on: bool,
    /// What was there before, while the guard has it to put back and may die before it does.
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
        let mut expedite = Self {
            guard,
            on: false,
            before: None,
        };
        expedite.answer().map_err(error)?;
        Ok(expedite)
    }

    /// Turns it on or back; returns once the kernel has it.
    pub(crate) fn set(&mut self, on: bool) {
        if self.on == on {
            return;
        }
        if on {
            // Off, it was nobody's: that is what is put back should the guard die before it answers.
            let was = fs::read(SWITCH).unwrap_or_default();
            self.before = (was.trim_ascii() == b"0").then_some(b'0');
        }
        let message: &[u8] = if on { b"1" } else { b"0" };
        let sent = self
            .guard
            .stdin
            .as_mut()
            .is_some_and(|pipe| pipe.write_all(message).is_ok());
        match sent.then(|| self.answer()) {
            Some(Ok(answer)) => {
                self.on = on;
                self.before = Some(answer).filter(|_| on).filter(u8::is_ascii_digit);
            }
            _ => {
                log::warn!("the guard of {SWITCH} does not answer: attaching goes on without it");
                self.put_back();
            }
        }
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

    /// Does what a guard that has died can do no more.
    fn put_back(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        self.on = false;
        if let Err(error) = write_back(before) {
            let before = char::from(before);
            log::warn!(
                "cannot put back {SWITCH}, whose guard has died: {error}; echo {before} > {SWITCH}"
            );
        }
    }
}

/// Another guard that holds the switch by now took what the dead one has set for what was there, and
/// sets that again: it is waited for.
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

/// The guard: sets the switch as standard input says, and puts back what was there at the end of
/// the input, which comes at the latest with the death of the other process. Signals that are meant
/// for all of a service or of a terminal are no end to it.
///
/// # Errors
/// When the switch cannot be read or written.
pub fn guard() -> io::Result<()> {
    for meant_for_all in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: no handler is set, the kernel drops them.
        unsafe { signal(meant_for_all, SigHandler::SigIgn) }?;
    }
    let mut switch = Switch {
        file: fs::OpenOptions::new().read(true).write(true).open(SWITCH)?,
        before: None,
    };
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    output.write_all(b"r").and_then(|()| output.flush())?;
    let mut byte = [0];
    while input.read(&mut byte)? == 1 {
        let answer = match byte[0] {
            b'1' => switch.turn_on()?,
            _ => switch.put_back().map(|()| DONE)?,
        };
        // A netviz that was killed does not read the answer.
        let _ = output.write_all(&[answer]).and_then(|()| output.flush());
    }
    switch.put_back()
}

/// The guard's answer where there is nothing to be known.
const DONE: u8 = b'd';

/// Held by one guard at a time: another one would take what this one has set for what was there.
struct Switch {
    file: fs::File,
    before: Option<Vec<u8>>,
}

impl Switch {
    /// Where another guard holds it, it is on already. The answer is what this one has to put back.
    fn turn_on(&mut self) -> io::Result<u8> {
        if self.before.is_none() && self.file.try_lock().is_ok() {
            self.before = Some(fs::read(SWITCH)?);
            fs::write(SWITCH, b"1")?;
        }
        Ok(match self.before.as_deref().map(<[u8]>::trim_ascii) {
            Some([digit]) => *digit,
            _ => DONE,
        })
    }

    fn put_back(&mut self) -> io::Result<()> {
        if let Some(before) = self.before.take() {
            fs::write(SWITCH, before)?;
            self.file.unlock()?;
        }
        Ok(())
    }
}
