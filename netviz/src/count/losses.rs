//! Losses inside of a veth pair.

use std::collections::{HashMap, HashSet};

use crate::model::{Counts, Direction, DoorId, Pair, Sample};

/// What is known about one direction of a veth pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairStats {
    /// Segments that went out at one end and did not come in at the other.
    pub missing: u64,
    /// Segments that came in without having gone out: they were put there past the egress hook.
    pub skipped: u64,
}

/// Compares the two ends of each veth pair over time.
///
/// The two counters are never read at the same instant, so one difference proves nothing. What had
/// gone out by the *previous* reading must have come in by this one, and the reverse: both
/// differences are lower bounds, and packets in flight raise neither. It compares segments because
/// GRO may join packets on the way, and subtracts the counts with which both ends started.
#[derive(Debug, Default)]
pub struct LossTracker {
    flows: HashMap<(DoorId, DoorId), Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Readings (out, in) at the start, the earlier and the later one.
    start: [(u64, u64); 2],
    previous: (u64, u64),
    epochs: (u32, u32),
    flow: PairStats,
}

/// What is known about each direction `(from, to)`.
pub type StatsByDirection = HashMap<(DoorId, DoorId), PairStats>;

impl LossTracker {
    /// Takes the next readings of all veth pairs, and forgets all others.
    ///
    /// `before` and `now` are two samples, `before` the earlier one; at the start they should be as
    /// near to each other as can be.
    pub fn observe(&mut self, pairs: &[Pair], before: &Sample, now: &Sample) -> StatsByDirection {
        let pairs = || {
            let both = |c: &Pair| [(c.first, c.second), (c.second, c.first)];
            pairs.iter().flat_map(both)
        };
        let flows: StatsByDirection = pairs()
            .filter_map(|pair| Some((pair, self.observe_one(pair, before, now)?)))
            .collect();
        // Those that were observed have an entry each.
        if self.flows.len() > flows.len() {
            let there: HashSet<_> = pairs().collect();
            self.flows.retain(|pair, _| there.contains(pair));
        }
        flows
    }

    fn observe_one(
        &mut self,
        (from, to): (DoorId, DoorId),
        before: &Sample,
        now: &Sample,
    ) -> Option<PairStats> {
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
        let unbroken = (epoch(before, from), epoch(before, to)) == epochs;
        let earlier = reading(before).filter(|_| unbroken)?;
        let flow = PairStats::default();
        let entry = Entry {
            start: [earlier, current],
            previous: current,
            epochs,
            flow,
        };
        self.flows.insert((from, to), entry);
        Some(flow)
    }
}

impl Entry {
    fn update(&mut self, current: (u64, u64)) {
        let [first, second] = self.start;
        let gone_out_before = self.previous.0.saturating_sub(second.0);
        let come_in_now = current.1.saturating_sub(first.1);
        let come_in_before = self.previous.1.saturating_sub(second.1);
        let gone_out_now = current.0.saturating_sub(first.0);
        // What is lost stays lost: each is a lower bound of a number that only grows.
        let missing = gone_out_before.saturating_sub(come_in_now);
        let skipped = come_in_before.saturating_sub(gone_out_now);
        self.flow.missing = self.flow.missing.max(missing);
        self.flow.skipped = self.flow.skipped.max(skipped);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DoorSample, NetNsId};

    const A: DoorId = DoorId::new(NetNsId(1), 2);
    const B: DoorId = DoorId::new(NetNsId(2), 3);

    /// A sample in which `out` segments went out at A and `into` came in at B.
    fn sample(out: u64, into: u64) -> Sample {
        let counts = |segments| {
            Some(Counts {
                segments,
                ..Counts::default()
            })
        };
        let a = DoorSample {
            egress: counts(out),
            ingress: counts(0),
            ..DoorSample::default()
        };
        let b = DoorSample {
            ingress: counts(into),
            egress: counts(0),
            ..DoorSample::default()
        };
        Sample {
            doors: [(A, a), (B, b)].into(),
            ..Sample::default()
        }
    }

    fn observe(readings: &[(u64, u64)]) -> PairStats {
        let pairs = [Pair {
            first: A,
            second: B,
        }];
        let mut losses = LossTracker::default();
        let mut flows = StatsByDirection::new();
        for pair in readings.windows(2) {
            let [before, now] = [pair[0], pair[1]].map(|(out, into)| sample(out, into));
            flows = losses.observe(&pairs, &before, &now);
        }
        flows[&(A, B)]
    }

    #[test]
    fn packets_in_flight_are_not_lost() {
        // Readings of a veth pair that loses nothing, B always read a little later or earlier.
        let flow = observe(&[(0, 0), (0, 0), (100, 97), (200, 203), (300, 299)]);
        assert_eq!(flow, PairStats::default());
    }

    #[test]
    fn departures_without_arrival_are_missing() {
        assert_eq!(
            observe(&[(0, 0), (0, 0), (100, 60), (100, 60)]),
            PairStats {
                missing: 40,
                skipped: 0
            }
        );
    }

    #[test]
    fn arrivals_without_departure_were_injected() {
        assert_eq!(
            observe(&[(5, 5), (5, 5), (5, 55), (5, 55)]),
            PairStats {
                missing: 0,
                skipped: 50
            }
        );
    }

    #[test]
    fn initial_counts_of_both_ends_are_subtracted() {
        // B was attached 1 000 packets after A.
        assert_eq!(
            observe(&[(1_000, 0), (1_000, 0), (2_000, 1_000), (2_000, 1_000)]),
            PairStats::default()
        );
    }

    #[test]
    fn reattached_door_starts_a_new_record() {
        let pairs = [Pair {
            first: A,
            second: B,
        }];
        let mut losses = LossTracker::default();
        losses.observe(&pairs, &sample(0, 0), &sample(0, 0));
        let mut later = sample(100, 20);
        later.doors.get_mut(&B).expect("B is there").epoch = 1;
        // 80 were not counted at B because netviz was not attached.
        assert!(losses.observe(&pairs, &sample(0, 0), &later).is_empty());
        let flows = losses.observe(&pairs, &later, &later.clone());
        assert_eq!(flows[&(A, B)], PairStats::default());
    }
}
