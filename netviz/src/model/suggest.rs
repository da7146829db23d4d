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

/// The end of an error about an unknown name: similar names, or how many there are.
#[must_use]
pub fn near(name: &str, all: &[String]) -> String {
    let best = nearest(name, all.iter().map(String::as_str));
    match (best.is_empty(), all.len()) {
        (false, _) => format!("; near: {}", best.join(", ")),
        (true, 0) => String::new(),
        (true, found) => format!("; {found} found here, list them: netviz doors --once"),
    }
}
