//! Processes that only hold namespaces, and end with their owner.

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sched::{CloneFlags, setns, unshare},
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, chroot, fchdir, fork, pipe2},
};

use super::{netns::NetNs, threads};

mod child;
mod kind;

pub(crate) use kind::{Kind, Mounts};

/// A pipe that only the owner holds. When it closes, however the owner ends, every pause process ends.
#[derive(Debug)]
pub(crate) struct Alive {
    read: OwnedFd,
    _write: OwnedFd,
}

impl Alive {
    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Self {
            read,
            _write: write,
        })
    }
}

/// A running pause process.
#[derive(Debug)]
pub(crate) struct Pause {
    pid: Pid,
}

/// A pause process that has not reported that it is ready.
#[derive(Debug)]
pub(crate) struct Starting {
    pause: Pause,
    ready: File,
}

/// Forks a pause process.
pub(crate) fn start(kind: &Kind, alive: &Alive) -> Result<Starting> {
    let (ready, report) = pipe2(OFlag::O_CLOEXEC).context("making a pipe for a pause process")?;
    // SAFETY: the child only makes system calls, takes no lock, allocates nothing and never returns.
    match unsafe { fork() }.context("forking a pause process: is there a limit on processes?")? {
        ForkResult::Parent { child } => Ok(Starting {
            pause: Pause { pid: child },
            ready: File::from(ready),
        }),
        ForkResult::Child => child::pause(kind, alive.read.as_raw_fd(), report.as_raw_fd()),
    }
}

impl Starting {
    /// Waits until its namespaces are complete.
    pub(crate) fn ready(self) -> Result<Pause> {
        use std::io::Read as _;
        let mut report = [0; 5];
        let mut ready = &self.ready;
        match ready.read_exact(&mut report) {
            Ok(()) if report == [0; 5] => Ok(self.pause),
            Ok(()) => {
                let [step, errno @ ..] = report;
                let error = Errno::from_raw(i32::from_ne_bytes(errno));
                let step = child::STEPS.get(usize::from(step)).unwrap_or(&"starting");
                self.pause.end();
                bail!("{step}: {error} (the lab needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)")
            }
            Err(_) => {
                self.pause.end();
                bail!("a pause process ended before it was ready")
            }
        }
    }
}

impl Pause {
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    pub(crate) fn netns(&self) -> io::Result<NetNs> {
        NetNs::of_process(self.pid())
    }

    /// Its mounts.
    pub(crate) fn mounts(&self) -> io::Result<Mounts> {
        Ok(Mounts {
            namespace: File::open(format!("/proc/{}/ns/mnt", self.pid))?,
            root: File::open(format!("/proc/{}/root", self.pid))?,
        })
    }

    /// Ends the process and waits until it has.
    pub(crate) fn end(self) {
        // Only this process waits for its child, so the id is not reused.
        kill(self.pid, Signal::SIGKILL).ok();
        self.wait();
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(self) {
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

/// Runs `work` on its own thread in another mount namespace.
pub(crate) fn in_mounts<T: Send>(
    mounts: &Mounts,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    threads::alone("enters a mount namespace", || {
        // The thread must not share its root directory with others.
        unshare(CloneFlags::CLONE_FS)?;
        setns(&mounts.namespace, CloneFlags::CLONE_NEWNS)?;
        fchdir(&mounts.root)?;
        chroot(".")?;
        work()
    })?
}
