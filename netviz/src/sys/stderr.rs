//! Standard error, kept in memory while the terminal shows something else.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::PathBuf,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
    unistd::{dup2_stderr, mkstemp},
};

/// Bytes to keep at most; beyond, older messages are dropped.
const MOST_KEPT: u64 = 1 << 20;
/// Bytes of the latest messages that are printed in the end.
const MOST_PRINTED: u64 = 64 << 10;

/// Standard error in memory, for everything that writes to its descriptor: the log, other threads,
/// libraries and child processes. Dropping it restores standard error and prints the messages there.
#[derive(Debug)]
pub(crate) struct KeptStderr {
    memory: File,
    before: OwnedFd,
    /// End of the messages that [`Self::news`] has returned.
    read: u64,
}

impl KeptStderr {
    /// Begins to keep standard error; `None` if it is not a terminal, and disturbs nothing.
    ///
    /// # Errors
    /// When the descriptors cannot be made.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        if !io::stderr().is_terminal() {
            return Ok(None);
        }
        let memory = memfd_create("netviz-stderr", MFdFlags::MFD_CLOEXEC)?;
        // It has several writers, and may be truncated.
        fcntl(&memory, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        let before = io::stderr().as_fd().try_clone_to_owned()?;
        dup2_stderr(&memory)?;
        Ok(Some(Self {
            memory: memory.into(),
            before,
            read: 0,
        }))
    }

    /// The file in which the messages can be read meanwhile.
    pub(crate) fn path(&self) -> String {
        let (process, number) = (std::process::id(), self.memory.as_raw_fd());
        format!("/proc/{process}/fd/{number}")
    }

    /// Standard error as it was before.
    pub(crate) fn before(&self) -> io::Result<File> {
        Ok(self.before.try_clone()?.into())
    }

    /// Writes the messages and a last line to a new file among the temporary ones, and returns its path.
    pub(crate) fn save(&self, last: &str) -> io::Result<PathBuf> {
        let (file, path) = mkstemp(&std::env::temp_dir().join("netviz-log-XXXXXX"))?;
        let mut file = File::from(file);
        file.write_all(&self.latest(MOST_KEPT))?;
        writeln!(file, "{last}")?;
        Ok(path)
    }

    /// The last complete line since the previous call, without the hints of a panic.
    pub(crate) fn news(&mut self) -> Option<String> {
        let end = self.memory.metadata().ok()?.len();
        if end > MOST_KEPT {
            self.memory.set_len(0).ok()?;
            self.read = 0;
            return None;
        }
        let start = self.read.max(end.saturating_sub(MOST_PRINTED));
        let mut text = self.text(start, end);
        let complete = text.iter().rposition(|byte| *byte == b'\n')?;
        self.read = end - (text.len() - complete - 1) as u64;
        text.truncate(complete);
        let text = String::from_utf8_lossy(&text);
        let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
        text.lines().rev().find(tells).map(ToOwned::to_owned)
    }

    /// The latest messages, of so many bytes at most.
    fn latest(&self, most: u64) -> Vec<u8> {
        let end = self.memory.metadata().map_or(0, |file| file.len());
        self.text(end.saturating_sub(most), end)
    }

    fn text(&self, start: u64, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or_default()];
        let read = self.memory.read_at(&mut bytes, start).unwrap_or_default();
        bytes.truncate(read);
        bytes
    }
}

impl Drop for KeptStderr {
    fn drop(&mut self) {
        let _ = dup2_stderr(&self.before);
        let _ = io::stderr().write_all(&self.latest(MOST_PRINTED));
    }
}
