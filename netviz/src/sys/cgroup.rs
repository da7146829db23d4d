//! Sockets of another cgroup (version 2). Programs at a cgroup, such as Cilium's, change the address
//! to which its sockets connect. A socket belongs to the cgroup of the process that makes it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    net::IpAddr,
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    path::PathBuf,
};

use aya_obj::generated::bpf_attach_type;
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        socket::{AddressFamily, SockProtocol, SockType},
        wait::waitpid,
    },
    unistd::{Pid, pipe2},
};

use super::{bpf, mountinfo};

/// A cgroup, open to move processes into it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    directory: File,
    processes: File,
}

impl Cgroup {
    /// Opens the cgroup of a process.
    ///
    /// # Errors
    /// When it is not visible from here, or cannot be entered.
    pub(crate) fn of_process(pid: i32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or_else(|| io::Error::other("no cgroup of version 2"))?;
        if path.starts_with("..") {
            return Err(io::Error::other(
                "it is outside of netviz's cgroup namespace; run netviz in the host's",
            ));
        }
        let root = mountinfo::cgroups()?;
        let root = root.ok_or_else(|| io::Error::other("no cgroup2 file system is mounted"))?;
        Self::open(&root.join(path))
    }

    fn open(path: &PathBuf) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let processes = OpenOptions::new()
            .write(true)
            .open(path.join("cgroup.procs"));
        Ok(Self {
            directory: File::open(path).map_err(named)?,
            processes: processes.map_err(named)?,
        })
    }

    /// Whether programs run when a socket of this cgroup connects to an address of the family of `to`.
    ///
    /// # Errors
    /// The kernel's errno.
    pub(crate) fn has_connect_programs(&self, to: IpAddr) -> io::Result<bool> {
        let hook = match to {
            IpAddr::V4(_) => bpf_attach_type::BPF_CGROUP_INET4_CONNECT,
            IpAddr::V6(_) => bpf_attach_type::BPF_CGROUP_INET6_CONNECT,
        };
        Ok(bpf::effective(self.directory.as_fd(), hook)? > 0)
    }

    /// Opens a socket of this cgroup, in the network namespace of the calling thread. A child process that
    /// shares netviz's descriptors enters the cgroup, opens the socket and ends: only the socket stays in the
    /// cgroup.
    ///
    /// # Errors
    /// When the cgroup cannot be entered, or there is no socket.
    pub(crate) fn socket(
        &self,
        family: AddressFamily,
        kind: SockType,
        protocol: SockProtocol,
    ) -> io::Result<OwnedFd> {
        let (report, reporter) = pipe2(OFlag::O_CLOEXEC)?;
        let arguments = [
            family as i32,
            kind as i32 | libc::SOCK_CLOEXEC,
            protocol as i32,
        ];
        let flags = libc::CLONE_FILES | libc::SIGCHLD;
        // SAFETY: as fork(2), with the table of descriptors shared. The child only makes system calls,
        // takes no lock, allocates nothing and never returns.
        let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        if child == 0 {
            make(self.processes.as_raw_fd(), arguments, reporter.as_raw_fd());
        }
        let child = i32::try_from(child).map_err(io::Error::other)?;
        let child = Errno::result(child)?;
        while waitpid(Pid::from_raw(child), None) == Err(Errno::EINTR) {}
        drop(reporter);
        let mut result = [0; 4];
        File::from(report).read_exact(&mut result)?;
        match i32::from_ne_bytes(result) {
            // SAFETY: the child made this descriptor in the shared table and does not own it any more.
            fd if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            errno => Err(io::Error::from_raw_os_error(-errno)),
        }
    }
}

/// The child: reports the descriptor, or an errno below zero.
fn make(processes: i32, [family, kind, protocol]: [i32; 3], reporter: i32) -> ! {
    // SAFETY: system calls with constants, numbers and a buffer of this process.
    unsafe {
        let entered = libc::write(processes, c"0".as_ptr().cast(), 1);
        let mut result = match entered {
            1 => libc::socket(family, kind, protocol),
            _ => -1,
        };
        if result < 0 {
            result = -Errno::last_raw();
        }
        libc::write(reporter, (&raw const result).cast(), size_of_val(&result));
        libc::_exit(0)
    }
}
