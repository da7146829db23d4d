//! Names, cut to a width so that people still recognise them.

use std::collections::{BTreeSet, HashMap};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Characters at the end of a generated name that distinguish it from its siblings.
const UNIQUE: usize = 5;

/// Cuts a pod's name to `width` columns: first its namespace, then the hash of its ReplicaSet. The
/// workload and the last five characters stay, if the width allows: `…/busybox-c8b…-t6ggh`.
#[must_use]
pub fn cut_name(label: &str, width: usize) -> String {
    if label.width() <= width {
        return label.to_owned();
    }
    let (namespace, name) = match label.rsplit_once('/') {
        // `uplink 172.18.0.2/16` is no pod.
        Some((namespace, name)) if !namespace.contains(' ') => (Some(namespace), name),
        _ => (None, label),
    };
    let short = short_hashes(name);
    let mut forms = Vec::new();
    if let Some(namespace) = namespace {
        let left = width.saturating_sub(name.width() + 2);
        forms.push(format!("{}…/{name}", take(namespace.chars(), left)));
        forms.push(name.to_owned());
        forms.extend(short.iter().map(|short| format!("…/{short}")));
    }
    forms.extend(short);
    let form = forms.into_iter().find(|form| form.width() <= width);
    form.unwrap_or_else(|| cut_middle(name, width))
}

/// A Deployment's pod with less and less of its ReplicaSet's hash, the longest first.
fn short_hashes(name: &str) -> Vec<String> {
    let parts = name.rsplit_once('-').and_then(|(rest, unique)| {
        let (workload, hash) = rest.rsplit_once('-')?;
        Some((workload, hash, unique))
    });
    let generated = |text: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        text.chars().all(plain)
    };
    match parts {
        Some((workload, hash, unique))
            if unique.len() == UNIQUE
                && (4..=10).contains(&hash.len())
                && hash.contains(|c: char| c.is_ascii_digit())
                && generated(hash)
                && generated(unique) =>
        {
            let kept = (0..hash.len() - 1).rev().map(|kept| &hash[..kept]);
            kept.map(|kept| format!("{workload}-{kept}…-{unique}"))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Cuts in the middle: generated names differ at their ends.
#[must_use]
pub fn cut_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let half = (width - 1).div_ceil(2);
    let tail_width = half.max(UNIQUE.min(width - 1));
    let mut head = take(text.chars(), width - 1 - tail_width);
    let mut tail: String = take(text.chars().rev(), tail_width).chars().rev().collect();
    // Some characters are wider together than each by itself.
    while format!("{head}…{tail}").width() > width {
        if head.pop().is_none() {
            tail.remove(0);
        }
    }
    format!("{head}…{tail}")
}

/// Cuts names to one width. Different names stay different, if the width allows.
#[must_use]
pub fn cut_apart(names: impl IntoIterator<Item = String>, width: usize) -> HashMap<String, String> {
    let mut alike: HashMap<String, BTreeSet<String>> = HashMap::new();
    for name in names {
        alike
            .entry(cut_name(&name, width))
            .or_default()
            .insert(name);
    }
    let mut apart = HashMap::new();
    for (cut, group) in alike {
        let common = if group.len() > 1 { common(&group) } else { 0 };
        for name in group {
            // Without the common beginning, the difference comes first.
            let cut = match common {
                0 | 1 => cut.clone(),
                common => {
                    let rest: String = name.chars().skip(common).collect();
                    cut_middle(&format!("…{rest}"), width)
                }
            };
            apart.insert(name, cut);
        }
    }
    apart
}

/// The length of the common beginning of all names, in characters.
fn common(names: &BTreeSet<String>) -> usize {
    // Of sorted names, the first and the last differ most.
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return 0;
    };
    let pairs = first.chars().zip(last.chars());
    pairs.take_while(|(a, b)| a == b).count()
}

fn take(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    chars
        .take_while(|c| {
            let fits = c.width().unwrap_or(0) <= left;
            left = left.saturating_sub(c.width().unwrap_or(0));
            fits
        })
        .collect()
}
