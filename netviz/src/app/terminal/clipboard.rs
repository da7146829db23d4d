//! The terminal's clipboard.

use std::io::{self, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Copies a text to the clipboard of the terminal, also over SSH (OSC 52). Terminals without it
/// ignore the sequence.
pub(in crate::app) fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "\u{1b}]52;c;{}\u{7}", STANDARD.encode(text))?;
    out.flush()
}
