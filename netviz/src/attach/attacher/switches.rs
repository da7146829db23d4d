//! Doors at which the other programs of an object run ([`crate::attach::object::Switch`]).

use std::collections::{HashMap, VecDeque};

use crate::model::DoorId;

/// What runs where, and what is to run there.
pub(super) struct Switches<M> {
    /// Of each attached door.
    copies: HashMap<DoorId, Copy<M>>,
    /// Copies at which the other programs are wanted.
    wanted: HashMap<DoorId, u64>,
    /// Doors at which something may have to change.
    queue: VecDeque<DoorId>,
    /// Number of the last copy.
    last: u64,
}

/// A copy of the object.
struct Copy<M> {
    number: u64,
    maps: M,
    is_on: bool,
}

impl<M> Default for Switches<M> {
    fn default() -> Self {
        Self {
            copies: HashMap::new(),
            wanted: HashMap::new(),
            queue: VecDeque::new(),
            last: 0,
        }
    }
}

impl<M: Clone> Switches<M> {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn want(&mut self, doors: HashMap<DoorId, u64>) {
        self.wanted = doors;
        self.queue = self.copies.keys().copied().collect();
    }

    /// Notes a new copy, which begins with the object's own programs, and returns its number.
    pub(super) fn attached(&mut self, door: DoorId, maps: M) -> u64 {
        self.last += 1;
        let copy = Copy {
            number: self.last,
            maps,
            is_on: false,
        };
        self.copies.insert(door, copy);
        self.last
    }

    pub(super) fn retain(&mut self, is_wanted: impl Fn(&DoorId) -> bool) {
        self.copies.retain(|door, _| is_wanted(door));
    }

    /// Notes that the programs of a door have changed.
    pub(super) fn switched(&mut self, door: DoorId, is_on: bool) {
        if let Some(copy) = self.copies.get_mut(&door) {
            copy.is_on = is_on;
        }
    }

    /// The next door whose programs have to change, with its maps and whether the others are wanted.
    pub(super) fn next(&mut self) -> Option<(DoorId, M, bool)> {
        while let Some(door) = self.queue.pop_front() {
            let Some(copy) = self.copies.get(&door) else {
                continue;
            };
            let wanted = self.wanted.get(&door) == Some(&copy.number);
            if copy.is_on != wanted {
                return Some((door, copy.maps.clone(), wanted));
            }
        }
        None
    }
}
