//! Pods come and go, one per second, while netviz runs: its memory, descriptors and BPF objects
//! stay constant. For a minute by default; with `NETVIZ_CHURN_SECONDS=3600`, as in `cargo xtask
//! test --all`, for an hour.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use netviz::lab::{Lab, Options};
use netviz_tests::{
    bpf::{descriptors::HeldObjects, skip::has_tcx},
    cli::{
        fault_table::{Row, is_emulated},
        netviz::command_for,
        wait::wait_until,
    },
};

/// Names the duration in seconds.
const SECONDS_VARIABLE: &str = "NETVIZ_CHURN_SECONDS";
/// Longer than netviz shows deleted doors: afterwards, its state no longer grows.
const WARM_UP: Duration = Duration::from_secs(31);
const SETTLE: Duration = Duration::from_secs(60);
/// Doors of the lab.
const DOORS: usize = 26;
/// What netviz holds for this long is constant: it scans links every four seconds.
const UNCHANGED: Duration = Duration::from_secs(2);

/// Resources of a process at one moment.
#[derive(Clone, Copy, Debug)]
struct Resources {
    kib: u64,
    descriptors: usize,
    programs: usize,
    maps: usize,
    links: usize,
}

impl Resources {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.unwrap().trim().trim_end_matches(" kB");
        let held = HeldObjects::by(pid);
        Self {
            kib: kib.parse().unwrap(),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            programs: held.programs.len(),
            maps: held.maps.len(),
            links: held.links.len(),
        }
    }

    /// BPF objects.
    fn objects(self) -> usize {
        self.programs + self.maps + self.links
    }

    fn is_within(self, limit: Self) -> bool {
        self.objects() <= limit.objects() && self.descriptors <= limit.descriptors
    }
}

/// Waits until it is attached at every door: with tcx, a door has two links; with clsact, programs
/// are loaded until all are filters.
fn wait_until_attached(pid: u32) -> Resources {
    let links = if has_tcx() { 2 * DOORS } else { 0 };
    let (mut last, mut since) = (Resources::of(pid), Instant::now());
    let attached = wait_until(SETTLE, || {
        let now = Resources::of(pid);
        if now.objects() != last.objects() {
            since = Instant::now();
        }
        last = now;
        now.maps >= DOORS && now.links >= links && since.elapsed() >= UNCHANGED
    });
    assert!(attached, "{last:?}");
    last
}

/// Waits until it holds no more than `limit`: while it scans a disappearing pod, it holds a
/// namespace or two.
fn at_rest(pid: u32, limit: Resources) -> Resources {
    let mut now = Resources::of(pid);
    wait_until(SETTLE, || {
        now = Resources::of(pid);
        now.is_within(limit)
    });
    now
}

/// Adds and removes one pod, in a second.
fn add_and_remove_pod(lab: &mut Lab, number: usize) {
    let start = Instant::now();
    let node = lab.nodes()[number % 2].name.clone();
    let name = format!("pod-{number}");
    lab.add_pod(&node, &name).unwrap();
    // Pods live for a while; the test is about one per second.
    let left = |of: Duration| of.saturating_sub(start.elapsed());
    std::thread::sleep(left(Duration::from_millis(600)));
    lab.remove_pod(&name).unwrap();
    std::thread::sleep(left(Duration::from_secs(1)));
}

#[test]
fn resources_stay_constant_while_pods_change() {
    let seconds = std::env::var(SECONDS_VARIABLE).ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    let period = Duration::from_secs(seconds.unwrap_or(if is_emulated() { 10 } else { 60 }));
    let mut lab = Lab::up(&Options::default()).unwrap();
    let mut command = command_for(&lab, &["doors", "-o", "jsonl", "--watch", "200ms"]);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let _running = netviz_tests::cli::binary::Running(child);
    let begun = wait_until_attached(pid);
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < WARM_UP.min(period) {
        add_and_remove_pod(&mut lab, number);
        number += 1;
    }
    let before = at_rest(pid, begun);
    assert!(before.is_within(begun), "{begun:?} {before:?}");
    let start = Instant::now();
    while start.elapsed() < period {
        add_and_remove_pod(&mut lab, number);
        number += 1;
    }
    let after = at_rest(pid, before);
    Row {
        fault: format!("{number} pods come and go, one per second"),
        note: format!(
            "resident {} -> {} KiB, {} -> {} descriptors, {} -> {} programs, maps and links",
            before.kib,
            after.kib,
            before.descriptors,
            after.descriptors,
            before.objects(),
            after.objects()
        ),
        ..Row::default()
    }
    .print("flat");
    assert!(after.kib * 100 <= before.kib * 105, "{before:?} {after:?}");
    assert!(after.is_within(before), "{before:?} {after:?}");
    lab.down().unwrap();
}
