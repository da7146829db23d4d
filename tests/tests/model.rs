//! Losses are never overstated, however readings and packets interleave.

use std::time::Duration;

use netviz::{
    count::{LossTracker, PairStats},
    feed::assemble,
    model::{AttachState, Counts, DoorId, DoorSample, Pair, Reason, Sample, Snapshot, State},
    sys::netns::NetNsId,
};
use netviz_tests::builders::{random::Random, snapshot_builder};

const FROM: DoorId = DoorId::new(NetNsId(1), 2);
const TO: DoorId = DoorId::new(NetNsId(2), 3);
const CORRIDOR: [Pair; 1] = [Pair {
    first: FROM,
    second: TO,
}];

/// A veth pair with packets in flight, and the counters at both ends.
#[derive(Default)]
struct Wire {
    /// Counts of outgoing and incoming packets.
    counted: [u64; 2],
    epochs: [u32; 2],
    flying: u64,
    lost: u64,
}

impl Wire {
    /// Sends, delivers or loses a few packets each.
    fn pass(&mut self, random: &mut Random, loses: bool) {
        for _ in 0..random.below(20) {
            match random.below(5) {
                0 | 1 => {
                    self.flying += 1;
                    self.counted[0] += 1;
                }
                2 | 3 if self.flying > 0 => {
                    self.flying -= 1;
                    self.counted[1] += 1;
                }
                4 if loses && self.flying > 0 => {
                    self.flying -= 1;
                    self.lost += 1;
                }
                _ => {}
            }
        }
    }

    fn land(&mut self) {
        self.counted[1] += self.flying;
        self.flying = 0;
    }

    /// Displaces netviz for a while.
    fn displaced(&mut self, random: &mut Random, end: usize) {
        let before = self.counted[end];
        self.pass(random, false);
        self.counted[end] = before;
        self.epochs[end] += 1;
    }

    /// Reads the two ends in any order, with packets passing in between.
    fn read(&mut self, random: &mut Random, loses: bool) -> Sample {
        let first = usize::from(random.once_in(2));
        let mut read = [0; 2];
        read[first] = self.counted[first];
        self.pass(random, loses);
        read[1 - first] = self.counted[1 - first];
        sample(read, self.epochs)
    }
}

fn sample([out, into]: [u64; 2], epochs: [u32; 2]) -> Sample {
    let counts = |segments| {
        Some(Counts {
            segments,
            ..Counts::default()
        })
    };
    let door = |epoch, ingress, egress| DoorSample {
        meter: AttachState::Counting,
        epoch,
        ingress: counts(ingress),
        egress: counts(egress),
        ..DoorSample::default()
    };
    Sample {
        doors: [
            (FROM, door(epochs[0], 0, out)),
            (TO, door(epochs[1], into, 0)),
        ]
        .into(),
        ..Sample::default()
    }
}

#[test]
fn lossless_pair_has_no_loss() {
    for seed in 1..=2_000 {
        let mut random = Random(seed * 0x9e37_79b9);
        let mut wire = Wire {
            // One end was attached long before the other.
            counted: [random.below(1_000), random.below(1_000)],
            ..Wire::default()
        };
        let mut ledger = LossTracker::default();
        let mut before = wire.read(&mut random, false);
        for step in 0..50 {
            wire.pass(&mut random, false);
            if random.once_in(8) {
                let end = usize::from(random.once_in(2));
                wire.displaced(&mut random, end);
            }
            // A packet is in flight for less time than between two readings.
            wire.land();
            let now = wire.read(&mut random, false);
            let flows = ledger.observe(&CORRIDOR, &before, &now);
            for flow in flows.values() {
                assert_eq!(*flow, PairStats::default(), "seed {seed}, step {step}");
            }
            before = now;
        }
    }
}

#[test]
fn loss_is_never_overstated_and_exact_in_the_end() {
    let mut lost = 0;
    for seed in 1..=2_000 {
        let mut random = Random(seed * 0x9e37_79b9);
        let mut wire = Wire::default();
        let mut ledger = LossTracker::default();
        let mut before = sample([0; 2], [0; 2]);
        ledger.observe(&CORRIDOR, &before, &before.clone());
        let mut called = 0;
        for _ in 0..20 {
            wire.pass(&mut random, true);
            wire.land();
            let now = wire.read(&mut random, true);
            let flow = ledger.observe(&CORRIDOR, &before, &now)[&(FROM, TO)];
            assert!(
                flow.missing <= wire.lost && flow.skipped == 0,
                "seed {seed}: {flow:?} of {}",
                wire.lost
            );
            called = flow.missing;
            before = now;
        }
        wire.land();
        for _ in 0..2 {
            let now = sample(wire.counted, wire.epochs);
            called = ledger.observe(&CORRIDOR, &before, &now)[&(FROM, TO)]
                .missing
                .max(called);
            before = now;
        }
        assert_eq!(called, wire.lost, "seed {seed}");
        lost += wire.lost;
    }
    assert!(lost > 10_000, "{lost}");
}

/// Decreasing counters, missing doors, epochs in any order: no panic.
#[test]
fn arbitrary_readings() {
    let mut random = Random(3);
    let mut ledger = LossTracker::default();
    let mut before = Sample::default();
    for _ in 0..20_000 {
        let mut any = || random.below(u64::MAX) >> random.below(64);
        let (counts, epochs) = ([any(), any()], [any() as u32 % 2, any() as u32 % 2]);
        let mut now = sample(counts, epochs);
        if random.once_in(5) {
            now.doors.remove(&FROM);
        }
        let _ = ledger.observe(&CORRIDOR, &before, &now);
        before = now;
    }
}

#[test]
fn rates_of_falling_counters_are_0_and_of_no_interval_unknown() {
    let mut builder = snapshot_builder::blog();
    let id = builder.cluster.doors[0].id;
    std::mem::swap(&mut builder.before, &mut builder.now);
    let of = |snapshot: &Snapshot| {
        snapshot
            .doors
            .iter()
            .find(|door| door.id == id)
            .unwrap()
            .ingress
    };
    let fallen = of(&builder.snapshot());
    assert_eq!(
        (fallen.packets, fallen.packets_per_second),
        (Some(1_192), Some(0.0))
    );
    let at = Duration::from_secs(1);
    let [before, now] = [&builder.now, &builder.before].map(|sample| Sample {
        at,
        ..sample.clone()
    });
    let instant = assemble(
        &builder.cluster,
        Some(&before),
        &now,
        &mut LossTracker::default(),
        snapshot_builder::taken_at(),
    );
    assert_eq!(of(&instant).packets_per_second, None);
    assert_eq!(instant.window_seconds, Some(0.0));
}

/// A door that netviz cannot observe never shows a silent zero.
#[test]
fn uncounted_door_is_blind_with_a_reason() {
    let mut builder = snapshot_builder::blog();
    let doors = builder.cluster.doors.clone();
    for door in &doors {
        for meter in [
            AttachState::Pending,
            AttachState::Failed(Reason::TooFewFiles),
        ] {
            let sample = DoorSample {
                meter,
                ..DoorSample::default()
            };
            builder.now.doors.insert(door.id, sample);
            let snapshot = builder.snapshot();
            let shown = snapshot
                .doors
                .iter()
                .find(|shown| shown.id == door.id)
                .unwrap();
            assert_eq!(shown.state, State::Blind);
            assert!(shown.reason.is_some());
            assert_eq!(
                (shown.ingress.packets, shown.egress.packets_per_second),
                (None, None)
            );
        }
        // Found, but not reported by the attaching thread.
        builder.now.doors.remove(&door.id);
        let snapshot = builder.snapshot();
        let shown = snapshot
            .doors
            .iter()
            .find(|shown| shown.id == door.id)
            .unwrap();
        assert_eq!((shown.state, shown.ingress.packets), (State::Blind, None));
    }
}
