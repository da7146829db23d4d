//! What tests say besides the harness.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The file in which tests that cannot run say so, as `netviz_tests::bpf::skip` calls it.
pub(crate) const SKIPPED_VARIABLE: &str = "NETVIZ_SKIPPED";

/// What tests say to a file, each in a line: what this machine cannot run (the harness calls such a
/// test passed), and what was measured.
pub(crate) struct Collected(pub(crate) PathBuf);

impl Collected {
    /// Begins with none.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        fs::write(path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// All that was said. What cannot be read is not nothing.
    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.0)
            .with_context(|| format!("cannot read {}", self.0.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Tests that were skipped, each with its last reason.
    pub(crate) fn skips(&self) -> Result<BTreeMap<String, String>> {
        let lines = self.lines()?;
        let words = |line: &str| match line.split_once(": ") {
            Some((test, reason)) => (test.to_owned(), reason.to_owned()),
            None => (line.to_owned(), String::new()),
        };
        Ok(lines.iter().map(|line| words(line)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_told_by_test_and_what_is_not_there_is_an_error() {
        let path = std::env::temp_dir().join(format!("netviz-collected-{}", std::process::id()));
        let collected = Collected::begin(&path).unwrap();
        assert!(collected.lines().unwrap().is_empty());
        fs::write(
            &path,
            "a::b: no tcx: really\nc: why\na::b: no tcx: really\n",
        )
        .unwrap();
        let skips = collected.skips().unwrap();
        fs::remove_file(&path).unwrap();
        let skips: Vec<_> = skips
            .iter()
            .map(|(test, reason)| (test.as_str(), reason.as_str()))
            .collect();
        assert_eq!(skips, [("a::b", "no tcx: really"), ("c", "why")]);
        assert!(collected.lines().is_err());
    }
}
