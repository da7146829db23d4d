//! Lines that can be mirrored, for buildings on the right side of the street.

use crate::views::text::visible_width;

/// A piece of a line. Text stays readable when the line is mirrored.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Signs(String),
}

/// One line of a building, from the outer wall to the street.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    parts: Vec<Part>,
    /// Whether it shows something idle.
    pub(super) quiet: bool,
    /// The sign with which the line continues through the wall.
    pub(super) onward: Option<char>,
}

impl Line {
    pub(super) fn quiet(quiet: bool) -> Self {
        Self {
            quiet,
            ..Self::default()
        }
    }

    pub(super) fn write(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    pub(super) fn sign(mut self, signs: impl Into<String>) -> Self {
        self.parts.push(Part::Signs(signs.into()));
        self
    }

    /// Adds the parts of another line.
    pub(super) fn join(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Adds `sign` until the line is `width` columns wide.
    pub(super) fn fill(self, sign: char, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        self.sign(sign.to_string().repeat(missing))
    }

    pub(super) fn width(&self) -> usize {
        let width = |part: &Part| match part {
            Part::Text(text) | Part::Signs(text) => visible_width(text),
        };
        self.parts.iter().map(width).sum()
    }

    /// The line from left to right.
    pub(super) fn text(&self, turned: bool) -> String {
        let part = |part: &Part| match part {
            Part::Signs(signs) if turned => signs.chars().rev().map(turn).collect(),
            Part::Text(text) | Part::Signs(text) => text.clone(),
        };
        match turned {
            true => self.parts.iter().rev().map(part).collect(),
            false => self.parts.iter().map(part).collect(),
        }
    }
}

fn turn(sign: char) -> char {
    match sign {
        '┌' => '┐',
        '┐' => '┌',
        '└' => '┘',
        '┘' => '└',
        '▐' => '▌',
        '▌' => '▐',
        '▶' => '◀',
        '▷' => '◁',
        other => other,
    }
}
