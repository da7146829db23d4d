//! Who else is at the hooks, read again and again.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{Change, Keeper};
use crate::{
    attach::{
        attached::{AttachMode, Attached, INSPECT_INTERVAL},
        engine::Inspection,
        object::Switch,
    },
    discover::Discovered,
    model::DoorId,
};

/// How many are read at once, before commands and the queue have their turn.
const INSPECT_BATCH: usize = 64;
/// Doors that are due within this time are read together, rather than one by one.
const INSPECT_SLACK: Duration = Duration::from_millis(500);

impl<T: Switch> Keeper<'_, T> {
    /// Has doors read at once whose filters changed, where netviz is one of them. Filters take no
    /// link's place.
    pub(super) fn inspect_changed_filters(&mut self, before: &Discovered) {
        let filters = &self.engine.found.filters;
        for attached in self.engine.attached.values_mut() {
            let DoorId { netns, ifindex, .. } = attached.door.id;
            let place = netns.known().map(|netns| (netns, ifindex));
            let changed = place.is_some_and(|it| filters.get(&it) != before.filters.get(&it));
            if changed && attached.mode() == AttachMode::Clsact {
                attached.inspect_soon();
            }
        }
    }

    /// How long there is nothing to do but to wait for commands.
    pub(super) fn until_next_inspection(&self) -> Duration {
        let inspected_at = self
            .engine
            .attached
            .values()
            .map(|it| it.inspected_at)
            .min();
        let since = inspected_at.map_or(Duration::ZERO, |inspected_at| inspected_at.elapsed());
        let look = INSPECT_INTERVAL.saturating_sub(since);
        let rests = self.past.values().filter_map(|past| past.rest);
        rests.map(|rest| rest.left()).fold(look, Duration::min)
    }

    /// Retries the doors that netviz gave up or failed to attach to a while ago: what was in the way may
    /// be gone, without any notification.
    pub(super) fn come_back(&mut self) {
        let past = self.past.iter_mut();
        let awake = past.filter_map(|(id, past)| past.wake().then_some(*id));
        for id in awake.collect::<Vec<_>>() {
            let queued = self.queue.iter().any(|door| door.id == id);
            let door = self.engine.found.cluster.door(id);
            if let Some(door) = door.filter(|door| door.problem.is_none() && !queued) {
                self.queue.push_back(door.clone());
            }
        }
    }

    /// Looks at the doors whose turn it is.
    pub(super) fn inspect(&mut self) {
        let due = self.due();
        if due.is_empty() {
            return;
        }
        for (door, look) in self.engine.inspect(&due) {
            self.judge(door, &look);
        }
    }

    /// The doors that wait the longest. None before the first of them is due.
    fn due(&self) -> HashSet<DoorId> {
        let now = Instant::now();
        let since = |attached: &Attached| now.saturating_duration_since(attached.inspected_at);
        let mut due: Vec<_> = self
            .engine
            .attached
            .iter()
            .map(|(id, attached)| (since(attached), *id))
            .filter(|(since, _)| *since + INSPECT_SLACK >= INSPECT_INTERVAL)
            .collect();
        if due.iter().all(|(since, _)| *since < INSPECT_INTERVAL) {
            return HashSet::new();
        }
        due.sort_unstable_by(|a, b| b.cmp(a));
        due.truncate(INSPECT_BATCH);
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Reports other programs, and attaches again where another one runs first or netviz was detached.
    fn judge(&mut self, door: DoorId, look: &Inspection) {
        let Some(attached) = self.engine.attached.get(&door) else {
            return;
        };
        let first = attached.is_first();
        let lost = match look {
            Inspection::Unreachable(_) => return,
            Inspection::Lost => true,
            Inspection::Attached { changed } => {
                if let Some(before) = self.past.get_mut(&door).and_then(|it| it.before.as_mut()) {
                    before.door.clone_from(&attached.door);
                    if first == Some(true) {
                        before.in_place = attached.inspected_at;
                    }
                }
                if *changed {
                    self.send(door, Change::Chains(attached.chains().clone()));
                }
                // If the order is unknown, netviz does not move ahead.
                if first != Some(false) {
                    return;
                }
                false
            }
        };
        let now = attached.door.clone();
        if self.past.entry(door).or_default().may_retry() {
            self.engine.detach(door);
            self.attach(now);
        } else if lost {
            self.engine.detach(door);
            self.give_up(door);
        }
    }
}
