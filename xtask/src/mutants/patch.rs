//! A mutant: a patch with a header that names what it breaks and which tests must fail.

use anyhow::{Context as _, Result, bail};

/// A deliberate break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// Name of the file.
    pub(super) name: String,
    /// Number of the invariant, as in CONTRIBUTING.md.
    pub(super) invariant: u8,
    /// Description of what it breaks.
    pub(super) breaks: String,
    /// Tests that must fail, as `file::function`.
    pub(super) tests: Vec<String>,
    /// The whole file: git skips the header.
    pub(super) text: String,
}

impl Mutant {
    pub(super) fn read(name: &str, text: &str) -> Result<Self> {
        let head = || {
            text.lines()
                .take_while(|line| !line.starts_with("diff --git "))
        };
        let field = |key: &str| {
            let line = head().find_map(|line| line.strip_prefix(key));
            line.map(str::trim)
                .with_context(|| format!("missing line `{key}`"))
        };
        let tests = head().filter_map(|line| line.strip_prefix("Caught by:"));
        let mutant = Self {
            name: name.into(),
            invariant: field("Invariant:")?
                .parse()
                .context("`Invariant:` is a number")?,
            breaks: field("Breaks:")?.into(),
            tests: tests.map(|test| test.trim().to_owned()).collect(),
            text: text.into(),
        };
        if mutant.tests.is_empty() {
            bail!("missing line `Caught by:`");
        }
        Ok(mutant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Invariant: 3\nBreaks: bytes are off\nCaught by: exact::jumbo\nCaught by: prog_test::all\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\nBreaks: no\n";

    #[test]
    fn header_is_read() {
        let mutant = Mutant::read("bytes", TEXT).unwrap();
        assert_eq!(
            (mutant.invariant, mutant.breaks.as_str()),
            (3, "bytes are off")
        );
        assert_eq!(mutant.tests, ["exact::jumbo", "prog_test::all"]);
    }

    #[test]
    fn missing_header_line_is_named() {
        for key in ["Invariant:", "Breaks:", "Caught by:"] {
            let error = Mutant::read("x", &TEXT.replace(key, "Else:")).unwrap_err();
            assert_eq!(error.to_string(), format!("missing line `{key}`"));
        }
    }
}
