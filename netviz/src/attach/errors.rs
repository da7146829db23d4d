//! Attach errors as reasons.

use std::io;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::object::LoadError;
use crate::{
    model::{Direction, Operation, Reason},
    sys::bpf::kernel_error,
};

/// Why a door could not be attached.
#[derive(Debug, thiserror::Error)]
#[error("{}", Reason::from(self))]
pub(crate) enum AttachError {
    /// The interface was removed while it was being attached, which is normal.
    Vanished,
    /// netviz was attached and is not any more; in clsact the interface may have been removed as well.
    Removed,
    /// Its network namespace could not be opened.
    Open(io::Error),
    /// Its network namespace could not be entered, or there was no thread for it.
    Enter(io::Error),
    /// The last file descriptors are left to discovery, for which a namespace that cannot be opened
    /// looks like one that is gone.
    Scarce,
    Load(#[from] LoadError),
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

impl From<&AttachError> for Reason {
    fn from(error: &AttachError) -> Self {
        match error {
            AttachError::Vanished => Self::Gone,
            AttachError::Removed => Self::Removed,
            AttachError::Open(error) => Self::failed(Operation::OpenNetns, error),
            AttachError::Enter(error) => Self::failed(Operation::EnterNetns, error),
            AttachError::Scarce => Self::TooFewFiles,
            AttachError::Load(error) => load(error),
            AttachError::Attach {
                direction: hook,
                source,
            } => {
                let mut reason = Self::failed(Operation::Attach, source);
                if let Self::Failed { direction, .. } = &mut reason {
                    *direction = Some(*hook);
                }
                reason
            }
        }
    }
}

fn load(error: &LoadError) -> Reason {
    let source = match error {
        LoadError::Object(error) => kernel_error(error),
        LoadError::Map(error) => kernel_error(error),
        LoadError::Program(error) => kernel_error(error),
        LoadError::Kernel(error) => Some(error),
        LoadError::Parse(_) | LoadError::Relocation(_) | LoadError::Missing(_) => None,
    };
    Reason::Failed {
        operation: Operation::Load,
        direction: None,
        errno: source.and_then(io::Error::raw_os_error),
        error: source.map_or_else(|| error.to_string(), ToString::to_string),
        memlock_kib: source.and_then(memlock_kib),
    }
}

/// Before Linux 5.11 maps and programs are locked memory, and too much of it is EPERM as well.
fn memlock_kib(error: &io::Error) -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    let limited = soft != RLIM_INFINITY && error.raw_os_error() == Some(libc::EPERM);
    limited.then_some(soft >> 10)
}
