//! Names that nobody can be trusted with.

/// A name as it may be printed: interfaces and hostnames are named by whoever runs a pod, and
/// must not move the cursor, colour the screen or turn the direction of writing.
#[must_use]
pub fn safe(name: &str) -> String {
    name.chars()
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Whether a character is shown, and does nothing else.
pub(crate) fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
