//! The code of a pause process. It makes async-signal-safe calls only: another thread may have held
//! any lock at the time of the fork.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsRawFd as _, RawFd},
};

use nix::errno::Errno;

use super::kind::Kind;

/// The descriptors that a pause process has: the pipe that ends with its owner, the one that it
/// reports to, and for a pod its node's mount namespace with the root in it.
const ALIVE: RawFd = 0;
const REPORT: RawFd = 1;
const MOUNTS: RawFd = 2;
const ROOT: RawFd = 3;

/// The step at which the child failed, an index of [`STEPS`].
pub(super) type Step = u8;

pub(super) const STEPS: [&str; 9] = [
    "nothing",
    "leaving the owner's session",
    "joining the node's mount namespace",
    "making namespaces",
    "setting the hostname",
    "making its mounts private",
    "mounting an empty /run",
    "binding its network namespace under /run/netns",
    "mounting an empty /var",
];

/// Runs until the owner ends.
pub(super) fn pause(kind: &Kind, alive: RawFd, report: RawFd) -> ! {
    let (mounts, root) = match kind {
        Kind::Pod { mounts, .. } => (mounts.namespace.as_raw_fd(), mounts.root.as_raw_fd()),
        _ => (alive, alive),
    };
    let mut message = [0; 5];
    // SAFETY: system calls on descriptors and buffers of this process. No descriptor of the owner stays
    // open: another lab of the owner may be ending, and waits until all copies of its descriptors are
    // closed.
    unsafe {
        // Duplicate them to high numbers first: each may be one of the target numbers.
        let high = [alive, report, mounts, root].map(|fd| libc::fcntl(fd, libc::F_DUPFD, 16));
        for (wanted, fd) in [ALIVE, REPORT, MOUNTS, ROOT].into_iter().zip(high) {
            libc::dup2(fd, wanted);
        }
        libc::syscall(libc::SYS_close_range, ROOT + 1, u32::MAX, 0);
    }
    let entered = enter(kind);
    if let Err(step) = entered {
        message[0] = step;
        message[1..].copy_from_slice(&Errno::last_raw().to_ne_bytes());
    }
    // SAFETY: as above.
    unsafe {
        libc::write(REPORT, message.as_ptr().cast(), message.len());
        if entered.is_err() {
            libc::_exit(1);
        }
        libc::syscall(libc::SYS_close_range, REPORT, u32::MAX, 0);
        let mut byte = 0_u8;
        loop {
            let got = libc::read(ALIVE, (&raw mut byte).cast(), 1);
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
        // Only the owner handles Ctrl-C at its terminal.
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
                own_directories()
            }
            Kind::Pod {
                hostname, netns, ..
            } => {
                check(2, libc::setns(MOUNTS, libc::CLONE_NEWNS))?;
                check(2, libc::fchdir(ROOT))?;
                check(2, libc::chroot(c".".as_ptr()))?;
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

/// Mounts an empty, private `/run` and `/var`.
///
/// # Safety
/// In a forked child with its own mount namespace.
unsafe fn own_directories() -> Result<(), Step> {
    let none = std::ptr::null();
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: constant strings.
    unsafe {
        check(
            5,
            libc::mount(none, c"/".as_ptr(), none, flags, none.cast()),
        )?;
        own_directory(6, c"/run")?;
        check(6, libc::mkdir(c"/run/netns".as_ptr(), 0o755))?;
        own_directory(8, c"/var")
    }
}

/// # Safety
/// As [`own_directories`].
unsafe fn own_directory(step: Step, path: &CStr) -> Result<(), Step> {
    let tmpfs = c"tmpfs".as_ptr();
    let mode = c"mode=755".as_ptr().cast();
    // SAFETY: the strings live in this process.
    unsafe {
        // In an empty root, the directory stays.
        libc::mkdir(path.as_ptr(), 0o755);
        check(step, libc::mount(tmpfs, path.as_ptr(), tmpfs, 0, mode))
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
