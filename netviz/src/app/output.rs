//! Standard output, written on a thread of its own: a reader that does not read blocks that
//! thread, and never the end of netviz.

use std::{
    io::{self, Write},
    ops::ControlFlow,
};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::sys::{signals::Signals, threads};

/// Writes `bytes` to standard output until the reader has them or has closed its end, or a signal
/// comes.
pub(super) async fn print(bytes: Vec<u8>, stop: &mut Signals) -> Result<()> {
    let mut output = Output::stdout()?;
    output.write_until(bytes, stop).await.map(drop)
}

/// A stream of bytes to a reader.
#[derive(Debug)]
pub struct Output {
    jobs: UnboundedSender<Vec<u8>>,
    results: UnboundedReceiver<io::Result<()>>,
}

impl Output {
    /// Standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::to(io::stdout())
    }

    /// Writes to `out`, on a thread that ends with this value or with the process.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (jobs, mut waiting) = unbounded_channel::<Vec<u8>>();
        let (done, results) = unbounded_channel();
        threads::start("netviz-output", "writes the output", move || {
            while let Some(bytes) = waiting.blocking_recv() {
                let written = out.write_all(&bytes).and_then(|()| out.flush());
                if done.send(written).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, results })
    }

    /// Writes `bytes`, however slow the reader is; breaks when the reader has closed its end, as in
    /// `netviz | head`.
    ///
    /// # Errors
    /// When they cannot be written for another reason, such as a full disk.
    pub async fn write(&mut self, bytes: Vec<u8>) -> Result<ControlFlow<()>> {
        // A thread that has ended is noticed by the missing result.
        let _ = self.jobs.send(bytes);
        match self.results.recv().await {
            Some(Ok(())) => Ok(ControlFlow::Continue(())),
            Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(ControlFlow::Break(()))
            }
            Some(Err(error)) => Err(error).context("cannot write to standard output"),
            None => anyhow::bail!("the thread that writes the output has ended unexpectedly"),
        }
    }

    /// As [`Self::write`]; breaks also when a signal comes first.
    pub(super) async fn write_until(
        &mut self,
        bytes: Vec<u8>,
        stop: &mut Signals,
    ) -> Result<ControlFlow<()>> {
        tokio::select! {
            written = self.write(bytes) => written,
            () = stop.any() => Ok(ControlFlow::Break(())),
        }
    }
}
