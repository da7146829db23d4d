//! Standard output. It is written on a thread of its own: a reader that does not read holds up the
//! output, and never the end of netviz.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use crate::sys::{signals::Signals, threads};

/// Writes `bytes`, however long the reader lets wait for that; a signal ends the waiting.
///
/// A reader that has seen enough (`netviz | head`) is no error.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub(super) async fn write(bytes: Vec<u8>, end: &mut Signals) -> Result<Written> {
    let writing = threads::aside("writes the output", move || {
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        out.flush()
    })?;
    let written = tokio::select! {
        written = writing => written.context("writing has ended unexpectedly")?,
        () = end.any() => return Ok(Written::Ended),
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Ended),
        Err(error) => Err(error).context("cannot write to standard output"),
        Ok(()) => Ok(Written::All),
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The reader, or the pipe, has it.
    All,
    /// The reader has gone, or a signal came: there is nothing more to be written.
    Ended,
}
