//! Network namespaces: opening, telling apart, running code inside.

use std::{
    fs::File,
    io,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    thread,
};

pub use crate::model::NetNsId;
use nix::sched::{CloneFlags, setns};

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
        use std::os::unix::fs::MetadataExt as _;
        let file = File::open(path)?;
        // NS_GET_NSTYPE (Linux 4.11) answers on nsfs alone.
        // SAFETY: an ioctl without an argument on a descriptor that we own.
        let kind = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&file), 0xb703) };
        if kind != libc::CLONE_NEWNET {
            let message = format!("{} is not a network namespace", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let id = NetNsId(file.metadata()?.ino());
        Ok(Self { file, id })
    }

    /// Identity of the namespace.
    #[must_use]
    pub fn id(&self) -> NetNsId {
        self.id
    }

    /// Runs `work` inside the namespace, on a thread of its own that ends with it: no thread that
    /// is used for anything else is ever in a foreign namespace. Needs `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// That of setns(2).
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let handle = scope.spawn(|| {
                setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Runs `work` on a thread of its own, which may go from namespace to namespace, and ends with it.
/// Cheaper than [`NetNs::run`] for each where many are looked at.
pub fn tour<T: Send>(work: impl FnOnce(&Tour) -> T + Send) -> T {
    thread::scope(|scope| {
        let handle = scope.spawn(|| work(&Tour(PhantomData)));
        handle
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
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
