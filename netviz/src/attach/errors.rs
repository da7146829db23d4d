//! What an errno of the kernel means here, and the remedy.

use std::io;

use aya::{maps::MapError, programs::ProgramError, sys::SyscallError};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::object::LoadError;
use crate::{
    model::Direction,
    sys::descriptors::{self, RAISE},
};

/// Why a door could not be attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttachError {
    /// The interface was removed while it was being attached, which is normal.
    #[error("the interface is not there any more")]
    Vanished,
    /// netviz was attached and is not any more; in clsact the interface may have been removed as well.
    #[error("somebody removed netviz's programs from this door; end that, and start netviz again")]
    Removed,
    /// Its network namespace could not be opened.
    #[error("cannot open its network namespace: {0}")]
    Open(io::Error),
    /// Its network namespace could not be entered, or there was no thread for it.
    #[error("cannot enter its network namespace: {0}")]
    Enter(io::Error),
    /// The last file descriptors are left to discovery, for which a namespace that cannot be opened
    /// looks like one that is gone.
    #[error(
        "too few files may still be opened, and each door needs three; {}",
        descriptors::RAISE
    )]
    Scarce,
    #[error("cannot load the counting programs: {}", explain_load(.0))]
    Load(#[from] LoadError),
    #[error("cannot attach to {direction}: {}", explain(.source))]
    Attach {
        direction: Direction,
        source: io::Error,
    },
}

impl AttachError {
    /// The kernel's error at a hook.
    pub(super) fn at(direction: Direction, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENODEV) => Self::Vanished,
            _ => Self::Attach { direction, source },
        }
    }
}

pub(super) fn explain_load(error: &LoadError) -> String {
    match error {
        LoadError::Program(
            ProgramError::SyscallError(SyscallError { io_error, .. })
            | ProgramError::LoadError { io_error, .. },
        )
        | LoadError::Map(MapError::CreateError { io_error, .. })
        | LoadError::Object(aya::EbpfError::MapError(MapError::CreateError { io_error, .. })) => {
            with_limit(io_error, explain(io_error))
        }
        other => other.to_string(),
    }
}

/// Before Linux 5.11 maps and programs are locked memory, and too much of it is EPERM as well.
fn with_limit(error: &io::Error, said: String) -> String {
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) if soft != RLIM_INFINITY && error.raw_os_error() == Some(libc::EPERM) => {
            let kib = soft >> 10;
            format!(
                "{said}; before Linux 5.11 raise RLIMIT_MEMLOCK too (ulimit -l), {kib} KiB here"
            )
        }
        _ => said,
    }
}

pub(super) fn explain(error: &io::Error) -> String {
    let code = error.raw_os_error();
    let text = code.map_or_else(
        || error.to_string(),
        |code| io::Error::from_raw_os_error(code).to_string(),
    );
    remedy(code, text)
}

fn remedy(code: Option<i32>, text: String) -> String {
    let remedy = match code {
        Some(libc::EPERM | libc::EACCES) => {
            "run netviz as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN"
        }
        Some(libc::EMFILE | libc::ENFILE) => RAISE,
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            "the kernel has neither tcx nor clsact: it needs CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF"
        }
        // BPF_MPROG_MAX, less one.
        Some(libc::ERANGE) => {
            "the hook has its 63 programs, and takes no more: `netviz audit` says whose they are"
        }
        Some(libc::ENOMEM) => {
            "there is no memory left for BPF: raise the memory limit, or RLIMIT_MEMLOCK before Linux 5.11"
        }
        _ => return text,
    };
    format!("{text}; {remedy}")
}
