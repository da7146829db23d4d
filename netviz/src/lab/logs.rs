//! What the forwarding programs say, passed on to the `log` crate.

use std::{
    os::fd::AsFd as _,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};

use super::datapath::Datapath;

type Logger = EbpfLogger<&'static dyn log::Log>;

/// A thread that sleeps until a program says something.
#[derive(Debug)]
pub(super) struct Pump {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    pub(super) fn start<'a>(datapaths: impl Iterator<Item = &'a mut Datapath>) -> Result<Self> {
        let loggers = datapaths
            .map(|datapath| EbpfLogger::init(datapath.object()))
            .collect::<Result<Vec<_>, _>>()
            .context("reading the forwarding programs' log (needs Linux 5.8)")?;
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("lab-log".into())
            .spawn(move || pump(loggers, &stopped))
            .context("starting the laboratory's log thread")?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.write(1).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn pump(mut loggers: Vec<Logger>, stop: &EventFd) {
    loop {
        let mut waiting: Vec<_> = loggers
            .iter()
            .map(|logger| PollFd::new(logger.as_fd(), PollFlags::POLLIN))
            .collect();
        waiting.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        let woken = poll(&mut waiting, PollTimeout::NONE);
        let stopped = waiting.last().is_some_and(|stop| stop.any() == Some(true));
        // What was said before the end is still passed on.
        loggers.iter_mut().for_each(Logger::flush);
        if stopped || woken.is_err_and(|error| error != Errno::EINTR) {
            return;
        }
    }
}
