//! The state of the screen: its snapshot, selection and options.

use std::{
    collections::{HashMap, HashSet},
    mem,
    time::Duration,
};

use ratatui::layout::Rect;

use super::{
    history::History,
    places::{Places, has_room_for_both, places},
    rows::{Key, Row, arrange},
};
use crate::{
    model::{DoorId, NetNsId, Snapshot},
    views::{
        door::hooks,
        order::{Sort, sort},
    },
};

/// For how long a pod is marked as new.
const NEW: Duration = Duration::from_secs(8);

/// Options of the screen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether to use colours. They only repeat what the text says.
    pub colour: bool,
    /// Time between two readings.
    pub interval: Duration,
    /// The initial order of the veth pairs.
    pub sort: Sort,
}

/// The history of a door.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) history: History,
    /// Whether packets crossed each hook since the previous reading.
    pub(super) crossed: [bool; 2],
    packets: [Option<u64>; 2],
    /// When it appeared, unless it was in the first reading.
    since: Option<Duration>,
    fresh: bool,
}

/// Everything on the screen.
#[derive(Debug, Default)]
pub struct State {
    pub(super) options: Options,
    /// The latest snapshot, in its own order.
    latest: Option<Snapshot>,
    /// The same, in the order of the screen.
    pub(super) shown: Option<Snapshot>,
    pub(super) rows: Vec<Row>,
    pub(super) known: HashMap<DoorId, Known>,
    pub(super) attaching: Option<String>,
    pub(super) message: Option<String>,
    pushed: Option<Duration>,
    selected: Option<Key>,
    /// The row that is selected, and the first one in view.
    pub(super) place: usize,
    pub(super) top: usize,
    pub(super) folded: HashSet<NetNsId>,
    pub(super) filter: String,
    pub(super) typing: bool,
    pub(super) sort: Sort,
    pub(super) paused: bool,
    pub(super) help: bool,
    pub(super) details: bool,
    /// First line of the details in view.
    pub(super) down: usize,
    area: Rect,
}

impl State {
    /// An empty screen.
    #[must_use]
    pub fn new(options: Options, columns: u16, rows: u16) -> Self {
        let area = Rect::new(0, 0, columns, rows);
        Self {
            sort: options.sort,
            options,
            details: has_room_for_both(area),
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
        self.latest = Some(snapshot);
        self.arrange();
    }

    /// Sets the progress of attaching; `None` when it is complete.
    pub fn set_attaching(&mut self, text: Option<String>) {
        self.attaching = text;
    }

    /// Shows a message until a key is pressed.
    pub fn set_message(&mut self, text: String) {
        self.message = Some(text);
    }

    /// Sets the size of the screen.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let both = has_room_for_both(self.area);
        self.area = Rect::new(0, 0, columns, rows);
        if has_room_for_both(self.area) != both {
            self.details = !both;
        }
        self.settle();
    }

    /// The selected row.
    #[must_use]
    pub fn selected(&self) -> Option<&Key> {
        self.selected.as_ref()
    }

    /// Compares with the previous reading: new doors, and doors that packets crossed.
    fn compare(&mut self, snapshot: &Snapshot, now: Duration) {
        // While doors are being attached, the screen is drawn more often than counters are read.
        let interval = self.options.interval * 9 / 10;
        let due = |pushed: Duration| now.saturating_sub(pushed) >= interval;
        let push = self.pushed.is_none_or(due);
        if push {
            self.pushed = Some(now);
        }
        let since = self.latest.as_ref().map(|_| now);
        let mut before = mem::take(&mut self.known);
        for door in &snapshot.doors {
            let packets = hooks(door).map(|(_, traffic)| traffic.packets);
            let mut known = before.remove(&door.id).unwrap_or_else(|| Known {
                packets,
                since,
                ..Known::default()
            });
            if push {
                known.history.push(door);
            }
            known.crossed = [0, 1].map(|hook| packets[hook] > known.packets[hook]);
            known.packets = packets;
            known.fresh = known.since.is_some_and(|since| now < since + NEW);
            self.known.insert(door.id, known);
        }
    }

    /// Sorts and filters the latest snapshot, and finds the selection again.
    pub(super) fn arrange(&mut self) {
        let Some(mut shown) = self.latest.clone() else {
            return;
        };
        sort(&mut shown, self.sort);
        let fresh = |id| self.known.get(&id).is_some_and(|known| known.fresh);
        self.rows = arrange(&shown, &self.filter, &self.folded, fresh);
        let selected = self.selected.as_ref();
        let is_selected = |row: &Row| selected == Some(&row.key(&shown));
        let found = self.rows.iter().position(is_selected);
        self.shown = Some(shown);
        // If it is gone: the row in its place.
        self.select(found.unwrap_or(self.place));
    }

    /// Selects the row at `place`, or the last one.
    pub(super) fn select(&mut self, place: usize) {
        self.place = place.min(self.rows.len().saturating_sub(1));
        let key = self
            .shown
            .as_ref()
            .and_then(|shown| Some(self.rows.get(self.place)?.key(shown)));
        // If a filter hides all rows, the selection returns with them.
        if key.is_some() {
            if key != self.selected {
                self.down = 0;
            }
            self.selected = key;
        }
        self.settle();
    }

    /// Scrolls so that the selected row is in view.
    fn settle(&mut self) {
        let height = usize::from(self.places().list.height);
        self.top = first(self.top, self.place, self.rows.len(), height);
    }

    pub(super) fn places(&self) -> Places {
        places(self.area, self.details)
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
