//! What the screen shows, and what of it is selected.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ratatui::layout::Rect;

use super::{
    history::History,
    places::{Places, has_room_for_both, places},
    rows::{Key, Row, arrange},
};
use crate::{
    model::{Direction, DoorId, Snapshot, Traffic},
    sys::netns::NetNsId,
    views::table::{self, Sort},
};

/// For how long a pod is called new.
const NEW: Duration = Duration::from_secs(8);

/// What does not change while the screen is there.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether colours may be used. They never carry a meaning of their own.
    pub colour: bool,
    /// Time between two readings.
    pub interval: Duration,
    /// Order of the veth pairs at the beginning.
    pub sort: Sort,
}

/// Everything on the screen.
#[derive(Debug)]
pub struct State {
    pub(super) options: Options,
    /// As it was taken, in the order of places.
    taken: Option<Snapshot>,
    /// The same, in the order that is shown.
    pub(super) shown: Option<Snapshot>,
    pub(super) rows: Vec<Row>,
    pub(super) histories: HashMap<DoorId, History>,
    /// When each door was first seen; `None` for those of the first reading.
    first_seen: HashMap<DoorId, Option<Duration>>,
    fresh: HashSet<DoorId>,
    pub(super) crossed: HashSet<(DoorId, Direction)>,
    pub(super) attaching: Option<String>,
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
    /// A screen on which nothing is shown yet.
    #[must_use]
    pub fn new(options: Options, columns: u16, rows: u16) -> Self {
        let area = Rect::new(0, 0, columns, rows);
        Self {
            sort: options.sort,
            options,
            taken: None,
            shown: None,
            rows: Vec::new(),
            histories: HashMap::new(),
            first_seen: HashMap::new(),
            fresh: HashSet::new(),
            crossed: HashSet::new(),
            attaching: None,
            pushed: None,
            selected: None,
            place: 0,
            top: 0,
            folded: HashSet::new(),
            filter: String::new(),
            typing: false,
            paused: false,
            help: false,
            details: has_room_for_both(area),
            down: 0,
            area,
        }
    }

    /// Takes a reading, at `now` on a clock that only goes forward. A screen that is paused keeps
    /// what it shows.
    pub fn take(&mut self, snapshot: Snapshot, now: Duration) {
        if self.paused {
            return;
        }
        self.notice(&snapshot, now);
        self.taken = Some(snapshot);
        self.arrange();
    }

    /// Says how far attaching has come; `None` when it is done.
    pub fn set_attaching(&mut self, text: Option<String>) {
        self.attaching = text;
    }

    /// Takes the size of the screen.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let both = has_room_for_both(self.area);
        self.area = Rect::new(0, 0, columns, rows);
        if has_room_for_both(self.area) != both {
            self.details = !both;
        }
        self.settle();
    }

    /// Whether the screen stands still.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// What is selected, if anything is shown.
    #[must_use]
    pub fn selected(&self) -> Option<&Key> {
        self.selected.as_ref()
    }

    /// Compares with the reading before: what has come, and what was crossed.
    fn notice(&mut self, snapshot: &Snapshot, now: Duration) {
        let first = self.taken.is_none();
        let before: HashMap<_, _> = self
            .taken
            .iter()
            .flat_map(|before| &before.doors)
            .map(|door| (door.id, [door.ingress, door.egress]))
            .collect();
        self.crossed.clear();
        let interval = self.options.interval * 9 / 10;
        // While doors are being attached, the screen is drawn more often than it is read.
        let push = self
            .pushed
            .is_none_or(|pushed| now.saturating_sub(pushed) >= interval);
        if push {
            self.pushed = Some(now);
        }
        for door in &snapshot.doors {
            let since = (!first).then_some(now);
            self.first_seen.entry(door.id).or_insert(since);
            if push {
                self.histories.entry(door.id).or_default().push(door);
            }
            let Some([ingress, egress]) = before.get(&door.id) else {
                continue;
            };
            let more = |old: &Traffic, new: &Traffic| new.packets > old.packets;
            if more(ingress, &door.ingress) {
                self.crossed.insert((door.id, Direction::Ingress));
            }
            if more(egress, &door.egress) {
                self.crossed.insert((door.id, Direction::Egress));
            }
        }
        let there: HashSet<_> = snapshot.doors.iter().map(|door| door.id).collect();
        self.first_seen.retain(|id, _| there.contains(id));
        self.histories.retain(|id, _| there.contains(id));
        let young = |since: &Option<Duration>| since.is_some_and(|since| now < since + NEW);
        self.fresh = self
            .first_seen
            .iter()
            .filter_map(|(id, since)| young(since).then_some(*id))
            .collect();
    }

    /// Sorts and filters what was taken, and finds the selection again.
    pub(super) fn arrange(&mut self) {
        let Some(taken) = &self.taken else {
            return;
        };
        let mut shown = taken.clone();
        table::sort(&mut shown, self.sort);
        let fresh = &self.fresh;
        self.rows = arrange(&shown, &self.filter, &self.folded, |id| fresh.contains(&id));
        self.shown = Some(shown);
        let selected = self.selected.clone();
        let found = selected.and_then(|key| self.rows.iter().position(|row| self.is(row, &key)));
        // Where it is no longer there: what stands in its place.
        self.select(found.unwrap_or(self.place));
    }

    fn is(&self, row: &Row, key: &Key) -> bool {
        self.shown
            .as_ref()
            .is_some_and(|shown| row.key(shown) == *key)
    }

    /// Selects the row at `place`, or the last one.
    pub(super) fn select(&mut self, place: usize) {
        self.place = place.min(self.rows.len().saturating_sub(1));
        let key = self
            .shown
            .as_ref()
            .and_then(|shown| Some(self.rows.get(self.place)?.key(shown)));
        // With nothing left by a filter, what was selected comes back with the rows.
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
        let height = usize::from(self.places().building.height);
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
