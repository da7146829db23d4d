//! A scene in characters: lines that meet are joined.

use crate::views::building::{
    route::Flow,
    scene::{Door, Kind, Label, Line, Scene},
};

/// How a line is drawn; where two lie over each other, the later one is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stroke {
    Wall,
    Idle,
    Unknown,
    Tunnel,
    Reply,
    Lost,
    Busy,
}

/// What a character emphasises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tone {
    #[default]
    Plain,
    Faint,
    Bold,
    Path,
    Tunnel,
    Odd,
    Bad,
}

/// One column of one row.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// Lines that lead up, down, left and right.
    strokes: [Option<Stroke>; 4],
    text: Option<String>,
    tone: Tone,
}

/// Rows of cells.
pub(super) struct Canvas {
    rows: Vec<Vec<Cell>>,
}

const UP: usize = 0;
const DOWN: usize = 1;
const LEFT: usize = 2;
const RIGHT: usize = 3;

impl From<Flow> for Stroke {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Idle => Self::Idle,
            Flow::Unknown => Self::Unknown,
            Flow::Busy(_) | Flow::Request => Self::Busy,
            Flow::Reply => Self::Reply,
            Flow::Lost => Self::Lost,
        }
    }
}

impl Stroke {
    pub(super) fn horizontal(self) -> char {
        match self {
            Self::Wall | Self::Reply => '─',
            Self::Idle => '┄',
            Self::Unknown => '?',
            Self::Tunnel => '╍',
            Self::Lost => '×',
            Self::Busy => '═',
        }
    }

    fn vertical(self) -> char {
        match self {
            Self::Wall | Self::Reply => '│',
            Self::Idle => '┆',
            Self::Unknown => '?',
            Self::Tunnel => '╏',
            Self::Lost => '×',
            Self::Busy => '║',
        }
    }

    fn is_double(self) -> bool {
        self == Self::Busy
    }
}

impl Canvas {
    pub(super) fn paint(scene: &Scene) -> Self {
        let (width, height) = scene.size;
        let mut canvas = Self {
            rows: vec![vec![Cell::default(); width]; height],
        };
        for frame in &scene.frames {
            let ([left, top], [right, bottom]) =
                ([frame.from.0, frame.from.1], [frame.to.0, frame.to.1]);
            let tone = if frame.quiet {
                Tone::Faint
            } else {
                Tone::Plain
            };
            for y in [top, bottom] {
                canvas.stroke([(left, y), (right, y)], Stroke::Wall, tone);
            }
            for x in [left, right] {
                canvas.stroke([(x, top), (x, bottom)], Stroke::Wall, tone);
            }
        }
        for line in &scene.lines {
            canvas.line(line);
        }
        for door in &scene.doors {
            canvas.door(door);
        }
        for label in &scene.labels {
            canvas.label(label);
        }
        canvas
    }

    fn at(&mut self, (x, y): (usize, usize)) -> Option<&mut Cell> {
        self.rows.get_mut(y)?.get_mut(x)
    }

    fn line(&mut self, line: &Line) {
        let (stroke, tone) = match line.flow {
            Flow::Idle | Flow::Unknown if line.tunnel => (Stroke::Tunnel, Tone::Faint),
            _ if line.tunnel => (Stroke::Tunnel, Tone::Tunnel),
            Flow::Idle | Flow::Reply => (line.flow.into(), Tone::Faint),
            Flow::Unknown | Flow::Busy(_) => (line.flow.into(), Tone::Plain),
            Flow::Lost => (Stroke::Lost, Tone::Bad),
            Flow::Request => (Stroke::Busy, Tone::Path),
        };
        self.stroke([line.from, line.to], stroke, tone);
    }

    /// A line from the left to the right, or from the top to the bottom.
    fn stroke(&mut self, [from, to]: [(usize, usize); 2], stroke: Stroke, tone: Tone) {
        let across = from.1 == to.1;
        let [back, forth] = if across { [LEFT, RIGHT] } else { [UP, DOWN] };
        let (first, last) = if across {
            (from.0, to.0)
        } else {
            (from.1, to.1)
        };
        for place in first..=last {
            let at = if across {
                (place, from.1)
            } else {
                (from.0, place)
            };
            let Some(cell) = self.at(at) else { continue };
            // A line of one column has no direction but its own.
            for (side, leads) in [
                (back, place > first),
                (forth, place < last || first == last),
            ] {
                if leads {
                    cell.strokes[side] = cell.strokes[side].max(Some(stroke));
                }
            }
            if stroke != Stroke::Wall || cell.tone == Tone::Plain {
                cell.tone = tone;
            }
        }
    }

    fn door(&mut self, door: &Door) {
        if let Some(cell) = self.at(door.at) {
            cell.text = Some(if door.left { "▌" } else { "▐" }.into());
        }
    }

    fn label(&mut self, label: &Label) {
        let (first, end) = label.columns();
        let tone = match label.kind {
            Kind::Node => Tone::Bold,
            Kind::Request => Tone::Path,
            Kind::Reply => Tone::Faint,
            Kind::Lost => Tone::Bad,
            Kind::Mark => Tone::Odd,
            _ if label.quiet => Tone::Faint,
            Kind::Pod | Kind::Door | Kind::Figures | Kind::Small => Tone::Plain,
        };
        for x in first..end {
            if let Some(cell) = self.at((x, label.at.1)) {
                let text = (x == first).then(|| label.text.clone());
                (cell.text, cell.tone) = (Some(text.unwrap_or_default()), tone);
            }
        }
        // In a wall, a text has a blank on both sides.
        for x in [first.checked_sub(1), Some(end)].into_iter().flatten() {
            let Some(cell) = self.at((x, label.at.1)) else {
                continue;
            };
            let wall = [LEFT, RIGHT].map(|side| cell.strokes[side]) == [Some(Stroke::Wall); 2];
            if wall && cell.text.is_none() {
                cell.text = Some(" ".into());
            }
        }
    }

    /// The rows, without blanks at their ends.
    pub(super) fn lines(&self, colour: bool) -> Vec<String> {
        let line = |row: &Vec<Cell>| {
            let last = row
                .iter()
                .rposition(|cell| cell.sign().is_some_and(|it| it != " "));
            let row = &row[..last.map_or(0, |last| last + 1)];
            let runs = row.chunk_by(|a, b| a.tone == b.tone);
            let text = |run: &[Cell]| {
                let text: String = run
                    .iter()
                    .map(|cell| cell.sign().unwrap_or_default())
                    .collect();
                match run[0].tone.sequence().filter(|_| colour) {
                    Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
                    None => text,
                }
            };
            runs.map(text).collect()
        };
        self.rows.iter().map(line).collect()
    }
}

impl Cell {
    /// Its character; `None` where the text before it reaches.
    fn sign(&self) -> Option<String> {
        match &self.text {
            Some(text) if text.is_empty() => None,
            Some(text) => Some(text.clone()),
            None => Some(self.joint().to_string()),
        }
    }

    fn joint(&self) -> char {
        let [up, down, left, right] = self.strokes;
        let (across, along) = (left.max(right), up.max(down));
        let leads = [up, down, left, right].map(|it| usize::from(it.is_some()));
        let place = 8 * leads[UP] + 4 * leads[DOWN] + 2 * leads[LEFT] + leads[RIGHT];
        match (across, along) {
            (None, None) => ' ',
            (Some(stroke), None) => stroke.horizontal(),
            (None, Some(stroke)) => stroke.vertical(),
            (Some(across), Some(along)) => {
                let style = 2 * usize::from(across.is_double()) + usize::from(along.is_double());
                JOINTS[style].chars().nth(place).unwrap_or('┼')
            }
        }
    }
}

/// Signs that lead up (8), down (4), left (2) and right (1): with single lines, with a double vertical
/// line, with a double horizontal line, and with both.
const JOINTS: [&str; 4] = [
    " ───│┌┐┬│└┘┴│├┤┼",
    " ───║╓╖╥║╙╜╨║╟╢╫",
    " ═══│╒╕╤│╘╛╧│╞╡╪",
    " ═══║╔╗╦║╚╝╩║╠╣╬",
];

impl Tone {
    /// ANSI colours that can be read on light and dark terminals.
    fn sequence(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Faint => Some("2"),
            Self::Bold => Some("1"),
            Self::Path => Some("36"),
            Self::Tunnel => Some("35"),
            Self::Odd => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}
