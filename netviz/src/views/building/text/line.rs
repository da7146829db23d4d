//! Lines that can be turned round, for buildings on the other side of the street.

use crate::views::text::visible_width;

/// A piece of a line: writing keeps its direction when the line is turned, signs do not.
#[derive(Clone, Debug)]
enum Part {
    Writing(String),
    Signs(String),
}

/// One line inside of a building, from the outer wall to the street.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    parts: Vec<Part>,
    /// Whether nothing crosses what is drawn there.
    pub(super) quiet: bool,
    /// Where the line goes on through the wall: with which sign.
    pub(super) onward: Option<char>,
}

impl Line {
    pub(super) fn quiet(quiet: bool) -> Self {
        Self {
            quiet,
            ..Self::default()
        }
    }

    /// Adds what is to be read.
    pub(super) fn write(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Writing(text.into()));
        self
    }

    /// Adds signs.
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
            Part::Writing(text) | Part::Signs(text) => visible_width(text),
        };
        self.parts.iter().map(width).sum()
    }

    /// The line from left to right.
    pub(super) fn text(&self, turned: bool) -> String {
        let part = |part: &Part| match part {
            Part::Signs(signs) if turned => signs.chars().rev().map(turn).collect(),
            Part::Writing(text) | Part::Signs(text) => text.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_keeps_its_direction() {
        let line = Line::default()
            .write("eth0")
            .sign(" ")
            .write("8")
            .sign(" ▐╪══▶");
        assert_eq!(line.text(false), "eth0 8 ▐╪══▶");
        assert_eq!(line.text(true), "◀══╪▌ 8 eth0");
    }
}
