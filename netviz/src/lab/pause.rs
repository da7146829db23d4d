//! Processes that do nothing but hold namespaces, and end when their owner does.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    sched::{CloneFlags, setns, unshare},
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{ForkResult, Pid, fork},
};

use crate::sys::netns::NetNs;

/// Held by the owner alone: when it closes, by whatever end of the owner, every pause process ends.
#[derive(Debug)]
pub(super) struct Alive {
    read: OwnedFd,
    _write: OwnedFd,
}

impl Alive {
    pub(super) fn new() -> io::Result<Self> {
        let (read, write) = pipe()?;
        Ok(Self {
            read,
            _write: write,
        })
    }
}

/// What a pause process is to be; everything that it needs is prepared before the fork.
#[derive(Debug)]
pub(super) enum Kind {
    /// A network namespace, no more: the wire between the nodes.
    Wire,
    /// A node: a mount namespace with an empty `/run`, a hostname.
    Node {
        /// Its name.
        hostname: String,
    },
    /// A pod: in a node's mount namespace, with a hostname.
    Pod {
        /// Its name.
        hostname: String,
        /// The node's mount namespace.
        mounts: File,
        /// Where in it the pod's network namespace is to be found.
        netns: Option<CString>,
    },
}

/// A running pause process.
#[derive(Debug)]
pub(super) struct Pause {
    pid: Pid,
}

/// A pause process that has not said yet that it is ready.
#[derive(Debug)]
pub(super) struct Starting {
    pause: Pause,
    ready: File,
}

/// What the child was doing when it failed, in the order of [`STEPS`].
type Step = u8;

const STEPS: [&str; 8] = [
    "nothing",
    "leaving the owner's session",
    "joining the node's mount namespace",
    "making namespaces",
    "setting the hostname",
    "making its mounts private",
    "mounting an empty /run",
    "binding its network namespace under /run/netns",
];

/// Forks a pause process.
pub(super) fn start(kind: &Kind, alive: &Alive) -> Result<Starting> {
    let (ready, report) = pipe().context("making a pipe for a pause process")?;
    // SAFETY: the child makes system calls alone, no allocation and no lock, and never returns.
    match unsafe { fork() }.context("forking a pause process: is there a limit on processes?")? {
        ForkResult::Parent { child } => Ok(Starting {
            pause: Pause { pid: child },
            ready: File::from(ready),
        }),
        ForkResult::Child => pause(kind, alive.read.as_raw_fd(), report.as_raw_fd()),
    }
}

impl Starting {
    /// Waits until its namespaces are as they should be.
    pub(super) fn ready(self) -> Result<Pause> {
        use std::io::Read as _;
        let mut report = [0; 5];
        let mut ready = &self.ready;
        match ready.read_exact(&mut report) {
            Ok(()) if report == [0; 5] => Ok(self.pause),
            Ok(()) => {
                let [step, errno @ ..] = report;
                let error = Errno::from_raw(i32::from_ne_bytes(errno));
                let step = STEPS.get(usize::from(step)).unwrap_or(&"starting");
                self.pause.end();
                bail!(
                    "{step}: {error} (a laboratory needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)"
                )
            }
            Err(_) => {
                self.pause.end();
                bail!("a pause process ended before it was ready")
            }
        }
    }
}

impl Pause {
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    pub(super) fn netns(&self) -> io::Result<NetNs> {
        NetNs::of_process(self.pid())
    }

    /// Its mount namespace.
    pub(super) fn mounts(&self) -> io::Result<File> {
        File::open(format!("/proc/{}/ns/mnt", self.pid))
    }

    /// Ends the process and waits until it has.
    pub(super) fn end(self) {
        // Our own child, which nobody else waits for: its id cannot be another process's.
        kill(self.pid, Signal::SIGKILL).ok();
        self.wait();
    }

    /// Waits until the process has ended by itself.
    pub(super) fn wait(self) {
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

/// Runs `work` on a thread that stands in another mount namespace and ends with it.
pub(super) fn in_mounts<T: Send>(
    mounts: &File,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    thread::scope(|scope| {
        let handle = scope.spawn(|| {
            // A thread that shares its root with others may not change it.
            unshare(CloneFlags::CLONE_FS)?;
            setns(mounts, CloneFlags::CLONE_NEWNS)?;
            work()
        });
        handle
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, owned by nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// The child's life. Only async-signal-safe calls: another thread may have held any lock when
/// this process was forked.
fn pause(kind: &Kind, alive: RawFd, report: RawFd) -> ! {
    let mut message = [0; 5];
    let entered = enter(kind);
    if let Err(step) = entered {
        message[0] = step;
        message[1..].copy_from_slice(&Errno::last_raw().to_ne_bytes());
    }
    // SAFETY: system calls on descriptors and buffers of our own; nothing of the owner's stays
    // open, so that it never waits for us.
    unsafe {
        libc::write(report, message.as_ptr().cast(), message.len());
        if entered.is_err() {
            libc::_exit(1);
        }
        libc::dup2(alive, 0);
        libc::syscall(libc::SYS_close_range, 1, u32::MAX, 0);
        let mut byte = 0_u8;
        loop {
            let got = libc::read(0, (&raw mut byte).cast(), 1);
            if got == 0 || (got < 0 && Errno::last_raw() != libc::EINTR) {
                libc::_exit(0);
            }
        }
    }
}

fn enter(kind: &Kind) -> Result<(), Step> {
    let uts = libc::CLONE_NEWUTS | libc::CLONE_NEWNET;
    // SAFETY: system calls with constant strings, or with strings and descriptors that the owner
    // prepared and that this process has a copy of.
    unsafe {
        // Ctrl-C at the owner's terminal is the owner's business.
        check(1, libc::setsid())?;
        libc::prctl(libc::PR_SET_NAME, c"netviz-lab".as_ptr());
        match kind {
            Kind::Wire => check(3, libc::unshare(libc::CLONE_NEWNET)),
            Kind::Node { hostname } => {
                check(3, libc::unshare(uts | libc::CLONE_NEWNS))?;
                check(
                    4,
                    libc::sethostname(hostname.as_ptr().cast(), hostname.len()),
                )?;
                own_run()
            }
            Kind::Pod {
                hostname,
                mounts,
                netns,
            } => {
                check(2, libc::setns(mounts.as_raw_fd(), libc::CLONE_NEWNS))?;
                check(3, libc::unshare(uts))?;
                check(
                    4,
                    libc::sethostname(hostname.as_ptr().cast(), hostname.len()),
                )?;
                netns.as_ref().map_or(Ok(()), |path| bind(path))
            }
        }
    }
}

/// An empty `/run` that nobody else sees.
///
/// # Safety
/// In a forked child with a mount namespace of its own.
unsafe fn own_run() -> Result<(), Step> {
    let none = std::ptr::null();
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let tmpfs = c"tmpfs".as_ptr();
    // SAFETY: constant strings.
    unsafe {
        check(
            5,
            libc::mount(none, c"/".as_ptr(), none, flags, none.cast()),
        )?;
        // Where there is none, in an empty root, it stays as an empty directory.
        libc::mkdir(c"/run".as_ptr(), 0o755);
        let mode = c"mode=755".as_ptr().cast();
        check(6, libc::mount(tmpfs, c"/run".as_ptr(), tmpfs, 0, mode))?;
        check(6, libc::mkdir(c"/run/netns".as_ptr(), 0o755))
    }
}

/// # Safety
/// In a forked child in a node's mount namespace.
unsafe fn bind(path: &CString) -> Result<(), Step> {
    let none = std::ptr::null();
    let own = c"/proc/self/ns/net".as_ptr();
    // SAFETY: the strings live in this process.
    unsafe {
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDONLY | libc::O_CLOEXEC;
        check(7, libc::open(path.as_ptr(), flags, 0o444))?;
        check(
            7,
            libc::mount(own, path.as_ptr(), none, libc::MS_BIND, none.cast()),
        )
    }
}

fn check(step: Step, result: i32) -> Result<(), Step> {
    if result < 0 { Err(step) } else { Ok(()) }
}
