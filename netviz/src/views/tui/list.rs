//! The list of nodes, pods and doors: the rows in view.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{List, ListState},
};

use super::{
    history::spark,
    rows::{Mark, Row},
    state::{State, first},
};
use crate::{
    model::{DoorState, NetNsId, Snapshot, State as DoorStatus},
    views::{
        door::{Status, hooks, pair_name},
        summary,
        text::{UNKNOWN, cut_end, cut_middle, cut_name, rate, safe, visible_width},
    },
};

/// Columns of an interface's name, which has at most 15 characters.
const NAME: usize = 15;
const INDEX: usize = 5;
const RATE: usize = 8;
/// Columns of the longest state.
const WORD: usize = 11;
/// Columns beside the chart and the state: the selection, the joint, the name, both rates, a gap.
const FIXED: usize = 2 + 6 + NAME + INDEX + 2 * (4 + RATE) + 2;
/// The least and the greatest width of a chart.
const CHART: (usize, usize) = (4, 60);

/// Draws the rows in view, the selected one in bold behind `>`.
pub(super) fn draw(frame: &mut Frame, area: Rect, state: &State) {
    let (Some(snapshot), false) = (&state.shown, area.is_empty()) else {
        return;
    };
    if state.rows.is_empty() {
        frame.render_widget(Line::raw(nothing(state)), area);
        return;
    }
    let height = usize::from(area.height);
    let top = first(state.top, state.place, state.rows.len(), height);
    let width = usize::from(area.width);
    let rows = state.rows.iter().skip(top).take(height);
    let list = List::new(rows.map(|row| line(row, snapshot, width, state)))
        .highlight_symbol("> ")
        .highlight_style(Modifier::BOLD);
    let mut selected = ListState::default().with_selected(Some(state.place - top));
    frame.render_stateful_widget(list, area, &mut selected);
}

fn line(row: &Row, snapshot: &Snapshot, width: usize, state: &State) -> Line<'static> {
    let doors = &snapshot.doors;
    match row {
        Row::Node {
            name,
            netns,
            folded,
        } => {
            let sign = if *folded { '▸' } else { '▾' };
            let node = format!("{sign} {name}{}", cluster(snapshot, *netns));
            Line::styled(node, Modifier::BOLD)
        }
        Row::Group {
            doors: places,
            mark,
        } => {
            let doors: Vec<_> = places.iter().map(|place| &doors[*place]).collect();
            group(&doors, *mark, width, state)
        }
        Row::Door { door, joint } => self::door(&doors[*door], *joint, width, state),
    }
}

fn nothing(state: &State) -> String {
    match safe(&state.filter) {
        filter if filter.is_empty() => "no doors".into(),
        filter => format!("nothing matches {filter:?}; Esc clears the filter"),
    }
}

/// Addresses and routing of a node.
fn cluster(snapshot: &Snapshot, netns: NetNsId) -> String {
    let mut nodes = snapshot.nodes.iter();
    let Some(node) = nodes.find(|node| node.netns == netns) else {
        return String::new();
    };
    let addresses = node.addresses.iter().map(ToString::to_string);
    let parts = addresses.chain(summary::cluster(node));
    parts.map(|part| format!("  {}", safe(&part))).collect()
}

fn group(doors: &[&DoorState], mark: Mark, width: usize, state: &State) -> Line<'static> {
    let (word, style) = match mark {
        Mark::Stays => ("", Style::new()),
        Mark::New => ("  new", colour(state, Color::Green)),
        Mark::Gone => ("  gone", (Modifier::CROSSED_OUT | Modifier::DIM).into()),
    };
    let address = doors.iter().find_map(|door| door.addresses.first());
    let address = address.filter(|_| doors[0].pod.is_some());
    let address = address.map_or_else(String::new, |it| format!("  {it}"));
    // A long name is cut, so that the address and the mark stay.
    let left = width.saturating_sub(4 + visible_width(word) + visible_width(&address));
    let name = cut_name(&pair_name(doors[0]), left.max(16));
    Line::from_iter([
        Span::raw("  "),
        Span::styled(name, style),
        Span::styled(address, Modifier::DIM),
        Span::styled(word, Modifier::BOLD),
    ])
}

fn door(door: &DoorState, joint: char, width: usize, state: &State) -> Line<'static> {
    let (base, struck) = match door.state {
        DoorStatus::Gone => (Modifier::DIM, Modifier::DIM | Modifier::CROSSED_OUT),
        _ => (Modifier::empty(), Modifier::empty()),
    };
    let name = match &door.interface {
        Some(name) => cut_middle(&name.to_string(), NAME),
        None => UNKNOWN.to_owned(),
    };
    let pad = " ".repeat(NAME.saturating_sub(visible_width(&name)));
    let mut spans = vec![
        Span::styled(format!("    {joint} "), base),
        Span::styled(name, struck),
        Span::styled(format!("{pad}{:>INDEX$}", door.ifindex), base),
    ];
    let known = state.known.get(&door.id);
    let crossed = known.map(|known| known.crossed).unwrap_or_default();
    for ((direction, traffic), crossed) in hooks(door).into_iter().zip(crossed) {
        let flash = match crossed {
            true => base | Modifier::BOLD | Modifier::REVERSED,
            false => base,
        };
        let rate = rate(traffic.packets_per_second);
        let pad = " ".repeat(RATE.saturating_sub(visible_width(&rate)));
        let before = format!("  {} {pad}", direction.sign());
        spans.extend([Span::styled(before, base), Span::styled(rate, flash)]);
    }
    let left = width.saturating_sub(FIXED);
    // The sign always, the word if it fits, the chart in the rest.
    let status = Status::of(door);
    let (sign, word) = (status.sign(), status.word());
    let (word, taken) = match left >= 2 + WORD + 8 {
        true => (format!("  {sign} {word}"), 4 + WORD),
        false => (format!(" {sign}"), 3),
    };
    let (least, most) = CHART;
    let chart = left.saturating_sub(taken).min(most);
    if chart >= least {
        let history = known.map(|known| known.history.busier());
        let chart = spark(&history.unwrap_or_default(), chart);
        spans.push(Span::styled(format!("  {chart}"), base));
    }
    let style = match status {
        Status::Losing => colour(state, Color::Red),
        Status::Blind | Status::Interrupted | Status::Bypassed => colour(state, Color::Yellow),
        _ => base.into(),
    };
    spans.push(Span::styled(cut_end(&word, left.max(2)), style));
    spans.into()
}

fn colour(state: &State, colour: Color) -> Style {
    match state.options.colour {
        true => colour.into(),
        false => Style::new(),
    }
}
