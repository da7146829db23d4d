//! Lists of items in one line.

use std::fmt::Display;

/// Joins items.
#[must_use]
pub fn list<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

/// A MAC address as `ip link` prints it.
#[must_use]
pub fn mac_text(mac: &[u8]) -> String {
    list(mac.iter().map(|byte| format!("{byte:02x}")), ":")
}
