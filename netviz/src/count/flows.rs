//! The flows of doors, from all readings of the kernel's table.

mod record;
mod table;

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::time::{ClockId, clock_gettime};

use self::record::{Reading, Record};
pub(super) use self::table::{FlowMaps, FlowTable};
use crate::model::{Counts, DoorFlows, DoorId, FlowMemory, Reason};

/// How flows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowOptions {
    /// Flows, at the most, that are counted between two readings, and that are kept: of all doors
    /// together.
    pub room: u32,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self { room: 65_536 }
    }
}

/// Doors whose flows are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FlowDoors {
    /// None: the doors run the programs that only count.
    #[default]
    None,
    /// All doors.
    All,
    /// These doors.
    These(HashSet<DoorId>),
}

impl FlowDoors {
    pub(super) fn has(&self, door: DoorId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::These(doors) => doors.contains(&door),
        }
    }
}

/// The table, once flows are asked for: shared with the thread that attaches.
pub(super) type SharedTable = Arc<OnceLock<FlowTable>>;

/// The flows of all doors.
#[derive(Debug, Default)]
pub(super) struct Flows {
    table: SharedTable,
    doors: HashMap<DoorId, Record>,
    /// When the table was read.
    read_at: Option<Instant>,
}

impl Flows {
    pub(super) fn new(table: SharedTable) -> Self {
        Self {
            table,
            ..Self::default()
        }
    }

    /// Creates the table, unless there is one.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn start(&mut self, options: FlowOptions) -> io::Result<()> {
        if self.table.get().is_none() {
            // Only this thread sets it.
            let _ = self.table.set(FlowTable::new(options.room)?);
        }
        Ok(())
    }

    pub(super) fn memory(&self) -> Option<FlowMemory> {
        self.table.get().map(FlowTable::memory)
    }

    /// A door's programs have changed: its flows are counted with `maps`, or not any more.
    pub(super) fn switched(&mut self, door: DoorId, maps: Option<FlowMaps>) {
        self.doors.entry(door).or_default().switched(maps);
    }

    /// Whether a door's flows are counted, or cannot be.
    pub(super) fn is_settled(&self, door: DoorId) -> bool {
        self.doors.get(&door).is_some_and(Record::is_settled)
    }

    pub(super) fn failed(&mut self, door: DoorId, reason: Reason) {
        self.doors.entry(door).or_default().reason = Some(reason);
    }

    /// Ends the flows of a door that is gone, or is another interface now.
    pub(super) fn end(&mut self, door: DoorId) {
        if let Some(record) = self.doors.get_mut(&door) {
            record.switched(None);
        }
    }

    /// The door's programs are not attached any more; others follow, and the flows go on.
    pub(super) fn interrupted(&mut self, door: DoorId) {
        if let Some(record) = self.doors.get_mut(&door) {
            record.set_aside();
        }
    }

    /// Reads the table, and drops the flows that were not seen for the longest time when there are too
    /// many.
    pub(super) fn read(&mut self) {
        let Some(table) = self.table.get().filter(|_| !self.doors.is_empty()) else {
            return;
        };
        let at = Instant::now();
        let reading = Reading {
            at,
            window: self.read_at.map(|before| at.duration_since(before)),
            to_unix: to_unix(),
        };
        self.read_at = Some(at);
        let doors = &mut self.doors;
        table.read(|door, slot| {
            // The thread that attaches has assigned its number, and says so in a moment.
            doors.entry(door).or_default().add(slot, reading);
        });
        for record in self.doors.values_mut() {
            record.after_reading(|number| table.retire(number));
        }
        self.doors.retain(|_, record| !record.is_over());
        self.forget(table.memory().room as usize);
    }

    fn forget(&mut self, room: usize) {
        let count = self.doors.values().map(Record::len).sum::<usize>();
        let Some(surplus) = count.checked_sub(room).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut times: Vec<_> = self.doors.values().flat_map(Record::times).collect();
        let (_, last, _) = times.select_nth_unstable(surplus - 1);
        let (last, mut left) = (*last, surplus);
        for record in self.doors.values_mut() {
            record.forget(last, &mut left);
        }
    }

    /// The flows of a door whose counters are `counts`, ingress and egress.
    pub(super) fn of(&self, door: DoorId, counts: [Option<Counts>; 2]) -> Option<DoorFlows> {
        self.doors.get(&door)?.flows(counts, self.read_at)
    }
}

/// The difference of Unix time and the monotonic clock, which the kernel's programs read.
fn to_unix() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let difference = unix
        .unwrap_or_default()
        .saturating_sub(monotonic.unwrap_or_default());
    u64::try_from(difference.as_nanos()).unwrap_or(u64::MAX)
}
