//! Repeated runs on one lab, and many pods that each send to all others.

use std::{
    env,
    time::{Duration, Instant},
};

use netviz::lab::{Lab, Mode, Options};
use netviz_tests::{
    bpf::skip,
    cli::{fault_table::is_emulated, netviz::command_for},
};
use serde_json::Value;

use super::fixture::{LabFixture, arrived, expect};

/// Names the number of runs, by default [`RUNS`]; `cargo xtask test --all` does a hundred in each
/// mode.
const RUNS_VARIABLE: &str = "NETVIZ_VERIFY_RUNS";
/// A hundred in all modes together.
const RUNS: u32 = 20;
/// Names the number of pods, by default [`PODS`]; `cargo xtask test --all` has a hundred.
const PODS_VARIABLE: &str = "NETVIZ_VERIFY_PODS";
/// More pairs than verify tests at once.
const PODS: usize = 50;

/// A test that fails once in a hundred runs would be useless.
pub(super) fn repeated_runs_agree(mode: Mode) {
    let asked = env::var(RUNS_VARIABLE).map(|runs| runs.parse().expect("a number"));
    let runs = asked.unwrap_or(if is_emulated() { 2 } else { RUNS });
    let fixture = LabFixture::up(mode, false);
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    for run in 1..=runs {
        let one = Instant::now();
        let result = expect(fixture.across(&[]), "verified");
        assert_eq!(arrived(&result), (Some(4), Some(4)), "run {run}");
        slowest = slowest.max(one.elapsed());
    }
    let took = begin.elapsed();
    println!("{mode}: {runs} runs, all verified, in {took:.1?}; the slowest took {slowest:.2?}");
}

/// Every pair is tested, in parallel: one after the other they would take a quarter of an hour,
/// although each run is as fast as possible.
#[test]
fn many_pods_to_all_others() {
    if skip::without_tcx() {
        return;
    }
    let asked = env::var(PODS_VARIABLE).map(|pods| pods.parse().expect("a number"));
    let pods = asked.unwrap_or(if is_emulated() { 10 } else { PODS });
    let lab = lab_of(pods);
    let begin = Instant::now();
    let args = ["verify", "--all-pairs", "--count", "1", "--fast-attach"];
    let args = [&args[..], &["-o", "jsonl"]].concat();
    let output = command_for(&lab, &args).output().unwrap();
    let took = begin.elapsed();
    let result = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<Value> = result
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(verdicts.len(), pods * (pods - 1), "{stderr}");
    for verdict in &verdicts {
        assert_eq!(verdict["verdict"], "verified", "{stderr} {verdict:#}");
    }
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    println!("{pods} pods: {} pairs in {took:.1?}", verdicts.len());
}

/// Returns a lab with this number of named pods: no pair includes an unnamed one.
fn lab_of(pods: usize) -> Lab {
    /// Those of the blog post: each node has two named pods and an unnamed one.
    const NAMED: usize = 4;
    let extra = u16::try_from((pods - NAMED) / 2).unwrap();
    Lab::up(&Options {
        extra_pods_per_node: extra,
        ..Options::default()
    })
    .unwrap()
}
