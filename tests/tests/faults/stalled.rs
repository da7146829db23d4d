//! Invariant 5 for a netviz that could not read for a while: notifications are lost then, and what
//! they would have told has to be found out.

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
        wait::second,
    },
    netns::{TestNetns, add_pair, delete_group, set_group},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Each is told of some ten times, in messages of 1.5 KiB: a default buffer holds 100 or so.
const PAIRS: u64 = 1_000;
const GROUP: u32 = 7;
/// A namespace is read again two seconds after it was first found, when it is next looked for: at the latest
/// this long after netviz has begun.
const SETTLED: Duration = Duration::from_secs(8);
/// For so long nobody reads.
const STALL: Duration = Duration::from_secs(8);
const START: Duration = Duration::from_secs(30);

/// Indexes of the doors in a snapshot that have not gone.
fn shown(line: &str) -> BTreeSet<u64> {
    let snapshot: Value = serde_json::from_str(line).unwrap();
    let doors = snapshot["doors"].as_array().unwrap().iter();
    let there = doors.filter(|door| door["state"] != "gone");
    there
        .map(|door| door["ifindex"].as_u64().unwrap())
        .collect()
}

/// The last set that was shown before the limit, or the expected one as soon as it is.
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
    let room = TestNetns::new().unwrap();
    let mut netlink = room.netlink().unwrap();
    add_pair(&mut netlink, 11).unwrap();
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &room.name(), "--include", "veth*"])
        .args(["--watch", "100ms", "-o", "jsonl"])
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut command).unwrap();
    let stdout = BufReader::new(running.0.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            // Nobody listens any more at the end.
            let _ = sender.send(line);
        }
    });
    let before = BTreeSet::from([11, 12]);
    assert_eq!(wait_for(&lines, START, &before), before);

    // These eight seconds are part of the fault: nothing is waited for. What is read once more because it is
    // new has been then, and from now on only a notification tells.
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
    // The last of all changes, told when there is no room left.
    netlink.delete_link(11).unwrap();
    add_pair(&mut netlink, 21).unwrap();
    // That nobody reads for so long is the fault itself.
    std::thread::sleep(STALL.saturating_sub(stopped.elapsed()));
    kill(pid, Signal::SIGCONT).unwrap();
    let awake = Instant::now();
    // A second as after any other change, and all that was missed in it.
    let after = BTreeSet::from([21, 22]);
    assert_eq!(wait_for(&lines, second(), &after), after);
    let took = awake.elapsed();
    Row {
        fault: format!("reader stalled for 8 s, {pairs} pairs come and go"),
        note: format!("right again after {took:.2?}"),
        ..Row::default()
    }
    .holds("stalled");
}
