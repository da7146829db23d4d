//! Invariant 5 for a netviz that could not read for a while: notifications are lost then, and what
//! they would have told has to be found out.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use netviz::sys::netlink::{Netlink, NewLink};
use netviz_tests::{
    binary::{self, Running},
    room::Room,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Each is told of some ten times, in messages of 1.5 KiB: a default buffer holds 100 or so.
const PAIRS: u32 = 60;
const START: Duration = Duration::from_secs(30);
/// It looks within a second, and attaches in its own time; the machine does other things too.
const NOTICE: Duration = Duration::from_secs(10);

fn pair(netlink: &mut Netlink, index: u32) {
    let names = [index, index + 1].map(|index| format!("veth{index}"));
    let link = |end: usize, index: u32| NewLink {
        name: &names[end],
        index,
        mac: [2, 0x74, 2, 0, (index >> 8) as u8, index as u8],
        arp: false,
    };
    netlink
        .create_veth(&link(0, index), &link(1, index + 1), None)
        .unwrap();
}

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
fn what_a_stalled_reader_missed_is_shown() {
    let room = Room::new().unwrap();
    let mut netlink = room.netlink().unwrap();
    pair(&mut netlink, 11);
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

    let pid = Pid::from_raw(running.0.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    for pair_number in 0..PAIRS {
        pair(&mut netlink, 100 + 2 * pair_number);
        netlink.delete_link(100 + 2 * pair_number).unwrap();
    }
    // The last of all changes, told when there is no room left.
    netlink.delete_link(11).unwrap();
    pair(&mut netlink, 21);
    kill(pid, Signal::SIGCONT).unwrap();
    let after = BTreeSet::from([21, 22]);
    assert_eq!(wait_for(&lines, NOTICE, &after), after);
}
