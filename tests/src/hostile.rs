//! What a pod can call its interfaces, its host and itself, in order to harm whoever looks: one
//! list, run through every view.

/// Names, with what each of them is after.
pub const NAMES: [(&str, &str); 18] = [
    ("clears the screen", "\u{1b}[2J\u{1b}[31m"),
    ("sets the window's title", "\u{1b}]0;root@host\u{7}"),
    ("C1 instead of an escape", "\u{9b}31mred"),
    (
        "another line of its own",
        "a\r\nworker  eth0  0  0  counting",
    ),
    ("turns the direction of writing", "\u{202e}txt.exe"),
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
    ("another column", "a,b\tc;\"d\"\"e"),
    ("not a character", "\u{0}\u{fffe}\u{7f}"),
    ("nothing at all", ""),
    (
        "very long",
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
         nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
    ),
];

/// A character that does something to a terminal instead of being shown; ends of lines, which each
/// view writes by itself, excepted.
#[must_use]
pub fn acts(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}
