//! A small SVG writer: documents without scripts or references, every text escaped here.

use std::fmt::Write as _;

/// Shapes and texts under construction.
#[derive(Debug, Default)]
pub(super) struct Svg(String);

impl Svg {
    /// Begins a group; `title` is its tooltip, which screen readers read.
    pub(super) fn open(&mut self, class: Option<&str>, title: &str) {
        let class = class.map_or_else(String::new, |class| format!(" class=\"{class}\""));
        let title = escape(title);
        let _ = write!(self.0, "<g{class}><title>{title}</title>");
    }

    pub(super) fn close(&mut self) {
        self.0.push_str("</g>\n");
    }

    pub(super) fn rectangle(
        &mut self,
        class: &str,
        (x, y): (usize, usize),
        (width, height): (usize, usize),
    ) {
        let _ = writeln!(
            self.0,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>"
        );
    }

    pub(super) fn line(
        &mut self,
        class: &str,
        (x1, y1): (usize, usize),
        (x2, y2): (usize, usize),
        width: f64,
    ) {
        let _ = writeln!(
            self.0,
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" stroke-width=\"{width:.1}\" stroke-linecap=\"square\"/>"
        );
    }

    /// Writes a text; `anchor` is the end that is at the point: `start`, `middle`, `end`.
    pub(super) fn text(&mut self, class: &str, (x, y): (usize, usize), anchor: &str, text: &str) {
        if !text.is_empty() {
            let _ = writeln!(
                self.0,
                "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>",
                escape(text)
            );
        }
    }

    /// The whole document.
    pub(super) fn document(
        &self,
        (width, height): (usize, usize),
        style: &str,
        (title, description): (&str, &str),
    ) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"t d\"><title id=\"t\">{}</title><desc id=\"d\">{}</desc><style>{style}</style>\n{}</svg>\n",
            escape(title),
            escape(description),
            self.0
        )
    }
}

/// Escapes a text for XML and HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML cannot represent them.
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
