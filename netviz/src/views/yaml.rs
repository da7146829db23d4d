//! The YAML form: the data of the JSON form, with keys in alphabetical order, as kubectl prints them.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};
use serde_json::Value;
use serde_saphyr::DoubleQuoted;

use crate::model::is_harmless;

/// Writes a value as one document.
pub fn write(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    let value = serde_json::to_value(value)?;
    let yaml = serde_saphyr::to_string(&Node(&value)).map_err(io::Error::other)?;
    let mut written = String::with_capacity(yaml.len());
    for c in yaml.chars() {
        // Others occur in double quotes only: see `Node`.
        let _ = match (is_harmless(c) || c == '\n', u32::from(c)) {
            (true, _) => write!(written, "{c}"),
            (false, code @ ..=0xffff) => write!(written, "\\u{code:04x}"),
            (false, code) => write!(written, "\\U{code:08x}"),
        };
    }
    out.write_all(written.as_bytes())
}

/// A value whose texts are in double quotes if they contain what would act on a terminal: only there
/// can it be escaped.
struct Node<'a>(&'a Value);

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if text.chars().all(is_harmless) => serializer.serialize_str(text),
            Value::String(text) => DoubleQuoted(text).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| list.serialize_element(&Node(item)))?;
                list.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields
                    .iter()
                    .try_for_each(|(key, value)| map.serialize_entry(key, &Node(value)))?;
                map.end()
            }
            simple => simple.serialize(serializer),
        }
    }
}
