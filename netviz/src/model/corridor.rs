//! A corridor: two doors that name each other, and what is lost between them.

use std::collections::HashMap;

use super::{Counts, Direction, DoorId, Sample};

/// A veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Corridor {
    /// The end that is shown first.
    pub first: DoorId,
    /// The other one.
    pub second: DoorId,
}

/// What is known about one direction of a corridor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Segments that went out at one end and did not come in at the other.
    pub missing: u64,
    /// Segments that came in without having gone out: they were put there past the egress hook.
    pub skipped: u64,
}

/// Compares the two ends of each corridor over time.
///
/// The two counters are never read at the same instant, so that a difference alone says nothing.
/// What had gone out by the *previous* reading must have come in by this one, and the other way
/// round: both differences are lower bounds, and neither is raised by packets in flight. Segments
/// are compared, for GRO may join packets on the way, and counts both ends started with are taken
/// off by two readings that follow each other.
#[derive(Debug, Default)]
pub struct Ledger {
    flows: HashMap<(DoorId, DoorId), Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Readings (out, in) at the start, the earlier and the later one.
    start: [(u64, u64); 2],
    previous: (u64, u64),
    epochs: (u32, u32),
    flow: Flow,
}

impl Ledger {
    /// Takes the next reading of one corridor's direction `from` → `to`.
    ///
    /// `before` and `now` are two samples, `before` the earlier one; at the start both should be
    /// as near to each other as can be.
    pub fn observe(
        &mut self,
        from: DoorId,
        to: DoorId,
        before: &Sample,
        now: &Sample,
    ) -> Option<Flow> {
        let reading = |sample: &Sample| {
            let out = segments(sample, from, Direction::Egress)?;
            let into = segments(sample, to, Direction::Ingress)?;
            Some((out, into))
        };
        let Some(current) = reading(now) else {
            self.flows.remove(&(from, to));
            return None;
        };
        let epochs = (epoch(now, from), epoch(now, to));
        if let Some(entry) = self
            .flows
            .get_mut(&(from, to))
            .filter(|entry| entry.epochs == epochs)
        {
            entry.update(current);
            return Some(entry.flow);
        }
        let earlier =
            reading(before).filter(|_| (epoch(before, from), epoch(before, to)) == epochs)?;
        let flow = Flow::default();
        let entry = Entry {
            start: [earlier, current],
            previous: current,
            epochs,
            flow,
        };
        self.flows.insert((from, to), entry);
        Some(flow)
    }

    /// Forgets corridors that are not in `keep`.
    pub fn retain(&mut self, keep: impl Fn(DoorId, DoorId) -> bool) {
        self.flows.retain(|(from, to), _| keep(*from, *to));
    }
}

impl Entry {
    fn update(&mut self, current: (u64, u64)) {
        let [first, second] = self.start;
        let gone_out_before = self.previous.0.saturating_sub(second.0);
        let come_in_now = current.1.saturating_sub(first.1);
        let come_in_before = self.previous.1.saturating_sub(second.1);
        let gone_out_now = current.0.saturating_sub(first.0);
        self.flow = Flow {
            missing: gone_out_before.saturating_sub(come_in_now),
            skipped: come_in_before.saturating_sub(gone_out_now),
        };
        self.previous = current;
    }
}

fn epoch(sample: &Sample, door: DoorId) -> u32 {
    sample.doors.get(&door).map_or(0, |door| door.epoch)
}

fn segments(sample: &Sample, door: DoorId, direction: Direction) -> Option<u64> {
    let counts: Counts = sample.doors.get(&door)?.counts(direction)?;
    Some(counts.segments)
}
