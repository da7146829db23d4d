//! What tests say besides the harness.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// What tests say to a file, each in a line: what this machine cannot run (the harness calls such a
/// test passed), and what was measured.
pub(super) struct Collected(pub(super) PathBuf);

impl Collected {
    /// Begins with none.
    pub(super) fn begin(path: &Path) -> Result<Self> {
        fs::write(path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// All that was said.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
