//! Names that nobody can be trusted with.

/// A name as it may be printed: interfaces and hostnames are named by whoever runs a pod, and
/// must not move the cursor, colour the screen or turn the direction of writing.
#[must_use]
pub fn safe(name: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    name.chars()
        .map(|c| if harmless(c) { c } else { '\u{fffd}' })
        .collect()
}
