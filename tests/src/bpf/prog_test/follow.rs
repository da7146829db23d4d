//! The object that follows two addresses, run on crafted frames (`BPF_PROG_TEST_RUN`).

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::{Array, MapData, PerCpuArray, RingBuf},
    programs::{SchedClassifier, TestRunOptions},
};
use netviz::model::Direction;
use netviz_ebpf::{
    TCX_NEXT,
    crossing::IS_EGRESS,
    follow::{
        FILTER_GLOBAL, FOLLOW_EGRESS_PROGRAM, FOLLOW_INGRESS_PROGRAM, IS_OUTER, IS_REPLY,
        OVERFLOW_MAP, PACE_MAP, PACKETS_MAP, Pace, PairFilter, PairPacket, TRAFFIC_MAP, Traffic,
        is_chosen,
    },
};

use crate::bpf::{
    frames::{self, Frame, packets},
    prog_test::count::{DIRECTIONS, is_refused},
};

/// More than fit into the ring buffer.
const TOO_MANY: u32 = 5_000;

/// A loaded copy and its events.
pub struct FollowTest {
    object: Ebpf,
    ring: RingBuf<MapData>,
    unreported: PerCpuArray<MapData, u64>,
    pace: Array<MapData, Pace>,
    traffic: PerCpuArray<MapData, Traffic>,
}

/// Filter for all packets between the two addresses, without a rate limit.
#[must_use]
pub fn any_packet() -> PairFilter {
    PairFilter {
        from: packets::A,
        to: packets::B,
        family: 4,
        ..PairFilter::default()
    }
}

impl FollowTest {
    /// Loads a copy that is active at once.
    pub fn load(object: &[u8], sought: &PairFilter) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        loader.override_global(FILTER_GLOBAL, sought, true);
        let mut object = loader.load(object)?;
        let mut map = |name| object.take_map(name).context(name);
        let (ring, unreported) = (map(PACKETS_MAP)?, map(OVERFLOW_MAP)?);
        let (pace, traffic) = (map(PACE_MAP)?, map(TRAFFIC_MAP)?);
        for direction in DIRECTIONS {
            program(&mut object, direction)?.load()?;
        }
        let mut test = Self {
            object,
            ring: RingBuf::try_from(ring)?,
            unreported: PerCpuArray::try_from(unreported)?,
            pace: Array::try_from(pace)?,
            traffic: PerCpuArray::try_from(traffic)?,
        };
        test.set(Pace {
            until: u64::MAX,
            end: u64::MAX,
            ..Pace::default()
        })?;
        Ok(test)
    }

    /// Sets time limits and sampling level.
    pub fn set(&mut self, pace: Pace) -> Result<()> {
        Ok(self.pace.set(0, pace, 0)?)
    }

    /// Runs one direction on a frame.
    pub fn run(&mut self, direction: Direction, frame: &[u8], repeat: u32) -> Result<i32> {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::default()
        };
        let result = program(&mut self.object, direction)?.test_run(options)?;
        Ok(result.return_value.cast_signed())
    }

    /// Returns the events since the last call.
    pub fn events(&mut self) -> Vec<PairPacket> {
        let mut events = Vec::new();
        while let Some(entry) = self.ring.next() {
            events.extend(PairPacket::read(&entry));
        }
        events
    }

    /// Returns the number of selected packets that were not reported.
    pub fn unreported(&self) -> Result<u64> {
        Ok(self.unreported.get(&0, 0)?.iter().sum())
    }

    /// Returns the sampling level.
    pub fn level(&self) -> Result<u64> {
        Ok(self.pace.get(&0, 0)?.level)
    }

    /// Returns the packets of both hooks, by direction.
    pub fn counted(&self) -> Result<[u64; 2]> {
        let each = self.traffic.get(&0, 0)?;
        let of = |way: usize| {
            let packets = each
                .iter()
                .map(|one| one.ingress[way].packets + one.egress[way].packets);
            packets.sum()
        };
        Ok([of(0), of(1)])
    }
}

fn program(object: &mut Ebpf, direction: Direction) -> Result<&mut SchedClassifier> {
    let name = match direction {
        Direction::Ingress => FOLLOW_INGRESS_PROGRAM,
        Direction::Egress => FOLLOW_EGRESS_PROGRAM,
    };
    Ok(object.program_mut(name).context(name)?.try_into()?)
}

/// Checks the contract: `TCX_NEXT` on every path; each packet of the pair is reported and counted,
/// and no other.
pub fn check(object: &[u8]) -> Result<()> {
    let mut test = FollowTest::load(object, &any_packet())?;
    for frame in frames::all().iter().chain(&frames::random(0x666f, 100)) {
        for direction in DIRECTIONS {
            check_other(&mut test, direction, frame)
                .with_context(|| format!("{}, {direction}", frame.name))?;
        }
    }
    let all = packets::between();
    for family in [4, 6] {
        let mut of = all.iter().filter(|sought| sought.pair.family == family);
        let pair = of.clone().next().context("no packet of a family")?.pair;
        let mut test = FollowTest::load(object, &pair)?;
        of.try_for_each(|sought| {
            DIRECTIONS.into_iter().try_for_each(|direction| {
                check_sought(&mut test, direction, sought)
                    .with_context(|| format!("{}, {direction}", sought.name))
            })
        })?;
    }
    DIRECTIONS
        .into_iter()
        .try_for_each(|direction| check_full(object, direction))
}

/// Frames of other pairs: some have 10.0.0.1 and 10.0.0.2, which the filter does not match.
fn check_other(test: &mut FollowTest, direction: Direction, frame: &Frame) -> Result<()> {
    let verdict = match test.run(direction, &frame.bytes, 1) {
        Err(error) if frame.cut && is_refused(&error) => return Ok(()),
        verdict => verdict?,
    };
    ensure!(verdict == TCX_NEXT, "the verdict is {verdict}");
    let events = test.events();
    ensure!(events.is_empty(), "reported {events:?}");
    ensure!(test.counted()? == [0, 0], "counted");
    Ok(())
}

fn check_sought(
    test: &mut FollowTest,
    direction: Direction,
    sought: &packets::PacketCase,
) -> Result<()> {
    let [there, back] = test.counted()?;
    let verdict = test.run(direction, &sought.bytes, 1)?;
    ensure!(verdict == TCX_NEXT, "the verdict is {verdict}");
    let events = test.events();
    let [passed] = events.as_slice() else {
        anyhow::bail!("reported {events:?}");
    };
    let expected = sought.flags
        | if direction == Direction::Egress {
            IS_EGRESS
        } else {
            0
        };
    ensure!(
        passed.flags == expected,
        "flags {:#x} instead of {expected:#x}",
        passed.flags
    );
    ensure!(
        (passed.start, passed.length, passed.ttl) == (sought.start, sought.length, 64),
        "{passed:?}"
    );
    let counted = if passed.flags & IS_REPLY == 0 {
        [there + 1, back]
    } else {
        [there, back + 1]
    };
    ensure!(test.counted()? == counted, "counted otherwise");
    Ok(())
}

/// If the ring buffer is full, packets still pass and are counted.
fn check_full(object: &[u8], direction: Direction) -> Result<()> {
    let mut test = FollowTest::load(object, &any_packet())?;
    let frame = packets::datagram(1);
    let verdict = test.run(direction, &frame, TOO_MANY)?;
    ensure!(
        verdict == TCX_NEXT,
        "the verdict is {verdict} with a full ring buffer"
    );
    let events = test.events().len() as u64;
    let unreported = test.unreported()?;
    ensure!(unreported > 0, "all {TOO_MANY} fit into the ring buffer");
    // A step of 0 never uses up the budget: the level stays 0.
    ensure!(test.level()? == 0, "the level rose");
    ensure!(
        events + unreported == u64::from(TOO_MANY),
        "{events} reported, {unreported} not"
    );
    ensure!(
        test.counted()? == [u64::from(TOO_MANY), 0],
        "counted otherwise"
    );
    Ok(())
}

/// Checks sampling: with many packets, only some are reported, and each door reports the same ones.
pub fn check_sampling(object: &[u8]) -> Result<()> {
    let sought = PairFilter {
        // The budget is not refilled: 100 packets at once, and then 50 for each level.
        step: 1 << 40,
        burst: 100 << 40,
        ..any_packet()
    };
    let mut doors = [
        FollowTest::load(object, &sought)?,
        FollowTest::load(object, &sought)?,
    ];
    let mut events = [Vec::new(), Vec::new()];
    for number in 0..4_000_u16 {
        let plain = packets::datagram(number);
        let outer = packets::vxlan(&plain);
        for ((door, events), bytes) in doors.iter_mut().zip(&mut events).zip([&plain, &outer]) {
            ensure!(door.run(Direction::Egress, bytes, 1)? == TCX_NEXT);
            events.extend(door.events());
        }
    }
    let [one, other] = &events;
    let level = doors[0].level()?.max(doors[1].level()?);
    ensure!((3..10).contains(&level), "the level is {level}");
    let chosen = |events: &[PairPacket]| -> Vec<u64> {
        let identities = events.iter().map(|passed| passed.identity);
        identities
            .filter(|identity| is_chosen(*identity, level))
            .collect()
    };
    ensure!(chosen(one) == chosen(other), "the doors differ");
    ensure!(!chosen(one).is_empty(), "no packet at level {level}");
    ensure!(one.len() < 1_200, "{} reported", one.len());
    ensure!(other.iter().all(|passed| passed.flags & IS_OUTER != 0));
    ensure!(doors[0].counted()? == [4_000, 0], "not all were counted");
    Ok(())
}
