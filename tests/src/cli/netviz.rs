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

/// Time limit of a program.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time limit of a program on an emulated processor.
const PATIENCE_EMULATED: Duration = Duration::from_secs(400);

/// A running program that is killed on drop or at a time limit, with all its children: a test
/// fails, but does not hang and leaves nothing behind.
#[derive(Debug)]
pub struct Running {
    /// The program, leader of its process group.
    pub child: Child,
    _over: mpsc::Sender<()>,
}

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let group = Pid::from_raw(child.id().cast_signed());
        let (over, ended) = mpsc::channel::<()>();
        let extended = if is_emulated() {
            PATIENCE_EMULATED
        } else {
            PATIENCE
        };
        thread::spawn(move || {
            if ended.recv_timeout(extended) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        Self { child, _over: over }
    }

    /// Sends a signal to the program, not to its children.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).expect("the program runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its children may still run.
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        let _ = self.child.wait();
    }
}

/// Returns the binary beside the test programs.
///
/// # Panics
/// If it does not exist, or is older than its source: a test of an outdated program proves nothing.
#[must_use]
pub fn binary() -> PathBuf {
    // Cargo sets the path. It is not set in a guest or when a test program is run by hand.
    let path = match std::env::var_os("CARGO_BIN_EXE_netviz") {
        Some(_) => assert_cmd::cargo::cargo_bin("netviz"),
        None => crate::cli::binary::netviz().expect("a program beside the tests"),
    };
    let built = path.metadata().and_then(|file| file.modified());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../netviz/src");
    match built {
        Err(error) => panic!("{}: {error}: run cargo build -p netviz", path.display()),
        Ok(built) => assert!(
            newest(&source) <= built,
            "{} is older than its source: run cargo build -p netviz",
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

/// Returns a `netviz` command without the tester's own settings in its environment.
#[must_use]
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .env_remove("NETVIZ_NETNS")
        .env_remove("NETVIZ_LOG")
        .env_remove("KUBECONFIG")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("LC_CTYPE")
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm-256color");
    command
}

/// Returns the nodes of a lab as the argument of `--netns`.
#[must_use]
pub fn nodes(lab: &Lab) -> String {
    let pids: Vec<_> = lab
        .nodes()
        .iter()
        .map(|node| node.pid.to_string())
        .collect();
    pids.join(",")
}

/// Returns a `netviz` command that observes only the nodes of a lab.
#[must_use]
pub fn command_for(lab: &Lab, args: &[&str]) -> Command {
    let mut command = command(args);
    command.env("NETVIZ_NETNS", nodes(lab));
    command
}
