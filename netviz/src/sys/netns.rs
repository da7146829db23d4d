//! Network namespaces: open them, compare them, run code inside.

use std::{
    fs::{File, OpenOptions},
    io,
    marker::PhantomData,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
};

use super::threads;
pub use crate::model::NetNsId;
use nix::{
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns},
    sys::{
        stat::{Mode, fstat},
        statfs::{FsType, fstatfs},
    },
};

/// `NSFS_MAGIC`: file system type of namespace files.
const NSFS: FsType = FsType(0x6e73_6673);
/// What the threads here are for.
const ENTERS: &str = "enters network namespaces";

/// An open handle on a network namespace.
///
/// It keeps the namespace alive: hold one only for as long as it is used, or pods that are
/// deleted meanwhile stay.
#[derive(Debug)]
pub struct NetNs {
    file: File,
    id: NetNsId,
}

impl NetNs {
    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace of process `pid`; needs `CAP_SYS_PTRACE` for processes of other users.
    pub fn of_process(pid: i32) -> io::Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// A namespace by a path: under `/proc/PID/ns`, `/run/netns` or a bind mount elsewhere.
    ///
    /// # Errors
    /// `InvalidInput` when the file is not a network namespace: `ip netns add` and container
    /// runtimes first make an empty regular file, and where a mount is not propagated it stays one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        Self::of_file(&open(path, flags, Mode::empty())?, path)
    }

    /// The namespace of a file opened with `O_PATH`; an error names it `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn of_file(file: &OwnedFd, path: &Path) -> io::Result<Self> {
        let refused = || {
            let message = format!("{} is not a network namespace", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        };
        // Only namespaces are opened: opening a FIFO blocks, and opening a device may have effects.
        // The path may lead elsewhere by now; the descriptor does not change.
        let id = namespace(file)?.ok_or_else(refused)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(format!("/proc/thread-self/fd/{}", file.as_raw_fd()))?;
        // NS_GET_NSTYPE (Linux 4.11) works on nsfs only.
        // SAFETY: an ioctl without an argument on a descriptor that we own.
        let kind = unsafe { libc::ioctl(file.as_raw_fd(), 0xb703) };
        if kind != libc::CLONE_NEWNET {
            return Err(refused());
        }
        Ok(Self { file, id })
    }

    /// Identity of the namespace.
    #[must_use]
    pub fn id(&self) -> NetNsId {
        self.id
    }

    /// Runs `work` inside the namespace, on its own thread, which ends with it: no thread that
    /// is used for anything else is ever in a foreign namespace. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// That of setns(2), or of the thread that cannot be started.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        threads::alone(ENTERS, || {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })?
    }
}

/// Returns the namespace, of any kind, of a file opened with `O_PATH`; `None` for other files: tools create an empty regular file before they mount a namespace on it.
pub(crate) fn namespace(file: &OwnedFd) -> io::Result<Option<NetNsId>> {
    let is_namespace = fstatfs(file)?.filesystem_type() == NSFS;
    Ok(if is_namespace {
        Some(NetNsId(fstat(file)?.st_ino))
    } else {
        None
    })
}

/// Runs `work` on its own thread, which may enter one namespace after another, and ends with it.
/// Cheaper than one [`NetNs::run`] per namespace.
///
/// # Errors
/// When the thread cannot be started.
pub fn try_tour<T: Send>(work: impl FnOnce(&Tour) -> T + Send) -> io::Result<T> {
    threads::alone(ENTERS, || work(&Tour(PhantomData)))
}

/// As [`try_tour`], for callers that retry anyway: a failure is only logged.
pub fn tour(work: impl FnOnce(&Tour) + Send) {
    if let Err(error) = try_tour(work) {
        log::warn!("{error}; trying again later");
    }
}

/// The right to move the calling thread; it cannot leave that thread.
#[derive(Debug)]
pub struct Tour(PhantomData<*const ()>);

impl Tour {
    /// Moves this thread into another namespace. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// That of setns(2).
    pub fn enter(&self, namespace: &NetNs) -> io::Result<()> {
        Ok(setns(namespace.file.as_fd(), CloneFlags::CLONE_NEWNET)?)
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
