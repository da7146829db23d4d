//! Pieces of text: numbers, columns, and cutting to a width.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Display,
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub use crate::model::safe;

/// An unknown number, which is not 0.
pub const UNKNOWN: &str = "–";

/// How a view for people is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `None` if the output is not a terminal.
    pub width: Option<usize>,
    /// Whether to use colours. They only repeat what the text says.
    pub colour: bool,
    /// Draw with ASCII characters only. Names keep their characters.
    pub ascii: bool,
    /// Show all details.
    pub full: bool,
}

/// Replaces the characters that views draw with by ASCII ones.
#[must_use]
pub fn ascii(text: &str) -> String {
    let ascii = |c| match c {
        '┌' | '┐' | '└' | '┘' | '╪' | '┼' | '╗' | '╝' | '╔' | '╚' | '╠' | '╣' | '╬' | '╦' | '╩' => {
            '+'
        }
        '│' | '▐' | '▌' | '║' => '|',
        '─' => '-',
        '═' => '=',
        '┄' | '·' => '.',
        '▼' => 'v',
        '▲' => '^',
        '▶' | '▷' => '>',
        '◀' | '◁' => '<',
        '…' => '~',
        '–' => '?',
        other => other,
    };
    text.chars().map(ascii).collect()
}

/// Escapes a label for Mermaid, which reads HTML and its own `#…;`.
pub(super) fn entities(text: &str) -> String {
    let entity = |c| match c {
        '"' | '<' | '>' | '&' | '#' | '`' | '\\' | ';' | '[' | ']' | '{' | '}' | '|' => {
            format!("#{};", u32::from(c))
        }
        other => other.to_string(),
    };
    text.chars().map(entity).collect()
}

/// Aligns cells in columns, each followed by two spaces; `right` selects the columns to align to
/// the right.
pub(super) fn grid(
    rows: impl IntoIterator<Item = Vec<String>>,
    right: impl Fn(usize) -> bool,
) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .add_rows(rows);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().collect()
}

/// Joins items.
#[must_use]
pub fn list<T: Display>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

const ESCAPE: char = '\u{1b}';
/// Ends all colours.
const RESET: &str = "\u{1b}[0m";

/// Cuts in the middle: generated names differ at their ends.
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

/// Cuts names to one width. Different names stay different, if the width allows.
#[must_use]
pub fn cut_apart(names: impl IntoIterator<Item = String>, width: usize) -> HashMap<String, String> {
    let mut alike: HashMap<String, BTreeSet<String>> = HashMap::new();
    for name in names {
        alike
            .entry(cut_middle(&name, width))
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

/// Cuts at the end. Colour sequences have no width and end at the cut.
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

/// The width of a text in columns, without colour sequences.
#[must_use]
pub fn visible_width(text: &str) -> usize {
    let visible = with_sequences(text).filter_map(|(sequence, c)| (!sequence).then_some(c));
    visible.collect::<String>().width()
}

/// The width of the widest line.
pub(super) fn widest<T: AsRef<str>>(lines: &[T]) -> usize {
    let widths = lines.iter().map(|line| visible_width(line.as_ref()));
    widths.max().unwrap_or(0)
}

/// Marks the characters of colour sequences, which are netviz's own: names are [`safe`].
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

/// A rate: one decimal below 1 000, none above; a plain 0 if nothing crossed.
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
    match value {
        None => UNKNOWN.into(),
        Some(value) if value < 1024 => format!("{value} B"),
        Some(value) => {
            let mut scaled = value as f64 / 1024.0;
            let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
            while scaled >= 1023.95 && units.len() > 1 {
                scaled /= 1024.0;
                units.next();
            }
            format!("{scaled:.1} {}", units.next().unwrap_or_default())
        }
    }
}

/// A time of microseconds in 9 columns: `    1.1 us`.
pub(super) fn micros(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) else {
        return format!("{UNKNOWN:>6}   ");
    };
    match value {
        value if value < 999.95 => format!("{value:>6.1} us"),
        value if value < 999_950.0 => format!("{:>6.1} ms", value / 1e3),
        value if value < 1e10 => format!("{:>6.1} s ", value / 1e6),
        _ => "  hours  ".into(),
    }
}
