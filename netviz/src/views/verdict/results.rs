//! The results of path tests: how many passed, and why the others failed.

use super::words::{family, test_label};
use crate::{
    verify::Verdict,
    views::text::{Style, ascii, safe},
};

/// Draws the results, with a line break at the end.
#[must_use]
pub fn draw(verdicts: &[Verdict], style: Style) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed());
    let failed: Vec<_> = failed.collect();
    let (all, failures) = (verdicts.len(), failed.len());
    let passed = all - failures;
    let mut text = format!("{all} tests: {passed} passed, {failures} failed\n");
    for verdict in failed {
        let why = verdict.test.as_ref().and_then(|test| test.why.as_deref());
        let (test, why) = (test_label(verdict), safe(why.unwrap_or_default()));
        let (from, to) = (&verdict.from.name, &verdict.to.name);
        let family = family(verdict);
        text.push_str(&format!("  {test}{from} -> {to}{family}: {why}\n"));
    }
    if style.ascii { ascii(&text) } else { text }
}
