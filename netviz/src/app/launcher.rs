//! Runs netviz's own commands for the live screen and the server.

use std::{
    io::{self, BufRead as _, BufReader, pipe},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use caps::Capability;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::sys::{privileges, threads};

/// What a command needs besides netviz's own privileges: `verify` sends probes and names the
/// functions of the kernel that drop them.
const MORE: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_SYSLOG];

/// What netviz's commands need.
pub(super) fn privileges() -> Vec<Capability> {
    let own = privileges::REQUIRED.map(|(capability, _)| capability);
    [&own[..], &MORE].concat()
}

/// Runs one command at a time, on a thread with the privileges that the screen's thread gives up.
/// Dropping it ends the command.
#[derive(Debug)]
pub(super) struct Launcher {
    jobs: mpsc::Sender<(u64, Vec<String>)>,
    output: UnboundedReceiver<(u64, Output)>,
    current: Arc<Mutex<Current>>,
}

/// What a command does.
#[derive(Clone, Debug)]
pub(super) enum Output {
    /// It printed a line.
    Line(String),
    /// It ended: `exit code 1`.
    Ended(String),
}

/// The command that is wanted, and its process while it runs.
#[derive(Debug, Default)]
struct Current {
    number: u64,
    process: Option<Pid>,
}

impl Launcher {
    /// Starts the thread; to be called with all privileges.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<(u64, Vec<String>)>();
        let (sender, output) = unbounded_channel();
        let current = Arc::<Mutex<Current>>::default();
        let shared = Arc::clone(&current);
        threads::start("netviz-launcher", "runs commands", move || {
            privileges::keep_only(&self::privileges());
            while let Ok((number, arguments)) = waiting.recv() {
                let ended = run(number, &arguments, &shared, &sender);
                let how = ended.unwrap_or_else(|error| Some(format!("cannot run it: {error}")));
                if how.is_some_and(|how| sender.send((number, Output::Ended(how))).is_err()) {
                    return;
                }
            }
        })?;
        Ok(Self {
            jobs,
            output,
            current,
        })
    }

    /// Runs netviz with these arguments, in place of the command that runs.
    pub(super) fn run(&self, arguments: &[String]) {
        self.stop();
        let number = lock(&self.current).number;
        // The thread may have ended.
        let _ = self.jobs.send((number, arguments.to_vec()));
    }

    /// Ends the command; it detaches by itself.
    pub(super) fn stop(&self) {
        let mut current = lock(&self.current);
        current.number += 1;
        if let Some(process) = current.process.take() {
            let _ = kill(process, Signal::SIGTERM);
        }
    }

    /// Waits for output of the latest command. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Output> {
        loop {
            let (number, output) = self.output.recv().await?;
            if number == lock(&self.current).number {
                return Some(output);
            }
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command unless it is no longer wanted; returns how it ended.
fn run(
    number: u64,
    arguments: &[String],
    shared: &Mutex<Current>,
    output: &UnboundedSender<(u64, Output)>,
) -> io::Result<Option<String>> {
    let (lines, writer) = pipe()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = {
        let mut current = lock(shared);
        if current.number != number {
            return Ok(None);
        }
        let child = command.spawn()?;
        current.process = Some(Pid::from_raw(child.id().cast_signed()));
        child
    };
    // It holds the writing end of the pipe.
    drop(command);
    for line in BufReader::new(lines).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        let _ = output.send((number, Output::Line(line)));
    }
    // From here on, its number may become another process's.
    let mut current = lock(shared);
    if current.number == number {
        current.process = None;
    }
    drop(current);
    Ok(Some(ending(child.wait()?)))
}

fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}
