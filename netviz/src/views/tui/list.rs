//! The building: the rows in view.

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
    model::{Direction, DoorState, Reason, Snapshot, State as Sight, Traffic, Untrusted},
    sys::netns::NetNsId,
    views::{
        lines::word,
        table::{pair_name, summary},
        text::{UNKNOWN, cut_end, cut_middle, rate, safe, visible_width},
    },
};

/// Columns of an interface's name, which has at most 15 characters.
const NAME: usize = 15;
const INDEX: usize = 5;
const RATE: usize = 8;
/// Columns of a state's longest word.
const WORD: usize = 8;

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
    let spans = match row {
        Row::Node {
            name,
            netns,
            folded,
        } => node(snapshot, name, *netns, *folded),
        Row::Room { doors, mark } => {
            let doors: Vec<_> = doors.iter().map(|door| &snapshot.doors[*door]).collect();
            room(&doors, *mark, width, state)
        }
        Row::Door { door, joint } => self::door(&snapshot.doors[*door], *joint, width, state),
    };
    Line::from(spans)
}

fn nothing(state: &State) -> String {
    if state.filter.is_empty() {
        "no doors".into()
    } else {
        format!(
            "nothing fits {:?}; Esc clears the filter",
            safe(&state.filter)
        )
    }
}

fn node(snapshot: &Snapshot, name: &Untrusted, netns: NetNsId, folded: bool) -> Vec<Span<'static>> {
    let mut text = format!("{} {}", if folded { '▸' } else { '▾' }, name);
    if let Some(node) = snapshot.nodes.iter().find(|node| node.netns == netns) {
        let addresses = node.addresses.iter().map(ToString::to_string);
        for part in addresses.chain(summary::cluster(node)) {
            text += &format!("  {}", safe(&part));
        }
    }
    vec![Span::styled(
        text,
        Style::new().add_modifier(Modifier::BOLD),
    )]
}

fn room(doors: &[&DoorState], mark: Mark, width: usize, state: &State) -> Vec<Span<'static>> {
    // Both the mark and the address stay, whatever the name.
    let word = match mark {
        Mark::Stays => "",
        Mark::New => "  new",
        Mark::Gone => "  gone",
    };
    let address = doors
        .iter()
        .find_map(|door| door.addresses.first())
        .filter(|_| doors[0].pod.is_some())
        .map(|address| format!("  {address}"))
        .unwrap_or_default();
    let left = width.saturating_sub(4 + visible_width(word) + visible_width(&address));
    let name = cut_middle(&pair_name_safe(doors[0]), left.max(16));
    let style = match mark {
        Mark::Stays => Style::new(),
        Mark::New => colour(state, Color::Green),
        Mark::Gone => Style::new().add_modifier(Modifier::CROSSED_OUT | Modifier::DIM),
    };
    vec![
        Span::raw("  "),
        Span::styled(name, style),
        Span::styled(address, Style::new().add_modifier(Modifier::DIM)),
        Span::styled(word, Style::new().add_modifier(Modifier::BOLD)),
    ]
}

/// The name of a room, to be shown as it is.
pub(super) fn pair_name_safe(door: &DoorState) -> String {
    safe(&pair_name(door))
}

fn door(door: &DoorState, joint: char, width: usize, state: &State) -> Vec<Span<'static>> {
    let gone = door.state == Sight::Gone;
    let base = if gone {
        Style::new().add_modifier(Modifier::DIM)
    } else {
        Style::new()
    };
    let name = match &door.interface {
        Some(name) => cut_middle(&name.to_string(), NAME),
        None => UNKNOWN.to_owned(),
    };
    let struck = if gone {
        base.add_modifier(Modifier::CROSSED_OUT)
    } else {
        base
    };
    let pad = " ".repeat(NAME.saturating_sub(visible_width(&name)));
    let mut spans = vec![
        Span::styled(format!("    {joint} "), base),
        Span::styled(name, struck),
        Span::styled(format!("{pad}{:>INDEX$}", door.ifindex), base),
    ];
    for (direction, traffic) in both(door) {
        let flash = if state.crossed.contains(&(door.id, direction)) {
            base.add_modifier(Modifier::BOLD | Modifier::REVERSED)
        } else {
            base
        };
        spans.push(Span::styled(format!("  {} ", direction.sign()), base));
        let text = rate(traffic.packets_per_second);
        let pad = RATE.saturating_sub(visible_width(&text));
        spans.push(Span::raw(" ".repeat(pad)));
        spans.push(Span::styled(text, flash));
    }
    let used = 2 + 6 + NAME + INDEX + 2 * (4 + RATE) + 2;
    let left = width.saturating_sub(used);
    // A sign always, the word where it has room, the rest for the bars.
    let worded = left >= 2 + WORD + 8;
    let bars = left
        .saturating_sub(if worded { 4 + WORD } else { 3 })
        .min(60);
    if bars >= 4 {
        let readings = state
            .histories
            .get(&door.id)
            .map(|history| history.busier());
        let text = spark(&readings.unwrap_or_default(), bars);
        spans.push(Span::styled(format!("  {text}"), base));
    }
    let (sign, text) = sign(door);
    let text = if worded {
        format!("  {sign} {text}")
    } else {
        format!(" {sign}")
    };
    let alarming = matches!(sign, '?' | '»' | '!');
    let style = if alarming {
        colour(state, Color::Yellow)
    } else {
        base
    };
    spans.push(Span::styled(cut_end(&text, left.max(2)), style));
    spans
}

/// Both hooks of a door.
pub(super) fn both(door: &DoorState) -> [(Direction, &Traffic); 2] {
    [
        (Direction::Ingress, &door.ingress),
        (Direction::Egress, &door.egress),
    ]
}

/// How well a door is seen, as a sign and a word.
pub(super) fn sign(door: &DoorState) -> (char, &'static str) {
    match door.state {
        Sight::Counting if matches!(door.reason, Some(Reason::Gap { .. })) => {
            ('!', word(door.state))
        }
        Sight::Counting if door.reason.is_some() => ('!', "losing"),
        Sight::Counting => ('✓', word(door.state)),
        Sight::Blind if door.reason == Some(Reason::Pending) => ('…', "waiting"),
        Sight::Blind => ('?', word(door.state)),
        Sight::Bypassed => ('»', word(door.state)),
        Sight::Gone => ('×', word(door.state)),
    }
}

pub(super) fn colour(state: &State, colour: Color) -> Style {
    if state.options.colour {
        Style::new().fg(colour)
    } else {
        Style::new()
    }
}
