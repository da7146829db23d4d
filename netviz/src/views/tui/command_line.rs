//! Command lines of netviz.

use std::fmt;

use crate::views::text::list;

/// The sender or receiver of a path, as `netviz verify` reads it.
pub(super) type Operand = String;

/// Arguments of `netviz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(pub(super) Vec<String>);

impl CommandLine {
    /// The arguments, without the program's name.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.0
    }
}

/// As a shell reads it.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "netviz {}",
            list(self.0.iter().map(|it| quoted(it)), " ")
        )
    }
}

/// An argument for a shell.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}
