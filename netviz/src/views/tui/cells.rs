//! The columns of a row: rates or counters of both hooks, a chart and the state.

use ratatui::{
    style::{Color, Modifier, Style},
    text::Span,
};

use super::{
    history::spark,
    rows::is_idle,
    state::{Settings, State, Unit},
};
use crate::{
    model::{DoorState, Traffic},
    views::{
        door::{Status, state},
        text::{bits, bytes, count, cut_end, rate, visible_width},
    },
};

/// The least and the greatest width of a chart.
const CHART: (usize, usize) = (4, 30);
/// Columns of the longest state, with its sign and gaps.
const STATE: usize = 15;
/// Columns of a state's sign alone.
pub(super) const SIGN: usize = 3;

/// A figure of a hook: its title, its width and its text.
#[derive(Clone, Copy)]
struct Figure {
    title: &'static str,
    width: usize,
    text: fn(&Traffic) -> String,
}

const PACKET_RATE: Figure = Figure {
    title: "pkt/s",
    width: 8,
    text: |it| rate(it.packets_per_second),
};
const BIT_RATE: Figure = Figure {
    title: "bit/s",
    width: 10,
    text: |it| bits(it.bytes_per_second),
};
const PACKETS: Figure = Figure {
    title: "packets",
    width: 13,
    text: |it| count(it.packets),
};
const SEGMENTS: Figure = Figure {
    title: "segments",
    width: 13,
    text: |it| count(it.segments),
};
const BYTES: Figure = Figure {
    title: "bytes",
    width: 10,
    text: |it| bytes(it.bytes),
};

fn rates(unit: Unit) -> &'static [Figure] {
    match unit {
        Unit::Packets => &[PACKET_RATE],
        Unit::Bits => &[BIT_RATE],
        Unit::Both => &[PACKET_RATE, BIT_RATE],
    }
}

/// The columns that fit.
pub(super) struct Cells {
    figures: Vec<Figure>,
    /// Whether titles stand above the columns, instead of a sign in each row.
    titled: bool,
    chart: usize,
    state: usize,
}

impl Cells {
    /// Columns for the rates, the state, and a chart that is worth looking at.
    pub(super) fn least(settings: Settings) -> usize {
        let titled = settings.figures;
        let cells = Self {
            figures: rates(settings.unit).to_vec(),
            titled,
            chart: 0,
            state: 0,
        };
        let chart = if titled { 0 } else { 2 + 3 * CHART.0 };
        cells.figures_width() + STATE + chart
    }

    /// The columns that fit into `width`.
    pub(super) fn new(settings: Settings, width: usize) -> Self {
        let rates = rates(settings.unit);
        let counters: &[&[Figure]] = match settings.figures {
            true => &[
                &[PACKETS, SEGMENTS, BYTES],
                &[PACKETS, BYTES],
                &[PACKETS],
                &[],
            ],
            false => &[&[]],
        };
        let titled = settings.figures;
        let of = |counters: &[Figure]| Self {
            figures: [rates, counters].concat(),
            titled,
            chart: 0,
            state: 0,
        };
        let fits = |cells: &Self| cells.figures_width() + STATE <= width;
        let mut cells = counters.iter().map(|counters| of(counters));
        let mut cells = cells.find(fits).unwrap_or_else(|| of(&[]));
        // The state is worth more than cut rates.
        if cells.figures_width() + SIGN > width {
            cells.figures.clear();
        }
        let left = width.saturating_sub(cells.figures_width());
        let (least, most) = CHART;
        let chart = left.saturating_sub(STATE + 2).max(left / 3).min(most);
        if !titled && chart >= least && chart + 2 + SIGN <= left {
            cells.chart = chart;
        }
        let taken = if cells.chart > 0 { cells.chart + 2 } else { 0 };
        cells.state = left.saturating_sub(taken);
        cells
    }

    fn figures_width(&self) -> usize {
        // Two spaces before each figure, and a sign before the first one of each hook.
        let signs = if self.titled || self.figures.is_empty() {
            0
        } else {
            4
        };
        2 * self.figures.iter().map(|it| 2 + it.width).sum::<usize>() + signs
    }

    /// The titles of the columns.
    pub(super) fn titles(&self) -> String {
        let mut titles = String::new();
        for sign in ['▼', '▲'] {
            for figure in &self.figures {
                let title = format!("{sign} {}", figure.title);
                let pad = (2 + figure.width).saturating_sub(visible_width(&title));
                titles += &format!("{:pad$}{title}", "");
            }
        }
        format!("{titles}  state")
    }

    /// The columns of a door. Its hooks are exchanged for the view from the other end of its pair.
    pub(super) fn row(
        &self,
        door: &DoorState,
        exchanged: bool,
        state: &State,
    ) -> Vec<Span<'static>> {
        self.with_status(door, Status::of(door), self::state(door), exchanged, state)
    }

    /// The same with another status.
    pub(super) fn with_status(
        &self,
        door: &DoorState,
        status: Status,
        text: String,
        exchanged: bool,
        state: &State,
    ) -> Vec<Span<'static>> {
        let idle = match is_idle(door) || status == Status::Gone {
            true => Modifier::DIM,
            false => Modifier::empty(),
        };
        let mut hooks = [('▼', &door.ingress), ('▲', &door.egress)];
        if exchanged {
            hooks = [('▼', &door.egress), ('▲', &door.ingress)];
        }
        let mut spans = Vec::new();
        for (sign, traffic) in hooks.into_iter().filter(|_| !self.figures.is_empty()) {
            let mut cells = String::new();
            if !self.titled {
                cells += &format!("  {sign}");
            }
            for (place, figure) in self.figures.iter().enumerate() {
                let text = (figure.text)(traffic);
                let gap = if self.titled || place > 0 { 2 } else { 1 };
                let pad = figure.width.saturating_sub(visible_width(&text)) + gap;
                cells += &format!("{:pad$}{text}", "");
            }
            spans.push(Span::styled(cells, idle));
        }
        if self.chart > 0 {
            let readings = state
                .known
                .get(&door.id)
                .map(|known| known.history.busier());
            let most = state.scales.get(&door.node_netns).copied().unwrap_or(0.0);
            let chart = spark(&readings.unwrap_or_default(), self.chart, most);
            spans.push(Span::styled(format!("  {chart}"), idle));
        }
        // The sign always, the words if they fit.
        let text = match self.state {
            0..=5 => format!(" {}", status.sign()),
            room => cut_end(&format!("  {} {text}", status.sign()), room),
        };
        spans.push(Span::styled(text, style(state, status)));
        spans
    }
}

/// A status in colour. The sign beside it says the same.
pub(super) fn style(state: &State, status: Status) -> Style {
    match status {
        Status::Losing => colour(state, Color::Red),
        Status::Blind | Status::Interrupted => colour(state, Color::Yellow),
        Status::Bypassed => colour(state, Color::Cyan),
        Status::Attaching | Status::Gone => Modifier::DIM.into(),
        Status::Ok => Style::new(),
    }
}

/// One of the six colours that are readable on every background.
pub(super) fn colour(state: &State, colour: Color) -> Style {
    match state.options.colour {
        true => colour.into(),
        false => Style::new(),
    }
}
