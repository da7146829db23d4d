//! The signals that end netviz in good order.

use std::io;

use anyhow::{Context as _, Result};
use nix::sys::signal as nix_signal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// From its making on, these signals no longer kill.
pub(crate) struct Signals {
    pub(crate) interrupt: Signal,
    pub(crate) terminate: Signal,
    pub(crate) hangup: Signal,
}

impl Signals {
    pub(crate) fn new() -> Result<Self> {
        let on = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Waits for any of them.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Ignores all of them, in this whole process.
///
/// # Errors
/// That of sigaction(2).
pub(crate) fn ignore() -> io::Result<()> {
    use nix_signal::{SigHandler, Signal::*};
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // SAFETY: no handler is installed; the kernel discards the signals.
        unsafe { nix_signal::signal(signal, SigHandler::SigIgn) }?;
    }
    Ok(())
}
