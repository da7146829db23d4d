//! Names chosen by others: a pod's owner names its interfaces, hostname, programs and labels.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// A name that others chose: it must not move the cursor, colour the screen or change the writing
/// direction.
///
/// `Display` is the only way to a screen and replaces harmful characters. JSON keeps the text as
/// it is: the JSON writer escapes such characters itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// The name as it was read, for comparisons and lookups; never for a screen.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// The name as people write it: `namespace/name`, or only the name where no more is known.
    #[must_use]
    pub fn within(&self, namespace: Option<&Self>) -> Self {
        qualified(namespace.map(Self::raw), &self.0).into()
    }

    /// Whether there is no name at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&safe(&self.0))
    }
}

impl<T: Into<String>> From<T> for Untrusted {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for Untrusted {
    fn eq(&self, other: &T) -> bool {
        self.0 == other.as_ref()
    }
}

impl JsonSchema for Untrusted {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

/// A pod's name as people write it: `namespace/name`, or the name if the namespace is unknown.
#[must_use]
pub fn qualified(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.into(),
    }
}

/// A text as it may be printed, each harmful character replaced.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars()
        .map(|c| if is_harmless(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Whether a character is shown, and does nothing else.
pub(crate) fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_replaces_harmful_characters() {
        let shown = |name: &str| Untrusted::from(name).to_string();
        assert_eq!(shown("a\u{1b}[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
        assert_eq!(shown("x\u{202e}y\u{200b}"), "x\u{fffd}y\u{fffd}");
        assert_eq!(shown("lxc174c023046ff"), "lxc174c023046ff");
    }

    #[test]
    fn json_keeps_the_raw_text() {
        let name = Untrusted::from("a\u{1b}b");
        let json = serde_json::to_string(&name).expect("a string is written");
        assert_eq!(json, "\"a\\u001bb\"");
        let read: Untrusted = serde_json::from_str(&json).expect("a string is read");
        assert_eq!(read, name);
    }
}
