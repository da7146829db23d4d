//! A pen that draws one building at a time, mirrored on the right side of the street.

use crate::views::svg::Svg;

/// Width of a building.
pub(super) const HOUSE: usize = 660;
/// Width of the street between two buildings.
pub(super) const STREET: usize = 116;

/// Draws in one building at a time.
#[derive(Debug, Default)]
pub(super) struct Pen {
    pub(super) svg: Svg,
    left: usize,
    width: usize,
    turned: bool,
}

/// The end of a text that is at its point, in a building that is not mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Pen {
    /// Moves to a building that begins at `left`: points are relative to it.
    pub(super) fn turn(&mut self, left: usize, width: usize, turned: bool) {
        (self.left, self.width, self.turned) = (left, width, turned);
    }

    fn x(&self, x: usize) -> usize {
        match self.turned {
            true => self.left + self.width - x,
            false => self.left + x,
        }
    }

    pub(super) fn rectangle(&mut self, class: &str, (x, y): (usize, usize), size: (usize, usize)) {
        let x = if self.turned { x + size.0 } else { x };
        self.svg.rectangle(class, (self.x(x), y), size);
    }

    /// A line, the wider the more packets cross it.
    pub(super) fn line(&mut self, from: (usize, usize), to: (usize, usize), busiest: Option<f64>) {
        let class = match busiest {
            None => "u",
            Some(0.0) => "q",
            Some(_) => "c",
        };
        // A million packets per second are ten times as wide as one.
        let width = 1.5 + (1.0 + busiest.unwrap_or(0.0)).log10() * 2.0;
        let (from, to) = ((self.x(from.0), from.1), (self.x(to.0), to.1));
        self.svg.line(class, from, to, width);
    }

    pub(super) fn write(&mut self, class: &str, (x, y): (usize, usize), at: Anchor, text: &str) {
        let anchor = match (at, self.turned) {
            (Anchor::Middle, _) => "middle",
            (Anchor::Start, false) | (Anchor::End, true) => "start",
            (Anchor::End, false) | (Anchor::Start, true) => "end",
        };
        self.svg.text(class, (self.x(x), y), anchor, text);
    }
}
