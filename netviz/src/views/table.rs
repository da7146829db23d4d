//! The table of doors: nodes, veth pairs, and both ends of each beside each other.
//!
//! ```text
//! mycluster-worker2  172.18.0.4/16
//!   veth pair                 door                   ▼ pkt/s  ▲ pkt/s  ▼ packets  ▲ packets  state
//!   busybox-c8bbbbb84-fmhwc  eth0              10      12.0     12.0      1 204      1 198  counting
//!     10.10.1.164/32         lxc174c023046ff   11      12.0     12.0      1 198      1 204  counting
//! ```

pub(super) mod summary;

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets::NOTHING};

use super::{
    footnotes::{Footnote, Footnotes},
    lines::word,
    text::{bytes, count, cut_apart, cut_end, rate, safe, visible_width, wrap},
};
use crate::model::{DoorState, Reason, Role, Side, Snapshot, State, Traffic, Untrusted};

/// How a table is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; `None`: as wide as it gets.
    pub width: Option<usize>,
    /// Whether colours may be used. They never carry a meaning of their own.
    pub colour: bool,
}

/// In which order veth pairs are shown within their node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// As packets meet them: pods, then Cilium's own devices, the tunnel, the uplinks.
    #[default]
    Place,
    /// Most packets per second first.
    Rate,
    /// Most packets first.
    Packets,
    /// Most bytes first.
    Bytes,
    /// By the pod's and the interface's name.
    Name,
}

/// Sorts a snapshot's doors; the two ends of a veth pair stay together, nodes keep their order.
pub fn sort(snapshot: &mut Snapshot, by: Sort) {
    if by == Sort::Place {
        return;
    }
    let order: Vec<_> = snapshot.nodes.iter().map(|node| node.netns).collect();
    let mut pairs: Vec<Vec<DoorState>> = Vec::new();
    for door in snapshot.doors.drain(..) {
        let joins = pairs
            .last()
            .and_then(|last| last.last())
            .is_some_and(|last| is_pair(last, &door));
        match pairs.last_mut().filter(|_| joins) {
            Some(pair) => pair.push(door),
            None => pairs.push(vec![door]),
        }
    }
    let node = |pair: &[DoorState]| order.iter().position(|node| *node == pair[0].node_netns);
    let most = |pair: &[DoorState], of: fn(&Traffic) -> f64| {
        pair.iter()
            .flat_map(|door| [of(&door.ingress), of(&door.egress)])
            .fold(0.0, f64::max)
    };
    let name = |pair: &[DoorState]| (pair[0].pod.clone(), pair[0].interface.clone());
    pairs.sort_by(|a, b| {
        let by_number = |of| most(b, of).total_cmp(&most(a, of));
        node(a).cmp(&node(b)).then_with(|| match by {
            Sort::Rate => by_number(|traffic| traffic.packets_per_second.unwrap_or(0.0)),
            Sort::Packets => by_number(|traffic| traffic.packets.unwrap_or(0) as f64),
            Sort::Bytes => by_number(|traffic| traffic.bytes.unwrap_or(0) as f64),
            Sort::Name | Sort::Place => name(a).cmp(&name(b)),
        })
    });
    snapshot.doors = pairs.into_iter().flatten().collect();
}

/// A table in lines: the rows, which may be scrolled, and what belongs under them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Headings and doors.
    pub rows: Vec<String>,
    /// Reasons that had to be cut, sums over states, notes.
    pub below: Vec<String>,
}

/// Draws the table, without a line break at the end.
#[must_use]
pub fn draw(snapshot: &Snapshot, style: Style) -> String {
    let Drawing { rows, below } = drawing(snapshot, style);
    [rows, below].concat().join("\n")
}

/// Draws the table for a screen.
#[must_use]
pub fn drawing(snapshot: &Snapshot, style: Style) -> Drawing {
    let layouts = Layout::ALL
        .iter()
        .map(|layout| (layout, grid(snapshot, *layout, style)));
    let mut fitting = None;
    for (layout, lines) in layouts {
        let wide = lines
            .iter()
            .map(|line| visible_width(line))
            .max()
            .unwrap_or(0);
        let fits = style.width.is_none_or(|width| wide + STATE_WIDTH <= width);
        fitting = Some((layout, lines, wide));
        if fits {
            break;
        }
    }
    let Some((_, lines, wide)) = fitting else {
        return Drawing::default();
    };
    assemble(snapshot, style, &lines, wide)
}

/// What the state column gets at the least.
const STATE_WIDTH: usize = 12;

/// Which columns there is room for.
#[derive(Clone, Copy, Debug)]
struct Layout {
    pod: usize,
    packets: bool,
    bytes: bool,
    segments: bool,
}

impl Layout {
    /// From the widest to the narrowest.
    const ALL: [Self; 7] = [
        Self {
            pod: 64,
            packets: true,
            bytes: true,
            segments: true,
        },
        Self {
            pod: 34,
            packets: true,
            bytes: true,
            segments: false,
        },
        Self {
            pod: 34,
            packets: true,
            bytes: false,
            segments: false,
        },
        Self {
            pod: 25,
            packets: true,
            bytes: false,
            segments: false,
        },
        Self {
            pod: 21,
            packets: true,
            bytes: false,
            segments: false,
        },
        // The names that deployments usually give: `netshoot-7d996d7884-fwt8z`.
        Self {
            pod: 25,
            packets: false,
            bytes: false,
            segments: false,
        },
        Self {
            pod: 22,
            packets: false,
            bytes: false,
            segments: false,
        },
    ];
}

/// Header and one line per door, everything but the state.
fn grid(snapshot: &Snapshot, layout: Layout, style: Style) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let mut header = vec!["  veth pair".to_owned(), "door".into(), String::new()];
    let mut titles = vec!["pkt/s"];
    titles.extend(layout.packets.then_some("packets"));
    titles.extend(layout.segments.then_some("segments"));
    titles.extend(layout.bytes.then_some("bytes"));
    header.extend(
        titles
            .iter()
            .flat_map(|title| [format!("▼ {title}"), format!("▲ {title}")]),
    );
    let numbers = header.len();
    let right = |(column, text): (usize, String)| {
        let cell = Cell::new(text);
        if column >= 2 {
            cell.set_alignment(CellAlignment::Right)
        } else {
            cell
        }
    };
    table.set_header(header.into_iter().enumerate().map(right));
    let names: Vec<_> = snapshot.doors.iter().map(pair_name).collect();
    let names_cut = cut_apart(&names, layout.pod);
    for (place, door) in snapshot.doors.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| &snapshot.doors[before]);
        let mut row = Vec::with_capacity(numbers);
        row.push(pair(before, door, &names_cut[names[place].as_str()]));
        row.push(interface(door));
        row.push(door.ifindex.to_string());
        row.extend(figures(door, layout));
        let quiet = is_quiet(door);
        table.add_row(row.into_iter().enumerate().map(right).map(|cell| {
            if quiet {
                cell.fg(Color::DarkGrey)
            } else {
                cell
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().collect()
}

fn figures(door: &DoorState, layout: Layout) -> Vec<String> {
    let both = |of: &dyn Fn(&Traffic) -> String| [of(&door.ingress), of(&door.egress)];
    let mut figures = both(&|traffic| rate(traffic.packets_per_second)).to_vec();
    if layout.packets {
        figures.extend(both(&|traffic| count(traffic.packets)));
    }
    if layout.segments {
        figures.extend(both(&|traffic| count(traffic.segments)));
    }
    if layout.bytes {
        figures.extend(both(&|traffic| bytes(traffic.bytes)));
    }
    figures
}

/// First column: the pod or the kind of veth pair, and under it the address.
fn pair(before: Option<&DoorState>, door: &DoorState, name: &str) -> String {
    let Some(first) = before.filter(|before| is_pair(before, door)) else {
        return format!("  {name}");
    };
    if door.side == Side::Host {
        return "    its far end".into();
    }
    // The pod's address, or that of whichever end has one.
    let address = first.addresses.first().or(door.addresses.first());
    address.map_or_else(String::new, |address| format!("    {address}"))
}

pub(super) fn pair_name(door: &DoorState) -> String {
    match (door.pod_label(), door.role) {
        (Some(pod), _) => pod.to_string(),
        (None, Role::Pod) => "pod".into(),
        (None, Role::Health) => "lxc_health".into(),
        (None, Role::CiliumHost) => "cilium_net ═ cilium_host".into(),
        (None, Role::Overlay) => "tunnel".into(),
        (None, Role::Encryption) => "encryption".into(),
        (None, Role::Uplink) => match door.addresses.first() {
            Some(address) => format!("uplink {address}"),
            None => "uplink".into(),
        },
        (None, Role::Veth) => "veth pair".into(),
        (None, Role::Bridge) => "bridge".into(),
        (None, Role::Other) => match &door.kind {
            Some(kind) => safe(&kind.to_string()),
            None => "other".into(),
        },
    }
}

fn is_pair(first: &DoorState, second: &DoorState) -> bool {
    first.node_netns == second.node_netns
        && first.peer_ifindex == Some(second.ifindex)
        && second.peer_ifindex == Some(first.ifindex)
        && (first.side != second.side || first.netns == second.netns)
}

fn is_quiet(door: &DoorState) -> bool {
    let idle = |traffic: &Traffic| traffic.packets_per_second.unwrap_or(0.0) == 0.0;
    idle(&door.ingress) && idle(&door.egress)
}

fn assemble(snapshot: &Snapshot, style: Style, lines: &[String], wide: usize) -> Drawing {
    let mut text = Vec::new();
    let mut reasons = Footnotes::default();
    let mut node = None;
    let (header, rows) = lines
        .split_first()
        .map_or(("", lines), |(header, rows)| (header.as_str(), rows));
    for (line, door) in rows.iter().zip(&snapshot.doors) {
        if node != Some(door.node_netns) {
            if node.is_some() {
                text.push(String::new());
            }
            node = Some(door.node_netns);
            text.push(summary::heading(snapshot, door));
            text.push(format!("{header}state").trim_end().to_owned());
        }
        let room = style
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(wide));
        let whole = state(door);
        let state = cut_end(&whole, room);
        if state != whole && is_telling(door) {
            reasons.add(door, place_of(door));
        }
        let state = if style.colour {
            coloured(door.state, &state)
        } else {
            state
        };
        text.push(format!("{line}{state}").trim_end().to_owned());
    }
    let width = style.width.unwrap_or(usize::MAX);
    let rows = text.iter().map(|line| cut_end(line, width)).collect();
    let mut below = Vec::new();
    let reasons: Vec<_> = reasons.all().map(footnote).collect();
    let more = reasons.len().saturating_sub(REASONS);
    for reason in reasons.iter().take(REASONS) {
        below.extend(wrap(reason, width, 4));
    }
    if more > 0 {
        below.push(cut_end(
            &format!("  … and {more} more: a wider window shows why"),
            width,
        ));
    }
    below.extend(wrap(&summary::footer(snapshot), width, 2));
    for line in summary::said(snapshot) {
        below.extend(wrap(&line, width, 2));
    }
    Drawing { rows, below }
}

fn footnote(note: &Footnote) -> String {
    match note.places.as_slice() {
        [place] => format!("  {place}  {}", note.text),
        places => format!("  {}: {}", note.text, places.join(", ")),
    }
}

/// How many reasons that had to be cut are repeated in full under the table.
const REASONS: usize = 4;

/// Whether the reason says more than the state.
fn is_telling(door: &DoorState) -> bool {
    door.state != State::Gone && door.reason != Some(Reason::Pending)
}

pub(super) fn place_of(door: &DoorState) -> String {
    format!("{} {}", interface(door), door.ifindex)
}

fn interface(door: &DoorState) -> String {
    let name = door.interface.as_ref();
    name.map_or_else(|| "?".into(), Untrusted::to_string)
}

pub(super) fn state(door: &DoorState) -> String {
    let reason = door.reason.as_ref().map(|reason| format!("{reason}"));
    state_with(door.state, reason)
}

/// A state and its reason.
pub(super) fn state_with(state: State, reason: Option<String>) -> String {
    match (state, reason) {
        (State::Counting, Some(reason)) => reason,
        (state, Some(reason)) => format!("{}: {reason}", word(state)),
        (state, None) => word(state).into(),
    }
}

fn coloured(state: State, text: &str) -> String {
    use crossterm::style::Stylize as _;
    match state {
        State::Counting => text.to_owned(),
        State::Blind | State::Bypassed => text.yellow().to_string(),
        State::Gone => text.dark_grey().to_string(),
    }
}
