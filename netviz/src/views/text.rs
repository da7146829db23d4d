//! Pieces of text: names that nobody can be trusted with, numbers, and cutting to a width.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Display,
};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub use crate::model::safe;

/// Stands for a number that is not known, which is not 0.
pub const UNKNOWN: &str = "–";

/// Joins what can be shown.
#[must_use]
pub fn list<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

const ESCAPE: char = '\u{1b}';
/// Ends all colours.
const RESET: &str = "\u{1b}[0m";

/// Cuts in the middle: the ends of generated names are what tells them apart.
#[must_use]
pub fn cut_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let tail_width = (width - 1).div_ceil(2);
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

/// Cuts many names to one width so that no two that differ look the same, where that can be.
#[must_use]
pub fn cut_apart(names: &[String], width: usize) -> HashMap<&str, String> {
    let mut alike: HashMap<String, BTreeSet<&str>> = HashMap::new();
    for name in names {
        alike
            .entry(cut_middle(name, width))
            .or_default()
            .insert(name);
    }
    let mut apart = HashMap::new();
    for (cut, group) in alike {
        let common = if group.len() > 1 { common(&group) } else { 0 };
        for name in group {
            // What is said of all of them goes, what tells them apart comes to the front.
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

/// How many characters all names begin with.
fn common(names: &BTreeSet<&str>) -> usize {
    // In their order, the first and the last differ the most.
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return 0;
    };
    let pairs = first.chars().zip(last.chars());
    pairs.take_while(|(a, b)| a == b).count()
}

/// Breaks a text at its spaces; lines after the first begin with `indent` spaces.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last_mut().expect("never empty");
        if !line.trim().is_empty() && visible_width(format!("{line}{word}").trim_end()) > width {
            lines.push(format!("{:indent$}{word}", ""));
        } else {
            line.push_str(word);
        }
    }
    lines
        .iter()
        .map(|line| cut_end(line.trim_end(), width))
        .collect()
}

/// Cuts at the end; colours take no room, and do not reach beyond the cut.
#[must_use]
pub fn cut_end(text: &str, width: usize) -> String {
    if visible_width(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut cut = String::new();
    for (sequence, c) in with_sequences(text) {
        let needs = if sequence { 0 } else { c.width().unwrap_or(0) };
        if needs > left {
            break;
        }
        left -= needs;
        cut.push(c);
    }
    // Some characters are wider together than each by itself.
    let rest = if width > 0 { "…" } else { "" };
    while visible_width(&format!("{cut}{rest}")) > width && cut.pop().is_some() {}
    cut.push_str(rest);
    if cut.contains(ESCAPE) {
        cut.push_str(RESET);
    }
    cut
}

/// Columns that a text takes on the screen, colours not counted.
#[must_use]
pub fn visible_width(text: &str) -> usize {
    let visible = with_sequences(text).filter_map(|(sequence, c)| (!sequence).then_some(c));
    visible.collect::<String>().width()
}

/// Marks the characters of colour sequences. Only netviz's own are ever in a text: names are made
/// [`safe`] before.
fn with_sequences(text: &str) -> impl Iterator<Item = (bool, char)> {
    let mut inside = false;
    text.chars().map(move |c| {
        let sequence = inside || c == ESCAPE;
        inside = sequence && !c.is_ascii_alphabetic();
        (sequence, c)
    })
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

/// A count, in groups of three digits: `1 204`.
#[must_use]
pub fn count(value: Option<u64>) -> String {
    let Some(value) = value else {
        return UNKNOWN.into();
    };
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A rate: one decimal below 1 000, none above; a plain 0 where nothing crossed.
#[must_use]
pub fn rate(value: Option<f64>) -> String {
    match value {
        None => UNKNOWN.into(),
        Some(0.0) => "0".into(),
        Some(value) if value < 999.95 => format!("{value:.1}"),
        Some(value) => count(Some(value.round() as u64)),
    }
}

/// Bytes with a binary unit: `1.2 MiB`.
#[must_use]
pub fn bytes(value: Option<u64>) -> String {
    let Some(value) = value else {
        return UNKNOWN.into();
    };
    let mut scaled = value as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1023.95 {
            return if unit == "B" {
                format!("{value} B")
            } else {
                format!("{scaled:.1} {unit}")
            };
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} PiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(count(None), "–");
        assert_eq!(count(Some(0)), "0");
        assert_eq!(count(Some(999)), "999");
        assert_eq!(count(Some(1_204)), "1 204");
        assert_eq!(count(Some(u64::MAX)), "18 446 744 073 709 551 615");
        assert_eq!(rate(Some(12.04)), "12.0");
        assert_eq!(rate(Some(1_000.4)), "1 000");
        assert_eq!(rate(Some(0.0)), "0");
        assert_eq!(bytes(Some(1023)), "1023 B");
        assert_eq!(bytes(Some(1536)), "1.5 KiB");
        assert_eq!(bytes(Some(u64::MAX)), "16384.0 PiB");
    }

    #[test]
    fn cutting_keeps_the_width_and_both_ends() {
        assert_eq!(
            cut_middle("busybox-c8bbbbb84-fmhwc", 23),
            "busybox-c8bbbbb84-fmhwc"
        );
        assert_eq!(cut_middle("busybox-c8bbbbb84-fmhwc", 14), "busybo…4-fmhwc");
        assert_eq!(cut_end("counting", 5), "coun…");
        assert_eq!(cut_middle("日本語日本語日本語", 6).width(), 5);
        assert_eq!(cut_middle("abc", 0), "");
        assert_eq!(cut_middle("abc", 1), "…");
    }

    #[test]
    fn names_that_differ_are_cut_apart() {
        let names = ["team-a/frontend-canary-0", "team-b/frontend-canary-0", "x"].map(Into::into);
        let cut = cut_apart(&names, 10);
        assert_eq!(cut[names[0].as_str()], "…a/f…ary-0");
        assert_eq!(cut[names[1].as_str()], "…b/f…ary-0");
        assert_eq!(cut["x"], "x");
    }

    #[test]
    fn long_texts_are_wrapped() {
        assert_eq!(wrap("one two three", 20, 2), ["one two three"]);
        assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrap("extraordinarily long", 8, 2), ["extraor…", "  long"]);
    }

    #[test]
    fn colours_take_no_room_and_end_at_the_cut() {
        let red = "\u{1b}[31mcounting\u{1b}[0m";
        assert_eq!(visible_width(red), 8);
        assert_eq!(cut_end(red, 8), red);
        assert_eq!(cut_end(red, 5), "\u{1b}[31mcoun…\u{1b}[0m");
    }
}
