//! The real binary.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};

use netviz::lab::Lab;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::cli::fault_table::is_emulated;

/// No test waits longer for a program, ...
const PATIENCE: Duration = Duration::from_secs(120);
/// ... but for one on an emulated processor.
const PATIENCE_EMULATED: Duration = Duration::from_secs(400);

/// A running program that ends with this value, and after a while in any case, together with all
/// that it has started: a test fails, it does not hang, and it leaves nothing behind.
#[derive(Debug)]
pub struct Running {
    /// The program, the leader of a process group of its own.
    pub child: Child,
    _over: mpsc::Sender<()>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let group = Pid::from_raw(child.id().cast_signed());
        let (over, ended) = mpsc::channel::<()>();
        let patience = if is_emulated() {
            PATIENCE_EMULATED
        } else {
            PATIENCE
        };
        thread::spawn(move || {
            if ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        Self { child, _over: over }
    }

    /// Sends a signal to the program alone.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).expect("the program runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it has started may still be there.
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

/// The binary beside the test programs.
///
/// # Panics
/// When it is not there, or older than its source: a test of yesterday's program says nothing.
#[must_use]
pub fn binary() -> PathBuf {
    // Cargo says where it is; in a guest, or where a test program is run by itself, nobody does.
    let path = match std::env::var_os("CARGO_BIN_EXE_netviz") {
        Some(_) => assert_cmd::cargo::cargo_bin("netviz"),
        None => crate::cli::binary::netviz().expect("a program beside the tests"),
    };
    let built = path.metadata().and_then(|file| file.modified());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netviz/src");
    match built {
        Err(error) => panic!("{}: {error}; first: cargo build -p netviz", path.display()),
        Ok(built) => assert!(
            newest(&source) <= built,
            "{} is older than its source; first: cargo build -p netviz",
            path.display()
        ),
    }
    path
}

fn newest(directory: &Path) -> SystemTime {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let times = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => newest(&entry.path()),
        _ => entry
            .metadata()
            .and_then(|file| file.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `netviz` with an environment in which nothing of the tester's own is said to it.
#[must_use]
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(words)
        .env_remove("NETVIZ_NETNS")
        .env_remove("NETVIZ_LOG")
        .env_remove("KUBECONFIG")
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color");
    command
}

/// The nodes of a laboratory as `--netns` takes them.
#[must_use]
pub fn nodes(lab: &Lab) -> String {
    let pids: Vec<_> = lab
        .nodes()
        .iter()
        .map(|node| node.pid.to_string())
        .collect();
    pids.join(",")
}

/// `netviz` that sees the nodes of a laboratory alone.
#[must_use]
pub fn looking_at(lab: &Lab, words: &[&str]) -> Command {
    let mut command = command(words);
    command.env("NETVIZ_NETNS", nodes(lab));
    command
}
