//! The counting object, run on crafted frames (`BPF_PROG_TEST_RUN`).

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::{MapData, PerCpuArray},
    programs::{SchedClassifier, TestRunOptions},
};
use netviz::model::{Counts, Direction};
use netviz_ebpf::{COUNTERS_MAP, DoorCounters, EGRESS_PROGRAM, INGRESS_PROGRAM, TCX_NEXT};

use crate::bpf::frames::{self, Frame, Random};

/// Size of `struct __sk_buff` and offset of `gso_segs` in it: the kernel's ABI.
pub(super) const CONTEXT: usize = 192;
pub(super) const GSO_SEGS: usize = 164;

/// Both hooks of a door.
pub const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// A loaded copy.
pub struct CountTest {
    object: Ebpf,
    counters: PerCpuArray<MapData, DoorCounters>,
}

impl CountTest {
    /// Loads one of netviz's counting objects, or a mutant.
    pub fn load(object: &[u8]) -> Result<Self> {
        let mut object = EbpfLoader::new().btf(None).load(object)?;
        let map = object.take_map(COUNTERS_MAP).context("no counters")?;
        for direction in DIRECTIONS {
            program(&mut object, direction)?.load()?;
        }
        Ok(Self {
            object,
            counters: PerCpuArray::try_from(map)?,
        })
    }

    /// Returns the loaded program of one direction.
    pub fn program(&mut self, direction: Direction) -> Result<&mut SchedClassifier> {
        program(&mut self.object, direction)
    }

    /// Returns the counts of ingress and egress.
    pub fn counts(&self) -> Result<[Counts; 2]> {
        let values = self.counters.get(&0, 0)?;
        let sum = |of: fn(&DoorCounters) -> netviz_ebpf::Counters| {
            values.iter().map(of).fold(Counts::default(), |sum, one| {
                sum + Counts {
                    packets: one.packets,
                    segments: one.segments,
                    bytes: one.bytes,
                }
            })
        };
        Ok([sum(|door| door.ingress), sum(|door| door.egress)])
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
}

/// Returns the instructions of a program, as they are in the object.
pub fn instructions(object: &[u8], name: &str) -> Result<Vec<(u8, u8, i16, i32)>> {
    let object = aya_obj::Object::parse(object)?;
    let program = object.programs.get(name).context("no such program")?;
    let function = object.functions.get(&program.function_key());
    let instructions = function.context("no such function")?.instructions.iter();
    let parts = |it: &aya_obj::generated::bpf_insn| {
        let registers = it.dst_reg() | it.src_reg() << 4;
        (it.code, registers, it.off, it.imm)
    };
    Ok(instructions.map(parts).collect())
}

/// Returns true if the kernel refused to run the frame.
#[must_use]
pub fn is_refused(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    cause.and_then(std::io::Error::raw_os_error) == Some(libc::EINVAL)
}

fn program(object: &mut Ebpf, direction: Direction) -> Result<&mut SchedClassifier> {
    let name = match direction {
        Direction::Ingress => INGRESS_PROGRAM,
        Direction::Egress => EGRESS_PROGRAM,
    };
    Ok(object.program_mut(name).context(name)?.try_into()?)
}

/// Checks the contract of the counting programs: `TCX_NEXT` on every path, and each frame counted
/// exactly, only in its own direction.
pub fn check(object: &[u8]) -> Result<()> {
    let mut counting = CountTest::load(object)?;
    let mut random = Random(0x006e_6574_7669_7a21);
    for frame in frames::all().iter().chain(&frames::random(0x6e76, 500)) {
        for direction in DIRECTIONS {
            for gso_segs in [0, 1, 2, 44, random.below(65_536) as u32] {
                check_one(&mut counting, direction, frame, gso_segs)
                    .with_context(|| format!("{}, {direction}, gso_segs {gso_segs}", frame.name))?;
            }
        }
    }
    Ok(())
}

fn check_one(
    counting: &mut CountTest,
    direction: Direction,
    frame: &Frame,
    gso_segs: u32,
) -> Result<()> {
    let mut expected = counting.counts()?;
    let verdict = match counting.run(direction, &frame.bytes, gso_segs) {
        Err(error) if frame.cut && is_refused(&error) => return Ok(()),
        verdict => verdict?,
    };
    ensure!(verdict == TCX_NEXT, "the verdict is {verdict}");
    let one = Counts {
        packets: 1,
        segments: u64::from(gso_segs.max(1)),
        bytes: frame.bytes.len() as u64,
    };
    let counted = &mut expected[usize::from(direction == Direction::Egress)];
    *counted = *counted + one;
    let counts = counting.counts()?;
    ensure!(
        counts == expected,
        "counted {counts:?} instead of {expected:?}"
    );
    Ok(())
}
