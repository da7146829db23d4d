//! The state of the screen: its snapshot, selection and settings.

use std::{
    collections::{HashMap, HashSet},
    mem,
    time::Duration,
};

use jiff::tz::TimeZone;
use ratatui::layout::Rect;

use super::{
    command_line::Operand,
    history::History,
    pane::Pane,
    places::{Parts, Places, has_room_for_both, places},
    rows::{Arrangement, Ends, Key, Row, arrange},
};
use crate::{
    model::{DoorId, NetNsId, Snapshot},
    views::{
        door::Status,
        order::{Sort, is_pair, sort},
        query::{self, Query, QueryError, parse},
    },
};

/// For how long a pod is marked as new.
const NEW: Duration = Duration::from_secs(8);

/// Options of the screen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to use colours. They only repeat what the text says.
    pub colour: bool,
    /// Draw with ASCII characters only. Names keep their characters.
    pub ascii: bool,
    /// Time between two readings.
    pub interval: Duration,
    /// The initial order of the veth pairs.
    pub sort: Sort,
    /// Whether to begin with counters in columns instead of charts and details.
    pub figures: bool,
    /// The time zone of the clock [default: UTC].
    pub zone: Option<TimeZone>,
    /// The options that select these nodes and interfaces, for the command lines that the screen runs
    /// and copies.
    pub selection: Vec<String>,
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unit {
    #[default]
    Packets,
    Bits,
    Both,
}

/// Settings that keys change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settings {
    pub(super) sort: Sort,
    pub(super) unit: Unit,
    /// Counters in columns instead of charts.
    pub(super) figures: bool,
    /// One row for each pod.
    pub(super) compact: bool,
    pub(super) hide_idle: bool,
}

/// The history of a door.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) history: History,
    /// When it appeared, unless it was in the first reading.
    since: Option<Duration>,
    fresh: bool,
}

/// Everything on the screen.
#[derive(Debug, Default)]
pub struct State {
    pub(super) options: Options,
    pub(super) settings: Settings,
    /// The latest snapshot, in the order of the screen.
    pub(super) shown: Option<Snapshot>,
    pub(super) rows: Vec<Row>,
    pub(super) known: HashMap<DoorId, Known>,
    /// The highest rate of each node's charts: they share a scale.
    pub(super) scales: HashMap<NetNsId, f64>,
    pub(super) attaching: Option<String>,
    pub(super) message: Option<String>,
    pushed: Option<Duration>,
    /// The row that the user selected, also while a filter hides it.
    wanted: Option<Key>,
    /// The row that is selected, and the first one in view.
    pub(super) place: usize,
    pub(super) top: usize,
    pub(super) folded: HashSet<NetNsId>,
    /// The filter as it was typed.
    pub(super) filter: String,
    /// The filter, as far as it can be read.
    pub(super) query: Query,
    /// Why the filter cannot be read.
    pub(super) mistake: Option<QueryError>,
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) details: bool,
    /// First line of the details in view.
    pub(super) down: usize,
    /// The sender of the path to verify, until the receiver is selected.
    pub(super) sender: Option<Operand>,
    pub(super) pane: Option<Pane>,
    area: Rect,
}

impl State {
    /// An empty screen.
    #[must_use]
    pub fn new(options: Options, columns: u16, rows: u16) -> Self {
        let area = Rect::new(0, 0, columns, rows);
        Self {
            settings: Settings {
                sort: options.sort,
                figures: options.figures,
                ..Settings::default()
            },
            details: !options.figures && has_room_for_both(area),
            options,
            area,
            ..Self::default()
        }
    }

    /// Shows a reading, at `now` on a monotonic clock, unless the screen is paused.
    pub fn update(&mut self, snapshot: Snapshot, now: Duration) {
        if self.paused {
            return;
        }
        self.compare(&snapshot, now);
        self.shown = Some(snapshot);
        self.arrange();
    }

    /// Sets the progress of attaching; `None` when it is complete.
    pub fn set_attaching(&mut self, text: Option<String>) {
        self.attaching = text;
    }

    /// Shows a message until the next key.
    pub fn set_message(&mut self, text: String) {
        self.message = Some(text);
    }

    /// Sets the size of the screen.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let both = has_room_for_both(self.area);
        self.area = Rect::new(0, 0, columns, rows);
        if has_room_for_both(self.area) != both {
            self.details = !both && !self.settings.figures;
        }
        self.settle();
    }

    /// The selected row.
    #[must_use]
    pub fn selected(&self) -> Option<Key> {
        Some(self.row()?.key(self.shown.as_ref()?))
    }

    /// Compares with the previous reading: new doors, and the rates of all.
    fn compare(&mut self, snapshot: &Snapshot, now: Duration) {
        // While doors are being attached, the screen is drawn more often than counters are read.
        let interval = self.options.interval * 9 / 10;
        let due = |pushed: Duration| now.saturating_sub(pushed) >= interval;
        let push = self.pushed.is_none_or(due);
        if push {
            self.pushed = Some(now);
        }
        let since = self.shown.as_ref().map(|_| now);
        let mut before = mem::take(&mut self.known);
        self.scales.clear();
        for door in &snapshot.doors {
            let mut known = before.remove(&door.id).unwrap_or_else(|| Known {
                since,
                ..Known::default()
            });
            if push {
                known.history.push(door);
            }
            known.fresh = known.since.is_some_and(|since| now < since + NEW);
            let scale = self.scales.entry(door.node_netns).or_default();
            *scale = scale.max(known.history.most());
            self.known.insert(door.id, known);
        }
    }

    /// Sorts and filters the snapshot, and finds the selection again.
    pub(super) fn arrange(&mut self) {
        let Some(shown) = &mut self.shown else {
            return;
        };
        sort(shown, self.settings.sort);
        let read = |filter| parse(filter, &query::Key::OF_DOORS);
        (self.query, self.mistake) = match read(&self.filter) {
            Ok(query) => (query, None),
            // What stands before the mistake selects meanwhile.
            Err(mistake) => (read(mistake.before()).unwrap_or_default(), Some(mistake)),
        };
        let arrangement = Arrangement {
            query: &self.query,
            folded: &self.folded,
            compact: self.settings.compact,
            hide_idle: self.settings.hide_idle,
        };
        let fresh = |id| self.known.get(&id).is_some_and(|known| known.fresh);
        self.rows = arrange(shown, &arrangement, fresh);
        match self.find() {
            Some(place) => self.place = place,
            None => {
                // The row in its place; the selection returns with what a filter hides.
                self.place = self.place.min(self.rows.len().saturating_sub(1));
                if !self.wanted_exists() {
                    self.wanted = self.selected();
                }
            }
        }
        self.settle();
    }

    /// The row that the user selected, or the one that contains it.
    fn find(&self) -> Option<usize> {
        let (wanted, shown) = (self.wanted.as_ref()?, self.shown.as_ref()?);
        let position = |fits: &dyn Fn(&Row) -> bool| self.rows.iter().position(fits);
        let (Key::Door(id) | Key::Group(id)) = wanted else {
            return position(&|row| row.key(shown) == *wanted);
        };
        let holds = |row: &Row| match row {
            Row::Group { doors, .. } => doors.iter().any(|door| shown.doors[*door].id == *id),
            Row::Node { .. } | Row::Door { .. } => false,
        };
        let node = || shown.doors.iter().find(|door| door.id == *id);
        let node = || node().map(|door| door.node_netns);
        position(&|row| row.key(shown) == *wanted)
            .or_else(|| position(&holds))
            .or_else(|| {
                let node = node()?;
                position(
                    &|row| matches!(row, Row::Node { netns, folded: true, .. } if *netns == node),
                )
            })
    }

    fn wanted_exists(&self) -> bool {
        match (&self.wanted, &self.shown) {
            (Some(Key::Door(id) | Key::Group(id)), Some(shown)) => {
                shown.doors.iter().any(|door| door.id == *id)
            }
            (Some(Key::Node(netns)), Some(shown)) => {
                shown.nodes.iter().any(|node| node.netns == *netns)
            }
            _ => false,
        }
    }

    /// Selects the row at `place`, or the last one.
    pub(super) fn select(&mut self, place: usize) {
        self.place = place.min(self.rows.len().saturating_sub(1));
        if let Some(key) = self.selected() {
            if self.wanted.as_ref() != Some(&key) {
                self.down = 0;
            }
            self.wanted = Some(key);
        }
        self.settle();
    }

    /// Selects the next interface that is not ok, also in a folded node; false if there is none.
    pub(super) fn select_problem(&mut self) -> bool {
        let Some(shown) = &self.shown else {
            return false;
        };
        let (mut problems, mut place) = (Vec::new(), 0);
        for pair in shown.doors.chunk_by(is_pair) {
            // As in the rows, a veth pair matches as a whole.
            let fits = self.query.fits(&Ends(&Vec::from_iter(pair)));
            for door in pair {
                if fits && Status::of(door).is_problem() {
                    problems.push((place, door.id, door.node_netns));
                }
                place += 1;
            }
        }
        // Behind the selected door, or from the first door of the selected row.
        let from = match self.row() {
            Some(Row::Door { door, .. }) => door + 1,
            Some(Row::Group { doors, .. }) if self.settings.compact => {
                doors.iter().max().map_or(0, |door| door + 1)
            }
            Some(Row::Group { doors, .. }) => doors.iter().min().copied().unwrap_or(0),
            Some(Row::Node { netns, .. }) => {
                let first = |door: &crate::model::DoorState| door.node_netns == *netns;
                shown.doors.iter().position(first).unwrap_or(0)
            }
            None => 0,
        };
        let next = problems.iter().find(|(place, ..)| *place >= from);
        let Some(&(_, id, node)) = next.or(problems.first()) else {
            return false;
        };
        self.folded.remove(&node);
        self.wanted = Some(Key::Door(id));
        self.down = 0;
        self.arrange();
        true
    }

    /// Scrolls so that the selected row is in view.
    pub(super) fn settle(&mut self) {
        let height = usize::from(self.places().list.height);
        self.top = first(self.top, self.place, self.rows.len(), height);
    }

    pub(super) fn places(&self) -> Places {
        let parts = Parts {
            heading: self.settings.figures,
            details: self.details,
            pane: self.pane.is_some(),
        };
        places(self.area, parts)
    }

    pub(super) fn row(&self) -> Option<&Row> {
        self.rows.get(self.place)
    }
}

/// The first row in view: as near to `top` as it can be with `place` in view.
pub(super) fn first(top: usize, place: usize, rows: usize, height: usize) -> usize {
    let height = height.max(1);
    let last = rows.saturating_sub(height);
    top.clamp((place + 1).saturating_sub(height), place)
        .min(last)
}
