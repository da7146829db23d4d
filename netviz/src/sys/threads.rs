//! Threads. Near its cgroup's limit of processes netviz may be refused one, which is an error like
//! any other, in one line.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};
use tokio::sync::oneshot;

/// A thread that ends when `E` is dropped: a [`Stopper`], or the sender of a channel on whose receiver
/// it waits. [`Drop`] ends it and joins it.
#[derive(Debug)]
pub(crate) struct Worker<T = (), E = Stopper> {
    end: Option<E>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts a thread called `name` for a `purpose`. `work` returns soon after it is stopped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        name: &str,
        purpose: &str,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> io::Result<Self> {
        let (stopper, stop) = stop()?;
        Self::until(stopper, name, purpose, move || work(&stop))
    }
}

impl<T: Send + 'static, E> Worker<T, E> {
    /// Starts a thread called `name` for a `purpose`. `work` returns soon after `end` is dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn until(
        end: E,
        name: &str,
        purpose: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let thread = start(name, purpose, work)?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl<T, E> Worker<T, E> {
    /// What ends the thread, while it runs: the way to send to it, where that is a channel.
    pub(crate) fn end(&self) -> Option<&E> {
        self.end.as_ref()
    }

    /// Ends the thread and returns its result, `None` if it panicked.
    pub(crate) fn finish(mut self) -> Option<T> {
        self.join()
    }

    fn join(&mut self) -> Option<T> {
        drop(self.end.take());
        self.thread.take()?.join().ok()
    }
}

impl<T, E> Drop for Worker<T, E> {
    fn drop(&mut self) {
        self.join();
    }
}

/// Stops a thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Stopper(Arc<EventFd>);

impl Drop for Stopper {
    fn drop(&mut self) {
        // Fails only if the counter were full.
        let _ = self.0.write(1);
    }
}

/// The stop as its thread sees it: readable once the [`Stopper`] is dropped.
#[derive(Debug)]
pub(crate) struct Stop(Arc<EventFd>);

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A new stop.
fn stop() -> io::Result<(Stopper, Stop)> {
    let event = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
    Ok((Stopper(Arc::clone(&event)), Stop(event)))
}

impl Stop {
    /// Whether the thread has to end.
    pub(crate) fn is_set(&self) -> bool {
        self.within(Duration::ZERO)
    }

    /// Waits for `time`, or until the thread has to end. Returns whether it has to.
    pub(crate) fn within(&self, time: Duration) -> bool {
        self.poll([], Some(time)).is_none()
    }

    /// Waits until the thread has to end.
    pub(crate) fn wait(&self) {
        while self.poll([], None).is_some() {}
    }

    /// Waits until one of `sources` is readable, for `timeout` at most. Returns the indexes of those
    /// that are, none after a signal, and `None` once the thread has to end.
    pub(crate) fn poll<'a>(
        &'a self,
        sources: impl IntoIterator<Item = BorrowedFd<'a>>,
        timeout: Option<Duration>,
    ) -> Option<Vec<usize>> {
        let descriptors = std::iter::once(self.0.as_fd()).chain(sources);
        let mut descriptors: Vec<_> = descriptors
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        let limit = timeout.map_or(PollTimeout::NONE, |timeout| {
            PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut descriptors, limit) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Some(Vec::new()),
            // More sources than files may be open (EINVAL): none of them can be waited for.
            Err(_) => {
                thread::sleep(timeout.unwrap_or(RETRY).min(RETRY));
                return Some(Vec::new());
            }
        }
        let is_ready = |descriptor: &PollFd<'_>| descriptor.any() == Some(true);
        let (stop, sources) = descriptors.split_first()?;
        let ready = sources.iter().enumerate().filter(|(_, it)| is_ready(it));
        (!is_ready(stop)).then(|| ready.map(|(index, _)| index).collect())
    }
}

/// How long to sleep where poll(2) fails.
const RETRY: Duration = Duration::from_millis(20);

/// The error for a thread that could not be started for a `purpose`.
pub(crate) fn refused(purpose: &str, error: &io::Error) -> io::Error {
    let message = format!(
        "cannot start the thread that {purpose}: {error}; raise pids.max of its cgroup (TasksMax of a systemd unit), or ulimit -u"
    );
    io::Error::new(error.kind(), message)
}

/// Starts `work` on a thread that ends by itself, called `name`, for a `purpose`.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    purpose: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = thread::Builder::new().name(name.into());
    builder
        .spawn(work)
        .map_err(|error| refused(purpose, &error))
}

/// Runs `work` for a `purpose` on its own thread, and waits for it.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn alone<T: Send>(purpose: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, work);
        let handle = started.map_err(|error| refused(purpose, &error))?;
        let done = handle.join();
        Ok(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Runs `work` for a `purpose` on a thread that netviz's end does not wait for, and returns a receiver
/// of its result. tokio's own `spawn_blocking` panics when a thread is refused.
///
/// # Errors
/// When the thread cannot be started. Receiving fails when `work` panicked.
pub(crate) fn aside<T: Send + 'static>(
    purpose: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (sender, receiver) = oneshot::channel();
    let started = thread::Builder::new().spawn(move || {
        // The receiver may be gone.
        let _ = sender.send(work());
    });
    started.map_err(|error| refused(purpose, &error))?;
    Ok(receiver)
}
