//! The object that finds marked packets, run on crafted frames (`BPF_PROG_TEST_RUN`).

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::{MapData, PerCpuArray, RingBuf},
    programs::{SchedClassifier, TestRunOptions},
};
use netviz::model::Direction;
use netviz_ebpf::{
    TCX_NEXT,
    crossing::{
        COOKIE_GLOBAL, CROSSINGS_MAP, IS_EGRESS, IS_TCP_REPLY, LENGTHS_GLOBAL, MAGIC, MISSED_MAP,
        MarkedPacket, Marker, SEE_EGRESS_PROGRAM, SEE_INGRESS_PROGRAM, TCP_GLOBAL, TcpReplies,
    },
};

use crate::bpf::{
    frames::{self, Frame, Random, packets},
    prog_test::count::{DIRECTIONS, is_refused},
};

const COOKIE: [u64; 2] = [0x6e65_7476_697a_0001, 0x6e65_7476_697a_0002];
const FLOW: u32 = 7;
const SEQUENCE: u32 = 9;
/// Sequence number of a marked SYN; the upper half is the run's prefix.
const SYN: u32 = 0x6e76_0005;

/// Longest packet to compare: longer than any frame here.
const LONGEST: u32 = 2_000;
/// Longest trailer: Ethernet pads a frame with up to 46 bytes.
const TRAILER: usize = 46;
/// More marked packets than fit into the ring buffer.
const TOO_MANY: u32 = 1_000;

/// The last bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No marker.
    Unmarked,
    /// The marker of another run.
    Another,
    /// The marker of this run.
    Marked,
    /// A reset in reply to a marked SYN.
    Reset,
}

impl End {
    const ALL: [Self; 4] = [Self::Unmarked, Self::Another, Self::Marked, Self::Reset];

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Unmarked => Vec::new(),
            Self::Another => marker([1; 16]),
            Self::Marked => marker(cookie()),
            Self::Reset => {
                let acknowledged = (SYN + 1).to_be_bytes();
                [[0; 4], [0; 4], acknowledged, [0x50, 0x14, 0, 0], [0; 4]].concat()
            }
        }
    }

    /// Returns the expected flow, sequence and flags, without the direction.
    fn event(self) -> Option<(u32, u32, u32)> {
        match self {
            Self::Unmarked | Self::Another => None,
            Self::Marked => Some((FLOW, SEQUENCE, 0)),
            Self::Reset => Some((0, SYN, IS_TCP_REPLY)),
        }
    }
}

fn cookie() -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&COOKIE[0].to_ne_bytes());
    bytes[8..].copy_from_slice(&COOKIE[1].to_ne_bytes());
    bytes
}

fn marker(cookie: [u8; 16]) -> Vec<u8> {
    let marker = Marker {
        magic: MAGIC,
        cookie,
        flow: FLOW.to_be_bytes(),
        sequence: SEQUENCE.to_be_bytes(),
    };
    marker.bytes().to_vec()
}

/// The programs, loaded with a cookie and with lengths that include all frames of the tests.
pub struct SeeTest {
    object: Ebpf,
    ring: RingBuf<MapData>,
    missed: PerCpuArray<MapData, u64>,
}

impl SeeTest {
    /// Loads an object; with `tcp`, it also recognises replies to marked SYNs.
    pub fn load(object: &[u8], tcp: bool) -> Result<Self> {
        let tcp = TcpReplies {
            wanted: u32::from(tcp),
            prefix: SYN >> 16,
        };
        let mut loader = EbpfLoader::new();
        loader.btf(None);
        loader.override_global(COOKIE_GLOBAL, &COOKIE[..], true);
        loader.override_global(LENGTHS_GLOBAL, &[0, LONGEST][..], true);
        loader.override_global(TCP_GLOBAL, &tcp, true);
        let mut object = loader.load(object)?;
        let mut map = |name| object.take_map(name).context(name);
        let (ring, missed) = (map(CROSSINGS_MAP)?, map(MISSED_MAP)?);
        for direction in DIRECTIONS {
            program(&mut object, direction)?.load()?;
        }
        Ok(Self {
            object,
            ring: RingBuf::try_from(ring)?,
            missed: PerCpuArray::try_from(missed)?,
        })
    }

    fn run(&mut self, direction: Direction, frame: &[u8], repeat: u32) -> Result<i32> {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::default()
        };
        let result = program(&mut self.object, direction)?.test_run(options)?;
        Ok(result.return_value.cast_signed())
    }

    /// Returns the program of one direction.
    pub fn program(&mut self, direction: Direction) -> Result<&mut SchedClassifier> {
        program(&mut self.object, direction)
    }

    /// Returns the events since the last call.
    fn events(&mut self) -> Vec<MarkedPacket> {
        let mut events = Vec::new();
        while let Some(entry) = self.ring.next() {
            events.extend(MarkedPacket::read(&entry));
        }
        events
    }
}

fn program(object: &mut Ebpf, direction: Direction) -> Result<&mut SchedClassifier> {
    let name = match direction {
        Direction::Ingress => SEE_INGRESS_PROGRAM,
        Direction::Egress => SEE_EGRESS_PROGRAM,
    };
    Ok(object.program_mut(name).context(name)?.try_into()?)
}

/// Checks the contract: `TCX_NEXT` on every path, and exactly the marked packets are reported,
/// once.
pub fn check(object: &[u8]) -> Result<()> {
    let mut test = SeeTest::load(object, true)?;
    for frame in frames::all().iter().chain(&frames::random(0x7365, 100)) {
        for direction in DIRECTIONS {
            for end in End::ALL {
                check_one(&mut test, direction, frame, end)
                    .with_context(|| format!("{}, {direction}, {end:?}", frame.name))?;
            }
        }
    }
    DIRECTIONS
        .into_iter()
        .try_for_each(|direction| check_full(object, direction))
}

/// Checks that packets are found in longer frames, whatever follows them.
pub fn check_trailers(object: &[u8]) -> Result<()> {
    let mut test = SeeTest::load(object, true)?;
    let marked = packets::ending_with(&End::Marked.bytes());
    let marked = marked.into_iter().map(|packet| (packet, End::Marked));
    let replies = packets::replies_to_syn(SYN + 1).into_iter();
    let all: Vec<_> = marked
        .chain(replies.map(|packet| (packet, End::Reset)))
        .collect();
    let mut random = Random(0x7472);
    for length in 0..=TRAILER {
        let trailer: Vec<_> = (0..length).map(|_| random.below(256) as u8).collect();
        for ((name, packet), end) in &all {
            for (wrapping, bytes) in packets::with_trailer(packet, &trailer) {
                for direction in DIRECTIONS {
                    check_events(&mut test, direction, &bytes, *end).with_context(|| {
                        format!("{name} {wrapping}, {length} bytes behind it, {direction}")
                    })?;
                }
            }
        }
    }
    Ok(())
}

fn check_one(test: &mut SeeTest, direction: Direction, frame: &Frame, end: End) -> Result<()> {
    let bytes = [&frame.bytes[..], &end.bytes()].concat();
    match check_events(test, direction, &bytes, end) {
        Err(error) if frame.cut && is_refused(&error) => Ok(()),
        checked => checked,
    }
}

/// Runs a frame, and checks that it passes and what is reported.
fn check_events(test: &mut SeeTest, direction: Direction, bytes: &[u8], end: End) -> Result<()> {
    let verdict = test.run(direction, bytes, 1)?;
    ensure!(verdict == TCX_NEXT, "the verdict is {verdict}");
    let seen = test.events();
    let events: Vec<_> = seen
        .iter()
        .map(|seen| (seen.flow, seen.sequence, seen.flags))
        .collect();
    let side = match direction {
        Direction::Ingress => 0,
        Direction::Egress => IS_EGRESS,
    };
    let expected: Vec<_> = end
        .event()
        .into_iter()
        .map(|(flow, sequence, flags)| (flow, sequence, flags | side))
        .collect();
    ensure!(
        events == expected,
        "reported {events:?} instead of {expected:?}"
    );
    let matches = seen.iter().all(|seen| {
        let head = &seen.head[..bytes.len().min(seen.head.len())];
        seen.length as usize == bytes.len() && bytes.starts_with(head)
    });
    ensure!(matches, "wrong packet data");
    Ok(())
}

/// If the ring buffer is full, the packet still passes and is counted as missed.
fn check_full(object: &[u8], direction: Direction) -> Result<()> {
    let mut test = SeeTest::load(object, true)?;
    let bytes = [&frames::ipv4(100)[..], &End::Marked.bytes()].concat();
    let verdict = test.run(direction, &bytes, TOO_MANY)?;
    ensure!(
        verdict == TCX_NEXT,
        "the verdict is {verdict} with a full ring buffer"
    );
    let events = test.events().len() as u64;
    let missed: u64 = test.missed.get(&0, 0)?.iter().sum();
    ensure!(missed > 0, "all {TOO_MANY} fit into the ring buffer");
    ensure!(
        events + missed == u64::from(TOO_MANY),
        "{events} reported, {missed} missed"
    );
    Ok(())
}
