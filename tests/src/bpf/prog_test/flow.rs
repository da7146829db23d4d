//! The object that counts flows, run on crafted frames (`BPF_PROG_TEST_RUN`).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::{Array, MapData, PerCpuArray},
    programs::{SchedClassifier, TestRunOptions},
};
use netviz::model::{Counts, Direction};
use netviz_ebpf::{
    COUNTERS_MAP, DoorCounters, TCX_NEXT,
    flow::{
        DOOR_GLOBAL, EPOCH_MAP, FLOW_EGRESS_PROGRAM, FLOW_INGRESS_PROGRAM, FLOWS_MAP, FRAGMENTS,
        FRAGMENTS_MAP, FlowDoor, FlowKey, FlowSet, FlowSlot, IS_EGRESS, OUTSIDE_MAP, Outside,
    },
};
use nix::{
    sched::{CpuSet, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};

use super::count::{CONTEXT, DIRECTIONS, GSO_SEGS, is_refused};
use crate::bpf::frames::{self, Frame, Random, flows};

/// Power of two: the sets of each CPU, unless a test needs another number.
pub const SET_BITS: u32 = 8;

/// A loaded copy, with a table for itself.
pub struct FlowTest {
    object: Ebpf,
    counters: PerCpuArray<MapData, DoorCounters>,
    outside: PerCpuArray<MapData, Outside>,
    flows: Array<MapData, FlowSet>,
    epoch: Array<MapData, u32>,
}

/// What the programs have counted of one hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The door's counters.
    pub counters: Counts,
    /// All flows.
    pub flows: Counts,
    /// Packets of flows without room.
    pub evicted: Counts,
    /// Packets that are no IP packets.
    pub unparsed: Counts,
}

impl Balance {
    /// Checks that each packet is in exactly one place.
    pub fn check(&self) -> Result<()> {
        let sum = self.flows + self.evicted + self.unparsed;
        ensure!(sum == self.counters, "{self:?} do not add up");
        Ok(())
    }
}

impl FlowTest {
    /// Loads the object or a mutant, for a door with these constants.
    pub fn load(object: &[u8], door: FlowDoor) -> Result<Self> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)? as u32;
        let door = FlowDoor {
            cpus,
            has_coarse_clock: 1,
            ..door
        };
        let load = |door: &FlowDoor| -> Result<Ebpf> {
            let mut loader = EbpfLoader::new();
            loader
                .btf(None)
                .map_max_entries(FLOWS_MAP, (2 * cpus) << door.set_bits)
                .map_max_entries(FRAGMENTS_MAP, FRAGMENTS * cpus)
                .override_global(DOOR_GLOBAL, door, true);
            let mut object = loader.load(object)?;
            for direction in DIRECTIONS {
                program(&mut object, direction)?.load()?;
            }
            Ok(object)
        };
        let loaded = load(&door).or_else(|error| {
            // Linux 5.10 has no coarse clock.
            let without = FlowDoor {
                has_coarse_clock: 0,
                ..door
            };
            load(&without).map_err(|_| error)
        });
        let mut object = loaded?;
        let mut take = |name: &'static str| object.take_map(name).context(name);
        let mut test = Self {
            counters: PerCpuArray::try_from(take(COUNTERS_MAP)?)?,
            outside: PerCpuArray::try_from(take(OUTSIDE_MAP)?)?,
            flows: Array::try_from(take(FLOWS_MAP)?)?,
            epoch: Array::try_from(take(EPOCH_MAP)?)?,
            object,
        };
        test.begin(1)?;
        Ok(test)
    }

    /// Begins an epoch.
    pub fn begin(&mut self, epoch: u32) -> Result<()> {
        Ok(self.epoch.set(0, epoch, 0)?)
    }

    /// Returns the loaded program of one direction.
    pub fn program(&mut self, direction: Direction) -> Result<&mut SchedClassifier> {
        program(&mut self.object, direction)
    }

    /// Runs one direction once on one frame and returns the verdict.
    pub fn run(&mut self, direction: Direction, frame: &[u8], gso_segs: u32) -> Result<i32> {
        let mut context = [0; CONTEXT];
        context[GSO_SEGS..GSO_SEGS + 4].copy_from_slice(&gso_segs.to_ne_bytes());
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result = self.program(direction)?.test_run(options)?;
        Ok(result.return_value.cast_signed())
    }

    /// Returns the flows of an epoch, of all CPUs together.
    pub fn flows(&self, epoch: u32) -> Result<BTreeMap<Words, FlowSlot>> {
        let mut flows: BTreeMap<Words, FlowSlot> = BTreeMap::new();
        for set in self.flows.iter() {
            for slot in set?.slots.into_iter().filter(|it| it.key.epoch == epoch) {
                flows
                    .entry(words(&slot.key))
                    .and_modify(|flow| {
                        flow.packets += slot.packets;
                        flow.segments += slot.segments;
                        flow.bytes += slot.bytes;
                    })
                    .or_insert(slot);
            }
        }
        Ok(flows)
    }

    /// Returns what was counted at ingress and egress, the flows of these epochs.
    pub fn balance(&self, epochs: &[u32]) -> Result<[Balance; 2]> {
        let [mut ingress, mut egress] = [Balance::default(); 2];
        for door in self.counters.get(&0, 0)?.iter() {
            ingress.counters = ingress.counters + counts(&door.ingress);
            egress.counters = egress.counters + counts(&door.egress);
        }
        for door in self.outside.get(&0, 0)?.iter() {
            for (balance, hook) in [(&mut ingress, door.ingress), (&mut egress, door.egress)] {
                balance.evicted = balance.evicted + counts(&hook.evicted);
                balance.unparsed = balance.unparsed + counts(&hook.unparsed);
            }
        }
        for epoch in epochs {
            for slot in self.flows(*epoch)?.values() {
                let balance = match slot.key.flags & IS_EGRESS {
                    0 => &mut ingress,
                    _ => &mut egress,
                };
                balance.flows = balance.flows
                    + Counts {
                        packets: slot.packets,
                        segments: slot.segments,
                        bytes: slot.bytes,
                    };
            }
        }
        Ok([ingress, egress])
    }
}

/// A key that can be sorted.
pub type Words = ([u32; 4], [u32; 4], u32, u32, u8, u8);

fn words(key: &FlowKey) -> Words {
    (
        key.source,
        key.destination,
        key.ports,
        key.tunnel,
        key.protocol,
        key.flags,
    )
}

fn counts(counters: &netviz_ebpf::Counters) -> Counts {
    Counts {
        packets: counters.packets,
        segments: counters.segments,
        bytes: counters.bytes,
    }
}

fn program(object: &mut Ebpf, direction: Direction) -> Result<&mut SchedClassifier> {
    let name = match direction {
        Direction::Ingress => FLOW_INGRESS_PROGRAM,
        Direction::Egress => FLOW_EGRESS_PROGRAM,
    };
    Ok(object.program_mut(name).context(name)?.try_into()?)
}

/// A door with a table of the usual size.
#[must_use]
pub fn door(sees_tunnels: bool) -> FlowDoor {
    FlowDoor {
        seed: 0x6e65_7476_697a,
        door: 7,
        set_bits: SET_BITS,
        sees_tunnels: sees_tunnels.into(),
        ..FlowDoor::default()
    }
}

/// Checks the contract of the programs: `TCX_NEXT` on every path, each frame counted exactly as
/// `netviz-count` does, and in exactly one place besides.
pub fn check(object: &[u8]) -> Result<()> {
    for sees_tunnels in [false, true] {
        let mut test = FlowTest::load(object, door(sees_tunnels))?;
        let mut random = Random(0x0066_6c6f_7773);
        let mut expected = [Counts::default(); 2];
        let frames = frames::all();
        let random_frames = frames::random(0x6e76, 500);
        let mangled = flows::mangled(0x666c, 3_000);
        for frame in frames.iter().chain(&random_frames).chain(&mangled) {
            for direction in DIRECTIONS {
                let gso_segs = [0, 1, random.below(65_536) as u32][random.below(3)];
                let hook = &mut expected[usize::from(direction == Direction::Egress)];
                run_one(&mut test, direction, frame, gso_segs, hook)
                    .with_context(|| format!("{}, {direction}", frame.name))?;
            }
        }
        for (balance, expected) in test.balance(&[1])?.iter().zip(expected) {
            balance.check()?;
            ensure!(
                balance.counters == expected,
                "{balance:?}, not {expected:?}"
            );
        }
    }
    Ok(())
}

fn run_one(
    test: &mut FlowTest,
    direction: Direction,
    frame: &Frame,
    gso_segs: u32,
    expected: &mut Counts,
) -> Result<()> {
    let verdict = match test.run(direction, &frame.bytes, gso_segs) {
        Err(error) if frame.cut && is_refused(&error) => return Ok(()),
        verdict => verdict?,
    };
    ensure!(verdict == TCX_NEXT, "the verdict is {verdict}");
    *expected = *expected
        + Counts {
            packets: 1,
            segments: gso_segs.max(1).into(),
            bytes: frame.bytes.len() as u64,
        };
    Ok(())
}

/// Checks that a flood of new flows is counted in full, that flows which were there before keep their
/// slots, and that the next epoch begins with an empty table.
pub fn check_flood(object: &[u8]) -> Result<()> {
    pin()?;
    let mut test = FlowTest::load(object, door(false))?;
    let known = flows::numbered(0);
    test.run(Direction::Ingress, &known, 0)?;
    // A CPU has 1 024 slots.
    for epoch in 1..=2 {
        test.begin(epoch)?;
        for number in 1..20_000 {
            let frame = flows::numbered(number * epoch);
            test.run(Direction::Egress, &frame, number % 3)?;
        }
        let flows = test.flows(epoch)?;
        let slots = 4 << SET_BITS;
        ensure!(flows.len() > slots / 2, "{} flows have slots", flows.len());
    }
    test.begin(1)?;
    test.run(Direction::Ingress, &known, 0)?;
    let [ingress, egress] = test.balance(&[1, 2])?;
    ingress.check()?;
    egress.check()?;
    ensure!(ingress.flows.packets == 2 && ingress.evicted.packets == 0);
    ensure!(egress.evicted.packets > 30_000, "{egress:?}");
    Ok(())
}

/// Pins this thread to its processor, each of which has a part of the table.
fn pin() -> Result<()> {
    let mut set = CpuSet::new();
    set.set(sched_getcpu()?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Checks that bytes that were sent before are counted as retransmitted, and that all flags are kept.
pub fn check_tcp(object: &[u8]) -> Result<()> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let mut test = FlowTest::load(object, door(false))?;
    let segments = [
        (SYN, 99, 0, false),
        (ACK, 100, 500, false),
        (ACK, 600, 500, false),
        (ACK, 100, 500, true),
        // It has new bytes as well.
        (ACK, 600, 600, false),
        (ACK, 1_200, 0, false),
        (ACK, 700, 100, true),
        // The sequence numbers wrap.
        (ACK, 1_200, u16::MAX, false),
    ];
    for (flags, sequence, length, _) in segments {
        let length = length.min(1_400);
        let frame = flows::tcp(flags, sequence, length);
        test.run(Direction::Egress, &frame, 0)?;
    }
    let wrapped = [(u32::MAX - 99, 200), (u32::MAX - 99, 200)];
    let mut other = FlowTest::load(object, door(false))?;
    for (sequence, length) in wrapped {
        other.run(Direction::Egress, &flows::tcp(ACK, sequence, length), 0)?;
    }
    for (test, expected, flags) in [(&test, 2, SYN | ACK), (&other, 1, ACK)] {
        let flows = test.flows(1)?;
        let slot = flows.values().next().context("no flow")?;
        ensure!(
            flows.len() == 1 && slot.retransmitted == expected,
            "{slot:?}"
        );
        ensure!(
            slot.last as u8 == flags && slot.first <= slot.last | 0xff,
            "{slot:?}"
        );
    }
    Ok(())
}

/// Checks the flow of each kind of packet.
pub fn check_keys(object: &[u8]) -> Result<()> {
    for case in flows::cases() {
        let mut test = FlowTest::load(object, door(case.sees_tunnels))?;
        for direction in DIRECTIONS {
            for frame in &case.frames {
                test.run(direction, frame, 0)?;
            }
        }
        let mut expected: Vec<_> = case.keys.iter().map(words).collect();
        let egress = case.keys.iter().map(|key| FlowKey {
            flags: key.flags | IS_EGRESS,
            ..*key
        });
        expected.extend(egress.map(|key| words(&key)));
        expected.sort_unstable();
        let found: Vec<_> = test.flows(1)?.into_keys().collect();
        ensure!(
            found == expected,
            "{}: {found:x?} instead of {expected:x?}",
            case.name
        );
        for balance in test.balance(&[1])? {
            balance.check().context(case.name)?;
            ensure!(balance.unparsed.packets == case.unparsed, "{balance:?}");
        }
    }
    Ok(())
}
