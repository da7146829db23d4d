//! Pieces of text: numbers, columns, and cutting to a width.

mod names;
mod time;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub(super) use self::time::clock;
pub use self::{
    names::{cut_apart, cut_middle, cut_name},
    time::local_time,
};
pub use crate::model::{list, safe};

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
        '│' | '▐' | '▌' | '║' => '|',
        '─' | '╍' => '-',
        '═' => '=',
        '┄' | '·' => '.',
        '┆' | '╏' => ':',
        // All corners and crossings.
        '┌'..='╬' => '+',
        '▼' | '▾' | '↓' => 'v',
        '▲' | '↑' => '^',
        '▶' | '▷' | '▸' | '→' | '»' => '>',
        '◀' | '◁' | '←' => '<',
        '╶' => '-',
        '▁' => '_',
        '▂' | '▃' => '.',
        '▄' | '▅' => ':',
        '▆' | '▇' => '|',
        '█' => '#',
        '✓' => '+',
        '×' | '✗' => 'x',
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

const ESCAPE: char = '\u{1b}';
/// Ends all colours.
const RESET: &str = "\u{1b}[0m";

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

/// Bits per second of a rate in bytes: `9.8 Mbit/s`.
#[must_use]
pub fn bits(bytes_per_second: Option<f64>) -> String {
    let Some(mut scaled) = bytes_per_second.map(|bytes| bytes * 8.0) else {
        return UNKNOWN.into();
    };
    if scaled == 0.0 {
        return "0".into();
    }
    let mut units = ["", "k", "M", "G", "T"].into_iter();
    while scaled >= 999.5 && units.len() > 1 {
        scaled /= 1000.0;
        units.next();
    }
    let decimals = usize::from(scaled < 9.95);
    let unit = units.next().unwrap_or_default();
    format!("{scaled:.decimals$} {unit}bit/s")
}

/// A rate in few columns: `1.2k`.
#[must_use]
pub(super) fn short_rate(value: f64) -> String {
    match value {
        value if value < 999.95 => rate(Some(value)),
        value if value < 999_950.0 => format!("{:.1}k", value / 1e3),
        value => format!("{:.1}M", value / 1e6),
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
