//! Suggests names that are similar to an unknown one.

use super::safe;

/// How similar names have to be, from 0 to 1.
const LEAST: f64 = 0.6;

/// Up to three names that are similar to `name`, harmless on a terminal.
#[must_use]
pub fn nearest<'a>(name: &str, all: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let all = all.into_iter();
    let mut scored: Vec<_> = all
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > LEAST)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    let best = scored.into_iter().take(3);
    best.map(|(_, other)| safe(other)).collect()
}

/// The end of an error about an unknown name: similar names, or how many of these things were found,
/// each of which may have several `spellings`.
#[must_use]
pub fn near<'a>(
    name: &str,
    spellings: impl IntoIterator<Item = &'a String>,
    what: &str,
    found: usize,
) -> String {
    let best = nearest(name, spellings.into_iter().map(String::as_str));
    match (best.is_empty(), found) {
        (false, _) => format!("; near: {}", best.join(", ")),
        (true, 0) => String::new(),
        (true, 1) => format!("; 1 {what} found here, list it: netviz doors --once"),
        (true, _) => format!("; {found} {what}s found here, list them: netviz doors --once"),
    }
}
