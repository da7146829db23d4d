//! Invariant 5 for a netviz that could not read for a while: the kernel drops notifications, and
//! netviz must find the changes without them.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use netviz_tests::{
    cli::{
        binary::{self, Running},
        fault_table::{Row, many},
        wait::notify_limit,
    },
    netns::{TestNetns, add_pair, delete_group, set_group},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Each causes some ten notifications of 1.5 KiB; a default buffer holds about 100.
const PAIRS: u64 = 1_000;
const GROUP: u32 = 7;
/// netviz reads a namespace again two seconds after it was first found, at the next scan: at the
/// latest this long after its start.
const SETTLED: Duration = Duration::from_secs(8);
/// Time without reading.
const STALL: Duration = Duration::from_secs(8);
const START: Duration = Duration::from_secs(30);

/// Returns the indexes of the doors in a snapshot that are not gone.
fn shown(line: &str) -> BTreeSet<u64> {
    let snapshot: Value = serde_json::from_str(line).unwrap();
    let doors = snapshot["doors"].as_array().unwrap().iter();
    let there = doors.filter(|door| door["state"] != "gone");
    there
        .map(|door| door["ifindex"].as_u64().unwrap())
        .collect()
}

/// Returns the expected set as soon as it is shown, or the last one at the limit.
fn wait_for(
    lines: &mpsc::Receiver<String>,
    limit: Duration,
    expected: &BTreeSet<u64>,
) -> BTreeSet<u64> {
    let end = Instant::now() + limit;
    let mut last = BTreeSet::new();
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        last = shown(&line);
        if last == *expected {
            break;
        }
    }
    last
}

#[test]
fn changes_during_a_stall_are_shown() {
    let namespace = TestNetns::new().unwrap();
    let mut netlink = namespace.netlink().unwrap();
    add_pair(&mut netlink, 11).unwrap();
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &namespace.name(), "--include", "veth*"])
        .args(["--watch", "100ms", "-o", "jsonl"])
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut command).unwrap();
    let stdout = BufReader::new(running.0.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            // The receiver may be gone at the end.
            let _ = sender.send(line);
        }
    });
    let before = BTreeSet::from([11, 12]);
    assert_eq!(wait_for(&lines, START, &before), before);

    // These eight seconds are part of the fault. netviz has then read new namespaces a second time;
    // from now on, only a notification reports changes.
    let never = BTreeSet::new();
    assert_eq!(wait_for(&lines, SETTLED, &never), before);
    let pid = Pid::from_raw(running.0.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = Instant::now();
    let pairs = many(PAIRS);
    for pair in 0..pairs as u32 {
        let near = 100 + 2 * pair;
        add_pair(&mut netlink, near).unwrap();
        set_group(&mut netlink, near, GROUP).unwrap();
    }
    delete_group(&mut netlink, GROUP).unwrap();
    // The last of all changes, when the buffer is full.
    netlink.delete_link(11).unwrap();
    add_pair(&mut netlink, 21).unwrap();
    // Not reading for this long is the fault itself.
    std::thread::sleep(STALL.saturating_sub(stopped.elapsed()));
    kill(pid, Signal::SIGCONT).unwrap();
    let awake = Instant::now();
    // Within a second, as after any other change, netviz shows everything that it missed.
    let after = BTreeSet::from([21, 22]);
    assert_eq!(wait_for(&lines, notify_limit(), &after), after);
    let took = awake.elapsed();
    Row {
        fault: format!("reader stalled for 8 s, {pairs} pairs come and go"),
        note: format!("correct after {took:.2?}"),
        ..Row::default()
    }
    .check("stalled");
}
