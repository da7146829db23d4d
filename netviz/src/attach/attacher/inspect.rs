//! Who else stands at the doors, asked again and again.

use std::time::{Duration, Instant};

use super::{Event, Held, RETRY_WINDOW, Worker};
use crate::{
    attach::hook::{AttachMode, Visit},
    discover::Discovered,
    model::DoorId,
    sys::netns::tour,
};

/// Every door is asked within this time, and that of one round, who else stands there: tcx tells
/// nobody of changes.
const INSPECT_INTERVAL: Duration = Duration::from_secs(4);
/// How many are asked in one go, before commands and what is to be attached have their turn.
const INSPECT_BATCH: usize = 64;
/// Doors that are due within this time are asked together, rather than one by one.
const INSPECT_SLACK: Duration = Duration::from_millis(500);
/// After how long a door is tried again that could not be attached.
const FAILED_INTERVAL: Duration = Duration::from_secs(10);

/// What came of looking at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Its namespace could not be entered.
    Unasked,
    /// netviz stands there, and those beside it are others than before, or not.
    There { changed: bool },
    /// netviz does not stand there any more.
    Gone,
}

/// When a door would have been looked at whose turn it is now.
pub(super) fn long_ago() -> Instant {
    let now = Instant::now();
    now.checked_sub(INSPECT_INTERVAL).unwrap_or(now)
}

impl Worker {
    /// Filters changed where netviz stands among filters: those doors are looked at now. Of links
    /// netlink tells nothing, and no filter takes their place.
    pub(super) fn look_where_told(&mut self, before: &Discovered) {
        let filters = &self.found.filters;
        for held in self.held.values_mut() {
            let place = held
                .door
                .id
                .netns
                .known()
                .map(|netns| (netns, held.door.id.ifindex));
            let told = place.is_some_and(|place| filters.get(&place) != before.filters.get(&place));
            if told && held.hooked.mode() == AttachMode::Clsact {
                held.inspected = long_ago();
            }
        }
    }

    /// How long there is nothing to do but to wait for commands.
    pub(super) fn until_next_look(&self) -> Duration {
        let last = self.held.values().map(|held| held.inspected).min();
        let look = INSPECT_INTERVAL.saturating_sub(last.map_or(Duration::ZERO, |it| it.elapsed()));
        let left = |since: &Instant, wait: Duration| wait.saturating_sub(since.elapsed());
        let given_up = self.given_up.values().map(|it| left(it, RETRY_WINDOW));
        let failed = self.failed.values().map(|it| left(it, FAILED_INTERVAL));
        given_up.chain(failed).fold(look, Duration::min)
    }

    /// Comes back to the doors that were given up a while ago, or could not be attached: what was in the
    /// way may be gone, and nobody tells.
    pub(super) fn come_back(&mut self) {
        let over = |wait: Duration| move |_: &DoorId, since: &mut Instant| since.elapsed() >= wait;
        let mut ids: Vec<_> = self
            .given_up
            .extract_if(over(RETRY_WINDOW))
            .map(|(id, _)| id)
            .collect();
        for id in &ids {
            // One of the three of the minute that begins now: those before are over.
            self.may_retry(*id);
        }
        let failed = self.failed.extract_if(over(FAILED_INTERVAL));
        ids.extend(failed.map(|(id, _)| id));
        for id in ids {
            let queued = self.queue.iter().any(|door| door.id == id);
            let door = self.found.cluster.door(id);
            if let Some(door) = door.filter(|door| door.problem.is_none() && !queued) {
                self.queue.push_back(door.clone());
            }
        }
    }

    /// Looks at the doors whose turn it is: who else is there, and is netviz still?
    pub(super) fn inspect(&mut self) {
        let due = self.due();
        if due.is_empty() {
            return;
        }
        // Out of the table, so that another thread can have them all at once.
        let mut asked: Vec<(Held, Look)> = due
            .iter()
            .filter_map(|id| Some((self.held.remove(id)?, Look::Unasked)))
            .collect();
        // Not afterwards: a gap would look shorter by what the looking takes.
        let now = Instant::now();
        tour(|tour| {
            for room in asked.chunk_by_mut(|(a, _), (b, _)| a.door.id.netns == b.door.id.netns) {
                let opened = room
                    .first()
                    .map(|(held, _)| self.found.open_for(held.door.id));
                let netns = opened.and_then(|opened| opened.ok()?);
                let entered = netns.is_some_and(|netns| tour.enter(&netns).is_ok());
                let mut visit = Visit::default();
                for (held, look) in room.iter_mut().filter(|_| entered) {
                    *look = match held.hooked.look(&mut visit) {
                        Ok(changed) => Look::There { changed },
                        Err(_) => Look::Gone,
                    };
                }
            }
        });
        let looks: Vec<(DoorId, Look)> = asked
            .into_iter()
            .map(|(held, look)| {
                let id = held.door.id;
                let inspected = now;
                self.held.insert(id, Held { inspected, ..held });
                (id, look)
            })
            .collect();
        for (door, look) in looks {
            self.judge(door, look);
        }
    }

    /// The doors that wait the longest, those of one namespace beside each other. None before the
    /// first of them is due.
    fn due(&self) -> Vec<DoorId> {
        let now = Instant::now();
        let since = |held: &Held| now.saturating_duration_since(held.inspected);
        let mut due: Vec<_> = self
            .held
            .iter()
            .map(|(id, held)| (since(held), *id))
            .filter(|(since, _)| *since + INSPECT_SLACK >= INSPECT_INTERVAL)
            .collect();
        if due.iter().all(|(since, _)| *since < INSPECT_INTERVAL) {
            return Vec::new();
        }
        due.sort_unstable_by(|a, b| b.cmp(a));
        due.truncate(INSPECT_BATCH);
        let mut ids: Vec<_> = due.into_iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Tells what was seen, and takes netviz's place again where somebody else has it.
    fn judge(&mut self, door: DoorId, look: Look) {
        let Some(held) = self.held.get_mut(&door) else {
            return;
        };
        let there = match look {
            Look::Unasked => return,
            Look::Gone => false,
            Look::There { changed } => {
                let first = held.hooked.is_first();
                if let Some(before) = self.before.get_mut(&door) {
                    before.attached.clone_from(&held.door);
                    if first == Some(true) {
                        before.in_place = held.inspected;
                    }
                }
                if changed {
                    let chains = held.hooked.chains().clone();
                    self.send(Event::Chains { door, chains });
                }
                // Where that is not known, nobody is overtaken.
                if first != Some(false) {
                    return;
                }
                true
            }
        };
        let Some(now) = self.held.get(&door).map(|held| held.door.clone()) else {
            return;
        };
        if self.may_retry(door) {
            self.release(door);
            self.attach(now);
        } else if !there {
            self.release(door);
            self.give_up(door);
        }
    }
}
