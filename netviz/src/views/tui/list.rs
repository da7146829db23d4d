//! The list of nodes, pods and doors: the rows in view.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{List, ListState, Scrollbar, ScrollbarOrientation, ScrollbarState},
};

use super::{
    cells::{Cells, SIGN, colour, style},
    places::Places,
    rows::{Mark, Row},
    state::{State, Unit},
};
use crate::{
    model::{DoorState, NetNsId, Role, Side, Snapshot, State as DoorStatus},
    views::{
        door::{Status, pair_name, state as state_of},
        summary,
        text::{UNKNOWN, bits, cut_middle, cut_name, safe, short_rate, visible_width},
    },
};

/// Columns of an interface's name, which has at most 15 characters.
const NAME: usize = 15;
const INDEX: usize = 5;
/// Columns of the selection and the joint.
const JOINT: usize = 2 + 6;
/// Columns before the cells of a door.
const BEFORE: usize = JOINT + NAME + INDEX;
/// The least width of a pod's name beside its address.
const NAMED: usize = 20;
/// The greatest width of a pod's name in a single row.
const POD: usize = 63;

/// Draws the rows in view, the selected one in bold behind `>`.
pub(super) fn draw(frame: &mut Frame, places: &Places, state: &State) {
    let area = places.list;
    let (Some(snapshot), false) = (&state.shown, area.is_empty()) else {
        return;
    };
    let pen = Pen::new(snapshot, state, area);
    if !places.heading.is_empty() {
        let titles = format!("{:before$}{}", "", pen.cells.titles(), before = pen.before);
        frame.render_widget(Line::styled(titles, Modifier::DIM), places.heading);
    }
    if state.rows.is_empty() {
        frame.render_widget(Line::raw(nothing(state)), area);
        return;
    }
    let height = usize::from(area.height);
    let rows = state.rows.iter().skip(state.top).take(height);
    let list = List::new(rows.map(|row| pen.line(row)))
        .highlight_symbol("> ")
        .highlight_style(Modifier::BOLD);
    let selected = state.place.checked_sub(state.top);
    let mut selected = ListState::default().with_selected(selected);
    let rows = Rect {
        width: area.width.saturating_sub(1),
        ..area
    };
    frame.render_stateful_widget(list, rows, &mut selected);
    if state.rows.len() > height {
        let bar = Scrollbar::new(ScrollbarOrientation::VerticalRight)
            .begin_symbol(None)
            .end_symbol(None)
            .track_symbol(None)
            .thumb_symbol("▐");
        let mut position = ScrollbarState::new(state.rows.len() - height + 1)
            .viewport_content_length(height)
            .position(state.top);
        frame.render_stateful_widget(bar, area, &mut position);
    }
}

fn nothing(state: &State) -> String {
    match safe(&state.filter) {
        filter if filter.is_empty() => "no doors".into(),
        filter => format!("nothing matches {filter:?}; Esc clears the filter"),
    }
}

/// What is the same for all rows.
struct Pen<'a> {
    snapshot: &'a Snapshot,
    state: &'a State,
    width: usize,
    cells: Cells,
    /// Columns before the cells.
    before: usize,
}

impl<'a> Pen<'a> {
    fn new(snapshot: &'a Snapshot, state: &'a State, area: Rect) -> Self {
        // The last column is the scrollbar's.
        let width = usize::from(area.width).saturating_sub(1);
        let settings = state.settings;
        let mut before = BEFORE.min(width.saturating_sub(SIGN));
        if settings.compact {
            // Names get the free columns first.
            let groups = state.rows.iter().filter_map(|row| match row {
                Row::Group { doors, .. } => doors.first(),
                Row::Node { .. } | Row::Door { .. } => None,
            });
            let names = groups.map(|door| 5 + visible_width(&pair_name(&snapshot.doors[*door])));
            let longest = names.max().unwrap_or(0).min(POD);
            let least = Cells::least(settings);
            before = before.max(longest.min(width.saturating_sub(least)));
        }
        Self {
            snapshot,
            state,
            width,
            cells: Cells::new(settings, width.saturating_sub(before)),
            before,
        }
    }

    fn line(&self, row: &Row) -> Line<'static> {
        match row {
            Row::Node {
                netns,
                folded,
                idle,
                name,
            } => {
                let sign = if *folded { '▸' } else { '▾' };
                let name = Span::styled(format!("{sign} {name}"), Modifier::BOLD);
                self.node(name, *netns, *folded, *idle)
            }
            Row::Group { doors, mark } => {
                let doors: Vec<_> = doors
                    .iter()
                    .map(|door| &self.snapshot.doors[*door])
                    .collect();
                match self.state.settings.compact {
                    true => self.compact(&doors, *mark),
                    false => self.group(&doors, *mark),
                }
            }
            Row::Door { door, joint } => self.door(&self.snapshot.doors[*door], *joint),
        }
    }

    /// What a node hides, its addresses, the rates of its uplinks, its routing.
    fn node(
        &self,
        name: Span<'static>,
        netns: NetNsId,
        folded: bool,
        idle: usize,
    ) -> Line<'static> {
        let mut spans = vec![name];
        let doors = || {
            self.snapshot
                .doors
                .iter()
                .filter(|door| door.node_netns == netns)
        };
        if folded {
            spans.push(Span::raw(format!("  {} interfaces", doors().count())));
            for status in Status::ALL.into_iter().filter(|status| status.is_problem()) {
                let number = doors().filter(|door| Status::of(door) == status).count();
                if number > 0 {
                    let text = format!("  {} {number} {}", status.sign(), status.word());
                    spans.push(Span::styled(text, style(self.state, status)));
                }
            }
        }
        let mut nodes = self.snapshot.nodes.iter();
        let node = nodes.find(|node| node.netns == netns);
        for address in node.iter().flat_map(|node| &node.addresses) {
            spans.push(Span::raw(format!("  {address}")));
        }
        spans.extend(self.uplinks(netns, spans.iter().map(Span::width).sum()));
        if idle > 0 {
            spans.push(Span::styled(format!("  {idle} idle hidden"), Modifier::DIM));
        }
        for part in node.map(summary::cluster).unwrap_or_default() {
            spans.push(Span::styled(format!("  {}", safe(&part)), Modifier::DIM));
        }
        spans.into()
    }

    /// The rates of a node's uplinks, in both units if there is room behind `taken` columns. They are
    /// added, because a packet crosses one uplink only.
    fn uplinks(&self, netns: NetNsId, taken: usize) -> Option<Span<'static>> {
        let doors = self.snapshot.doors.iter();
        let uplinks = doors.filter(|door| {
            door.node_netns == netns && door.role == Role::Uplink && door.side == Side::Node
        });
        let sum = |rate: fn(&DoorState) -> Option<f64>| {
            let rates = uplinks.clone().filter_map(rate);
            rates.reduce(|a, b| a + b)
        };
        let hooks = [
            (
                '▼',
                sum(|it| it.ingress.packets_per_second),
                sum(|it| it.ingress.bytes_per_second),
            ),
            (
                '▲',
                sum(|it| it.egress.packets_per_second),
                sum(|it| it.egress.bytes_per_second),
            ),
        ];
        let text = |unit: Unit| {
            let hooks = hooks.into_iter().filter_map(|(sign, packets, bytes)| {
                let (packets, bits) = (short_rate(packets?), bits(bytes));
                Some(match unit {
                    Unit::Packets => format!("  {sign} {packets} pkt/s"),
                    Unit::Bits => format!("  {sign} {bits}"),
                    Unit::Both => format!("  {sign} {packets} pkt/s {bits}"),
                })
            });
            hooks.collect::<String>()
        };
        let both = text(Unit::Both);
        // Two columns are the selection's.
        let fits = 2 + taken + visible_width(&both) <= self.width;
        let text = if fits {
            both
        } else {
            text(self.state.settings.unit)
        };
        (!text.is_empty()).then(|| Span::raw(text))
    }

    fn group(&self, doors: &[&DoorState], mark: Mark) -> Line<'static> {
        let (word, style) = self.mark(mark);
        let address = doors.iter().find_map(|door| door.addresses.first());
        let address = address.filter(|_| doors[0].pod.is_some());
        let mut address = address.map_or_else(String::new, |it| format!("  {it}"));
        let room = self.width.saturating_sub(4 + visible_width(word));
        // A long name is cut, so that the address stays; in few columns, the name is worth more.
        let beside = room.saturating_sub(visible_width(&address));
        if beside < NAMED {
            address.clear();
        }
        let name = cut_name(
            &pair_name(doors[0]),
            if address.is_empty() { room } else { beside },
        );
        Line::from_iter([
            Span::raw("  "),
            Span::styled(name, style),
            Span::styled(address, Modifier::DIM),
            Span::styled(word, Modifier::BOLD),
        ])
    }

    fn mark(&self, mark: Mark) -> (&'static str, Style) {
        match mark {
            Mark::Stays => ("", Style::new()),
            Mark::New => ("  new", colour(self.state, Color::Green)),
            Mark::Gone => ("  gone", (Modifier::CROSSED_OUT | Modifier::DIM).into()),
        }
    }

    /// A pod in one row: the rates of its own end, and the worst state of all its doors.
    fn compact(&self, doors: &[&DoorState], mark: Mark) -> Line<'static> {
        let (_, style) = self.mark(mark);
        let room = self.before.saturating_sub(5);
        let name = cut_name(&pair_name(doors[0]), room);
        let pad = " ".repeat(room.saturating_sub(visible_width(&name)) + 1);
        let known = |door: &&&DoorState| door.ingress.packets_per_second.is_some();
        let shown = doors.iter().find(known).unwrap_or(&doors[0]);
        let exchanged = shown.side != doors[0].side && Some(shown.ifindex) == doors[0].peer_ifindex;
        let worst = doors
            .iter()
            .min_by_key(|door| Status::of(door))
            .unwrap_or(shown);
        let mut text = state_of(worst);
        if mark == Mark::New && Status::of(worst) == Status::Ok {
            text = "new".into();
        }
        let mut spans = vec![Span::raw("  "), Span::styled(name, style), Span::raw(pad)];
        let status = Status::of(worst);
        spans.extend(
            self.cells
                .with_status(shown, status, text, exchanged, self.state),
        );
        spans.into()
    }

    fn door(&self, door: &DoorState, joint: char) -> Line<'static> {
        let (base, struck) = match door.state {
            DoorStatus::Gone => (Modifier::DIM, Modifier::DIM | Modifier::CROSSED_OUT),
            _ => (Modifier::empty(), Modifier::empty()),
        };
        // In few columns, the index is worth less than the name.
        let room = self.before.saturating_sub(JOINT);
        let (name, index) = match room.checked_sub(INDEX).filter(|name| *name >= NAME) {
            Some(_) => (room - INDEX, INDEX),
            None => (room, 0),
        };
        let text = door.interface.as_ref().map(ToString::to_string);
        let text = cut_middle(text.as_deref().unwrap_or(UNKNOWN), name);
        let pad = " ".repeat(name.saturating_sub(visible_width(&text)));
        let number = match index {
            0 => String::new(),
            width => format!("{:>width$}", door.ifindex),
        };
        let mut spans = vec![
            Span::styled(format!("    {joint} "), base),
            Span::styled(text, struck),
            Span::styled(format!("{pad}{number}"), base),
        ];
        spans.extend(self.cells.row(door, false, self.state));
        spans.into()
    }
}
