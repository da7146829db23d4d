//! The limit of open files.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::model::RAISE_FILES;

/// Whether some `wanted` more files can be opened: the kernel assigns the lowest free number, below the
/// limit. Gaps of closed files are not counted.
pub(crate) fn are_left(wanted: u64) -> bool {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return true;
    };
    match io::stdin().as_fd().try_clone_to_owned() {
        Ok(next) => u64::try_from(next.as_raw_fd()).is_ok_and(|next| next + wanted < limit),
        Err(error) => error.raw_os_error() != Some(libc::EMFILE),
    }
}

/// Files that netviz opens before the first door: the runtime, its signals, a scan.
const TO_START: u64 = 12;

/// Checks that netviz can start. Call it before tokio, which panics if it cannot open its files for signals.
///
/// # Errors
/// When too few files may be opened.
pub fn are_enough_to_start() -> io::Result<()> {
    if are_left(TO_START) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "too few files may be opened; {RAISE_FILES}"
    )))
}

/// Raises the limit of open files to the hard limit: each door costs three, so the usual limit of
/// 1 024 is 340 doors. If that fails, opening a file does, with the remedy.
pub(crate) fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// A runtime on the calling thread.
///
/// # Errors
/// When too few files may be opened.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().map_err(explained)
}

/// The opened object; `None` if it does not exist or cannot be opened.
///
/// # Errors
/// When no file at all can be opened: the object may exist.
pub(crate) fn there<T>(opened: Result<T, impl Into<io::Error>>) -> io::Result<Option<T>> {
    match opened.map_err(Into::into) {
        Ok(there) => Ok(Some(there)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Err(explained(error)),
            _ => Ok(None),
        },
    }
}

/// The error, with the remedy if too many files are open.
#[must_use]
pub fn explained(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => {
            io::Error::new(error.kind(), format!("{error}; {RAISE_FILES}"))
        }
        _ => error,
    }
}
