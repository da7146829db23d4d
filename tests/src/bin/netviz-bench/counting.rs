//! Compares the counting programs with an empty program, under `BPF_PROG_TEST_RUN`.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use aya::{
    EbpfLoader, TestRun as _,
    programs::{SchedClassifier, TestRunOptions},
};
use netviz::sys::objects;
use netviz_ebpf::TCX_NEXT;
use netviz_tests::bpf::{
    frames,
    prog_test::count::{CountTest, DIRECTIONS},
};

use crate::figure::{Figure, median};

const REPEAT: u32 = 1_000_000;
pub(crate) const ROUNDS: usize = 31;

pub(crate) fn run(report: &mut dyn FnMut(Figure)) -> Result<()> {
    let mut lab = EbpfLoader::new().btf(None).load(objects::LAB)?;
    let empty: &mut SchedClassifier = lab
        .program_mut("netviz_empty")
        .context("netviz_empty")?
        .try_into()?;
    empty.load()?;
    let mut counting = CountTest::load(objects::COUNT)?;
    for direction in DIRECTIONS {
        let counting = counting.program(direction)?;
        let [mut ours, mut nothing] = [Vec::new(), Vec::new()];
        // Alternating, so that other load affects both.
        for _ in 0..ROUNDS {
            ours.push(nanoseconds(counting)?);
            nothing.push(nanoseconds(empty)?);
        }
        let rounds = ours
            .iter()
            .zip(&nothing)
            .map(|(ours, nothing)| ours / nothing);
        let ratio = rounds.collect();
        let (ours, nothing) = (median(ours), median(nothing));
        report(Figure::new(
            format!("an empty program, {direction}"),
            nothing,
            "ns",
        ));
        report(Figure::new(format!("counting, {direction}"), ours, "ns"));
        let what = format!("counting / empty program, {direction}");
        report(Figure::ratio(what, "counting_ratio", ratio).goal(1.15));
    }
    Ok(())
}

/// Returns the time of one run with a frame that is no probe. The kernel reports whole nanoseconds,
/// which is too coarse for a program of twenty.
pub(crate) fn nanoseconds(program: &SchedClassifier) -> Result<f64> {
    let frame = frames::ipv4(100);
    let options = TestRunOptions {
        data_in: Some(&frame),
        repeat: REPEAT,
        ..TestRunOptions::default()
    };
    let start = Instant::now();
    let result = program.test_run(options)?;
    let elapsed = start.elapsed();
    ensure!(result.return_value.cast_signed() == TCX_NEXT);
    Ok(elapsed.as_secs_f64() * 1e9 / f64::from(REPEAT))
}
