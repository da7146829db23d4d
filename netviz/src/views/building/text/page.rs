//! Buildings below and beside each other, and the street between them.

use super::line::Line;
use crate::views::text::{cut_end, visible_width};

/// Columns of the street beside buildings that are below one another.
pub(super) const UNDER: usize = 3;
/// Columns of the street between two buildings.
pub(super) const BESIDE: usize = 5;

/// A building with its walls.
pub(super) struct Plot {
    heading: String,
    rooms: Vec<Line>,
    gates: Vec<Line>,
    inner: usize,
}

impl Plot {
    pub(super) fn new(heading: String, rooms: Vec<Line>, gates: Vec<Line>, inner: usize) -> Self {
        Self {
            heading,
            rooms,
            gates,
            inner,
        }
    }

    /// Lines between its walls.
    pub(super) fn height(&self) -> usize {
        self.rooms.len() + self.gates.len()
    }

    /// Makes it as high as its neighbour; the gates remain at the bottom.
    pub(super) fn stretch(&mut self, height: usize) {
        let rooms = height.saturating_sub(self.gates.len());
        self.rooms
            .resize(rooms.max(self.rooms.len()), Line::default());
    }

    /// Its lines, each with the sign with which it continues to the street.
    fn lines(&self, turned: bool, colour: bool) -> Vec<(String, Option<char>)> {
        let width = self.inner + 4;
        let title = cut_end(&self.heading, width - 4);
        let rule = "─".repeat(width - 4 - visible_width(&title));
        let mut lines = vec![(format!("┌ {title} {rule}┐"), None)];
        for line in self.rooms.iter().chain(&self.gates) {
            lines.push((self.walled(line, turned, colour), line.onward));
        }
        lines.push((format!("└{}┘", "─".repeat(width - 2)), None));
        lines
    }

    fn walled(&self, line: &Line, turned: bool, colour: bool) -> String {
        // A line that continues to the street crosses the wall.
        let (inner, wall) = match line.onward {
            Some('═') => (self.inner + 1, "╪"),
            Some(_) => (self.inner + 1, "┼"),
            None => (self.inner, " │"),
        };
        let line_of = line.clone().fill(' ', inner);
        let mut text = line_of.text(turned);
        if visible_width(&text) > inner {
            text = cut_end(&text, inner);
        }
        if colour && line.quiet {
            text = format!("\u{1b}[2m{text}\u{1b}[0m");
        }
        match turned {
            true => format!("{}{text} │", wall.chars().rev().collect::<String>()),
            false => format!("│ {text}{wall}"),
        }
    }
}

/// All rows of buildings under construction.
pub(super) struct Street {
    width: usize,
    beside: bool,
    /// Whether the buildings are connected.
    way: bool,
    rows: Vec<Row>,
}

/// One line of the whole drawing, and the signs with which it continues to the street.
#[derive(Default)]
struct Row {
    left: String,
    right: String,
    ports: [Option<char>; 2],
}

impl Street {
    pub(super) fn new(width: usize, beside: bool, way: bool) -> Self {
        Self {
            width,
            beside,
            way,
            rows: Vec::new(),
        }
    }

    /// Adds one building, or two of the same height.
    pub(super) fn add(&mut self, plots: &[Plot], colour: bool) {
        if !self.rows.is_empty() {
            self.rows.push(Row::default());
        }
        let [left, right] = [0, 1].map(|side| {
            let plot = plots.get(side);
            plot.map_or_else(Vec::new, |plot| plot.lines(side == 1, colour))
        });
        let mut right = right.into_iter();
        for (left, from_left) in left {
            let (right, from_right) = right.next().unwrap_or_default();
            self.rows.push(Row {
                left,
                right,
                ports: [from_left, from_right],
            });
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let joined = |row: &Row| row.ports.iter().any(Option::is_some);
        let first = self.rows.iter().position(joined);
        let last = self.rows.iter().rposition(joined);
        let line = |(place, row): (usize, &Row)| {
            let up = first.is_some_and(|first| place > first) && last >= Some(place);
            let down = last.is_some_and(|last| place < last) && first.is_some_and(|it| it <= place);
            let missing = self.width.saturating_sub(visible_width(&row.left));
            let left = format!("{}{}", row.left, " ".repeat(missing));
            let street = self.street(row.ports, up, down);
            format!("{left}{street}{}", row.right).trim_end().to_owned()
        };
        self.rows.iter().enumerate().map(line).collect()
    }

    fn street(&self, ports: [Option<char>; 2], up: bool, down: bool) -> String {
        if !self.way {
            return if self.beside { "   " } else { "" }.into();
        }
        let joints = [up, down, ports[0].is_some(), ports[1].is_some()];
        let joint = joints
            .into_iter()
            .fold(0, |bits, it| 2 * bits + usize::from(it));
        let [left, right] = ports.map(|port| port.unwrap_or(' ').to_string().repeat(2));
        let right = if self.beside { right } else { String::new() };
        format!("{left}{}{right}", JOINTS[joint])
    }
}

/// Signs that lead up (8), down (4), left (2) and right (1).
const JOINTS: [char; 16] = [
    ' ', ' ', ' ', '═', ' ', '╔', '╗', '╦', ' ', '╚', '╝', '╩', '║', '╠', '╣', '╬',
];
