//! Threads that may be refused: near the limit of a cgroup's processes that is an error like any other,
//! in one line.

use std::{
    io,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

/// What is said where the thread that `does` something could not be started.
pub(crate) fn refused(does: &str, error: &io::Error) -> io::Error {
    let message = format!(
        "cannot start the thread that {does}: {error}; raise pids.max of its cgroup (TasksMax of a systemd unit), or ulimit -u"
    );
    io::Error::new(error.kind(), message)
}

/// Starts `work` on a thread called `name`; `does` says what it is for.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    does: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(work).map_err(|error| refused(does, &error))
}

/// Runs `work` on a thread of its own, which ends with it, and waits for that; `does` says what it is
/// for.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn alone<T: Send>(does: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, work);
        let handle = started.map_err(|error| refused(does, &error))?;
        let done = handle.join();
        Ok(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Runs `work` on a thread of its own, for which the end of netviz does not wait; what comes of it is
/// received. A thread that tokio cannot start is a panic.
///
/// # Errors
/// When the thread cannot be started. Receiving is one when `work` has panicked.
pub(crate) fn aside<T: Send + 'static>(
    does: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (tell, told) = oneshot::channel();
    let started = thread::Builder::new().spawn(move || {
        // Nobody may wait for it any more.
        let _ = tell.send(work());
    });
    started.map_err(|error| refused(does, &error))?;
    Ok(told)
}
