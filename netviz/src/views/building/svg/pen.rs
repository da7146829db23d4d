//! Lines, boxes and writing; a building on the other side of the street is drawn turned round.

use std::fmt::Write as _;

/// Draws into one building at a time.
#[derive(Debug, Default)]
pub(super) struct Pen {
    out: String,
    left: usize,
    width: usize,
    turned: bool,
}

/// Which end of a text stands at its place, in a building that is not turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Pen {
    /// From now on, places are within a building that begins at `left`.
    pub(super) fn turn(&mut self, left: usize, width: usize, turned: bool) {
        (self.left, self.width, self.turned) = (left, width, turned);
    }

    pub(super) fn drawn(&self) -> &str {
        &self.out
    }

    fn x(&self, x: usize) -> usize {
        match self.turned {
            true => self.left + self.width - x,
            false => self.left + x,
        }
    }

    /// Begins a group; `title` is what a pointer or a screen reader is told.
    pub(super) fn open(&mut self, class: Option<&str>, title: &str) {
        let class = class.map_or_else(String::new, |class| format!(" class=\"{class}\""));
        let title = escape(title);
        let _ = write!(self.out, "<g{class}><title>{title}</title>");
    }

    pub(super) fn close(&mut self) {
        self.out.push_str("</g>\n");
    }

    pub(super) fn rectangle(&mut self, class: &str, (x, y): (usize, usize), size: (usize, usize)) {
        let (width, height) = size;
        let x = match self.turned {
            true => self.x(x) - width,
            false => self.x(x),
        };
        let _ = writeln!(
            self.out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>"
        );
    }

    /// A line that is wider the more crosses it; of its own kind where nothing is known.
    pub(super) fn line(&mut self, from: (usize, usize), to: (usize, usize), busiest: Option<f64>) {
        let class = match busiest {
            None => "u",
            Some(0.0) => "q",
            Some(_) => "c",
        };
        // A line for a packet, ten times as wide for a million.
        let width = 1.5 + (1.0 + busiest.unwrap_or(0.0)).log10() * 2.0;
        let (x1, x2) = (self.x(from.0), self.x(to.0));
        let _ = writeln!(
            self.out,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{}\" x2=\"{x2}\" y2=\"{}\" stroke-width=\"{width:.1}\" stroke-linecap=\"square\"/>",
            from.1, to.1
        );
    }

    pub(super) fn write(&mut self, class: &str, (x, y): (usize, usize), at: Anchor, text: &str) {
        if text.is_empty() {
            return;
        }
        let anchor = match (at, self.turned) {
            (Anchor::Middle, _) => "middle",
            (Anchor::Start, false) | (Anchor::End, true) => "start",
            (Anchor::End, false) | (Anchor::Start, true) => "end",
        };
        let _ = writeln!(
            self.out,
            "<text class=\"{class}\" x=\"{}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
            self.x(x),
            escape(text)
        );
    }
}

pub(in crate::views) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no way to write them.
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
