//! Pods come and go, one a second, while netviz runs: its memory, its descriptors and its BPF objects
//! stay as they are. For a minute here; `NETVIZ_CHURN_SECONDS=3600`, as `cargo xtask test --all` has
//! it, for an hour.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use netviz::lab::{Lab, Options};
use netviz_tests::{
    cli::netviz::looking_at,
    descriptors::Held,
    fault::{Row, is_emulated},
    skip::has_tcx,
    wait::wait_until,
};

/// How long pods come and go.
const SECONDS_VARIABLE: &str = "NETVIZ_CHURN_SECONDS";
/// Longer than netviz shows what has gone: from then on there is nothing more to remember.
const WARM_UP: Duration = Duration::from_secs(31);
const SETTLE: Duration = Duration::from_secs(60);
/// Of the laboratory.
const DOORS: usize = 26;
/// What it holds for so long, it holds at rest: links are looked at every four seconds.
const UNCHANGED: Duration = Duration::from_secs(2);

/// What a process has at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Has {
    kib: u64,
    descriptors: usize,
    objects: usize,
}

fn has(pid: u32) -> Has {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let held = Held::by(pid);
    Has {
        kib: resident
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap(),
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        objects: held.programs.len() + held.maps.len() + held.links.len(),
    }
}

/// Waits until it stands at every door: in tcx each is two links, and in clsact programs come and go until
/// all are filters.
fn at_its_doors(pid: u32) -> Has {
    let links = if has_tcx() { 2 * DOORS } else { 0 };
    let (mut last, mut since) = (has(pid), Instant::now());
    let stands = wait_until(SETTLE, || {
        let (now, held) = (has(pid), Held::by(pid));
        if now.objects != last.objects {
            since = Instant::now();
        }
        last = now;
        let is_complete = held.maps.len() >= DOORS && held.links.len() >= links;
        is_complete && since.elapsed() >= UNCHANGED
    });
    assert!(stands, "{last:?}");
    last
}

/// Waits until it holds no more than is `expected`.
fn at_rest(pid: u32, expected: impl Fn(Has) -> bool) -> Has {
    let mut now = has(pid);
    wait_until(SETTLE, || {
        now = has(pid);
        expected(now)
    });
    now
}

/// One pod comes and goes, in a second.
fn turn(lab: &mut Lab, number: usize) {
    let start = Instant::now();
    let node = lab.nodes()[number % 2].name.clone();
    let name = format!("turn-{number}");
    lab.add_pod(&node, &name).unwrap();
    // Pods live for a while; what is tested is that they come one a second.
    let left = |of: Duration| of.saturating_sub(start.elapsed());
    std::thread::sleep(left(Duration::from_millis(600)));
    lab.remove_pod(&name).unwrap();
    std::thread::sleep(left(Duration::from_secs(1)));
}

#[test]
fn while_pods_come_and_go() {
    let seconds = std::env::var(SECONDS_VARIABLE).ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    let period = Duration::from_secs(seconds.unwrap_or(if is_emulated() { 10 } else { 60 }));
    let mut lab = Lab::up(&Options::default()).unwrap();
    let mut command = looking_at(&lab, &["doors", "-o", "jsonl", "--watch", "200ms"]);
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let _running = netviz_tests::binary::Running(child);
    let begun = at_its_doors(pid);
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < WARM_UP.min(period) {
        turn(&mut lab, number);
        number += 1;
    }
    let before = at_rest(pid, |now| now.objects <= begun.objects);
    assert!(before.objects <= begun.objects, "{begun:?} {before:?}");
    let start = Instant::now();
    while start.elapsed() < period {
        turn(&mut lab, number);
        number += 1;
    }
    // While it looks at a pod that goes, it holds a namespace or two.
    let after = at_rest(pid, |now| {
        now.objects <= before.objects && now.descriptors <= before.descriptors
    });
    Row {
        fault: format!("{number} pods come and go, one a second"),
        note: format!(
            "resident {} -> {} KiB, {} -> {} descriptors, {} -> {} programs, maps and links",
            before.kib,
            after.kib,
            before.descriptors,
            after.descriptors,
            before.objects,
            after.objects
        ),
        ..Row::default()
    }
    .print("flat");
    assert!(after.kib * 100 <= before.kib * 105, "{before:?} {after:?}");
    assert!(
        after.descriptors <= before.descriptors,
        "{before:?} {after:?}"
    );
    assert!(after.objects <= before.objects, "{before:?} {after:?}");
    lab.down().unwrap();
}
