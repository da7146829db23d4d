//! Lines that tests report outside of the harness.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Names the file in which tests report that they are skipped; see `netviz_tests::bpf::skip`.
pub(crate) const SKIPPED_VARIABLE: &str = "NETVIZ_SKIPPED";

/// A file to which tests append lines: skips (which the harness counts as passed) and measurements.
pub(crate) struct Collected(pub(crate) PathBuf);

impl Collected {
    /// Creates an empty file.
    pub(crate) fn begin(path: &Path) -> Result<Self> {
        fs::write(path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Reads all lines. An unreadable file is an error, not an empty one.
    pub(crate) fn lines(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.0)
            .with_context(|| format!("cannot read {}", self.0.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Returns the skipped tests, each with its last reason.
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
    fn skips_are_grouped_by_test_and_a_missing_file_is_an_error() {
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
