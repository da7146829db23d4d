//! A filter that cannot be read, and where.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

use crate::views::text::safe;

/// Why a filter cannot be read; prints the filter, and a sign under the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct QueryError {
    /// The filter, harmless on a terminal.
    text: String,
    /// The text before the place.
    before: String,
    /// Columns of the place.
    width: usize,
    why: String,
}

impl QueryError {
    /// `start` and `end` are the place in bytes of `text`.
    pub(super) fn new(text: &str, (start, end): (usize, usize), why: impl Into<String>) -> Self {
        Self {
            before: text[..start].into(),
            width: columns(&text[start..end]).max(1),
            text: safe(text),
            why: safe(&why.into()),
        }
    }

    /// The text before the place.
    #[must_use]
    pub fn before(&self) -> &str {
        &self.before
    }

    /// Why, in one line.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The column of the place, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        columns(&self.before) + 1
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Formatting with a width panics beyond 65 535 columns.
        let before = " ".repeat(columns(&self.before));
        let sign = "^".repeat(self.width);
        write!(f, "{}\n  {}\n  {before}{sign}", self.why, self.text)
    }
}

/// The columns of a text as it is shown.
fn columns(text: &str) -> usize {
    safe(text).width()
}
