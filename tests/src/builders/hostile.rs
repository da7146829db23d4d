//! Names that a pod can choose for its interfaces, its host and itself to attack the user: one
//! list, applied to every view.

pub mod check;
pub mod data;

/// Names, each with its purpose.
pub const NAMES: [(&str, &str); 22] = [
    ("clears the screen", "\u{1b}[2J\u{1b}[31m"),
    ("sets the window's title", "\u{1b}]0;root@host\u{7}"),
    ("C1 instead of an escape", "\u{9b}31mred"),
    ("a line break", "a\r\nworker  eth0  0  0  counting"),
    ("turns the direction of writing", "\u{202e}txt.exe"),
    ("marks a direction", "\u{200f}a\u{61c}b\u{200e}"),
    (
        "ends lines and paragraphs as Unicode does",
        "a\u{2028}b\u{2029}c\u{85}",
    ),
    (
        "isolates and joins nothing",
        "\u{2066}a\u{200b}\u{feff}\u{2069}",
    ),
    ("a tag of another language", "a\u{e0041}\u{e007f}"),
    ("a script in a page", "<script>alert(1)</script>"),
    ("an attribute in a page", "\" onload=\"alert(1)"),
    ("a reference in markup", "&lt;#quot;&#x1b;"),
    ("the end of a section", "]]>--><!--"),
    ("a link in Mermaid", "\"];click d0 \"javascript:alert(1)\""),
    ("the end of a graph", "\\\"]}; graph{"),
    ("a formula in a sheet", "=HYPERLINK(\"http://x\",\"y\")"),
    ("a function in a sheet", "@SUM(1+1)*cmd|' /C x'!A0"),
    ("a formula in wide letters", "\u{ff1d}1+1"),
    ("another column", "a,b\tc;\"d\"\"e"),
    ("not a character", "\u{0}\u{fffe}\u{7f}"),
    ("nothing at all", ""),
    (
        "very long",
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
         nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    ),
];

/// Returns true for characters that control a terminal or are invisible, except line ends, which
/// each view writes itself.
#[must_use]
pub fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the harmless name that a view for people must show instead of a hostile one.
#[must_use]
pub fn escaped(name: &str) -> String {
    let harmless = |c: char| {
        if is_harmful(c) || c == '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    name.chars().map(harmless).collect()
}
