//! Invariant 2, with the real binary on the laboratory: however netviz ends, nothing of it is left,
//! nothing of anybody else's is touched, and no packet is lost on the way.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use netviz::lab::{Attach, Lab, Options, UDP_PORT, traffic};
use netviz_tests::{
    binary::{self, Running},
    descriptors::Held,
    fault::is_emulated,
    skip,
    standing::Standing,
    wait::wait_until,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Two hooks of each of the doors of the two nodes: a tcx attachment is 9 ms under rtnl_lock, which
/// other tests want as well.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);
const DETACH_LIMIT: Duration = Duration::from_secs(60);
/// After the process has ended.
const GONE_LIMIT: Duration = Duration::from_secs(1);

/// The nodes of the laboratory, as `--netns` takes them.
fn nodes(lab: &Lab) -> String {
    let nodes = lab.nodes().iter().map(|node| node.pid.to_string());
    nodes.collect::<Vec<_>>().join(",")
}

fn netviz(lab: &Lab, attach: &str) -> Running {
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &nodes(lab), "--attach", attach])
        .args(["-o", "jsonl"])
        .stdout(Stdio::null());
    Running::start(&mut command).unwrap()
}

/// Starts netviz, waits until it is at every door, ends it with `signal`.
fn come_and_go(attach: Attach, argument: &str, signal: Signal) {
    let options = Options {
        attach,
        ..Options::default()
    };
    let lab = Lab::up(&options).unwrap();
    let mut before = Standing::of(&lab);
    assert_eq!(before.netviz(), 0);
    let mut running = netviz(&lab, argument);
    let pid = running.0.id();
    // Both hooks of every door of nodes and pods but the loopback devices.
    let hooks = before
        .programs
        .iter()
        .filter(|(place, _)| !place.contains(" lo "))
        .count();
    let mut held = Held::default();
    let attached = wait_until(ATTACH_LIMIT, || {
        let there = Standing::of(&lab).netviz();
        // Before it stands anywhere it may still have our own descriptors: they are closed late in
        // execve(2).
        if there > 0 {
            held.add(Held::by(pid));
        }
        there == hooks
    });
    held.add(Held::by(pid));
    // It opens the laboratory's programs in order to ask for their names.
    held.remove(&Held::by(std::process::id()));
    assert!(attached, "{} of {hooks} hooks", Standing::of(&lab).netviz());
    assert!(held.maps.len() * 2 >= hooks, "{held:?}");

    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    let ended = wait_until(DETACH_LIMIT, || running.0.try_wait().unwrap().is_some());
    assert!(ended, "netviz does not end at {signal}");
    wait_until(GONE_LIMIT, || held.alive() == Held::default());
    assert_eq!(held.alive(), Held::default(), "left behind after {signal}");
    let after = Standing::of(&lab);
    if attach == Attach::Clsact {
        // clsact itself stays: it cannot be told whether somebody else relies on it by now.
        let added = |kinds: &mut Vec<String>| kinds.retain(|kind| kind != "clsact");
        before.qdiscs.iter_mut().for_each(|(_, kinds)| added(kinds));
        let mut after = after;
        after.qdiscs.iter_mut().for_each(|(_, kinds)| added(kinds));
        assert_eq!(after, before);
    } else {
        assert_eq!(after, before);
    }
}

#[test]
fn sigterm() {
    if skip::without_tcx() {
        return;
    }
    come_and_go(Attach::Tcx, "tcx", Signal::SIGTERM);
}

#[test]
fn sigkill() {
    if skip::without_tcx() {
        return;
    }
    come_and_go(Attach::Tcx, "tcx", Signal::SIGKILL);
}

/// The output of a netviz whose reader does not read fills the pipe, and a signal ends it all the
/// same: `netviz doors | less`, and nobody at the keyboard.
#[test]
fn sigterm_while_nobody_reads() {
    let lab = Lab::up(&Options::default()).unwrap();
    let before = Standing::of(&lab);
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &nodes(&lab), "--fast-attach"])
        .args(["-o", "jsonl", "--watch", "50ms"])
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut command).unwrap();
    let task = format!("/proc/{}/task", running.0.id());
    // Not `wchan`, which before Linux 5.16 wants frame pointers. A thread that runs has no number there.
    let write = format!("{} 0x1 ", libc::SYS_write);
    let stuck = wait_until(ATTACH_LIMIT, || {
        let mut threads = std::fs::read_dir(&task).unwrap().flatten();
        threads.any(|thread| {
            let call = std::fs::read_to_string(thread.path().join("syscall"));
            call.is_ok_and(|call| call.starts_with(&write))
        })
    });
    assert!(stuck, "the pipe does not run full");
    let pid = Pid::from_raw(running.0.id().cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    let ended = wait_until(DETACH_LIMIT, || running.0.try_wait().unwrap().is_some());
    assert!(ended, "netviz waits for its reader");
    assert!(running.0.wait().unwrap().success());
    assert_eq!(Standing::of(&lab).netviz(), 0);
    assert_eq!(Standing::of(&lab).programs, before.programs);
}

#[test]
fn sigterm_in_clsact() {
    come_and_go(Attach::Clsact, "clsact", Signal::SIGTERM);
}

/// Invariant 1, while netviz comes and is killed at ten different moments: every datagram of pods
/// on one node and across nodes is answered.
#[test]
fn no_packet_is_lost_while_netviz_comes_and_is_killed() {
    if skip::without_tcx() {
        return;
    }
    let lab = Lab::up(&Options::default()).unwrap();
    let over = AtomicBool::new(false);
    let pods = lab.pods();
    let from = &pods[0];
    let near = pods[1..].iter().find(|pod| pod.node == from.node).unwrap();
    let far = pods.iter().find(|pod| pod.node != from.node).unwrap();
    let rounds = if is_emulated() { 3 } else { 10 };
    let (sent, answered) = thread::scope(|scope| {
        let senders = [near, far].map(|to| {
            let (lab, over) = (&lab, &over);
            scope.spawn(move || {
                let namespace = lab.netns(from).unwrap();
                let to = SocketAddr::new(to.address.into(), UDP_PORT);
                let (mut sent, mut answered) = (0_u64, 0_u64);
                while !over.load(Ordering::Relaxed) {
                    sent += 100;
                    answered += u64::from(traffic::udp(&namespace, to, 100, 500).unwrap());
                }
                (sent, answered)
            })
        });
        let killed = std::panic::catch_unwind(AssertUnwindSafe(|| {
            for round in 0..rounds {
                let mut running = netviz(&lab, "tcx");
                let pid = running.0.id();
                let mut links = 0;
                let came = wait_until(ATTACH_LIMIT, || {
                    links = Held::by(pid).links.len();
                    links >= round * 5
                });
                let ended = running.0.try_wait().unwrap();
                running.kill();
                assert!(came, "round {round}: {links} links, {ended:?}");
            }
        }));
        over.store(true, Ordering::Relaxed);
        let [near, far] = senders.map(|sender| sender.join().unwrap());
        killed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (near.0 + far.0, near.1 + far.1)
    });
    assert!(sent > 1_000, "too little was sent to say anything: {sent}");
    assert_eq!(answered, sent);
    let clean = wait_until(GONE_LIMIT, || Standing::of(&lab).netviz() == 0);
    assert!(clean, "{:?}", Standing::of(&lab));
}

/// A reader that goes away (`netviz | head`) is an end like any other.
#[test]
fn a_closed_pipe() {
    if skip::without_tcx() {
        return;
    }
    let lab = Lab::up(&Options::default()).unwrap();
    let before = Standing::of(&lab);
    let nodes: Vec<_> = lab
        .nodes()
        .iter()
        .map(|node| node.pid.to_string())
        .collect();
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args([
            "doors",
            "--netns",
            &nodes.join(","),
            "-o",
            "jsonl",
            "--watch",
            "100ms",
        ])
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut command).unwrap();
    let pid = running.0.id();
    assert!(wait_until(ATTACH_LIMIT, || Held::by(pid).links.len() > 10));
    let start = Instant::now();
    drop(running.0.stdout.take());
    let ended = wait_until(DETACH_LIMIT, || running.0.try_wait().unwrap().is_some());
    assert!(ended, "still there after {:?}", start.elapsed());
    assert!(running.0.wait().unwrap().success());
    wait_until(GONE_LIMIT, || Standing::of(&lab) == before);
    assert_eq!(Standing::of(&lab), before);
}

/// Each guard of `--fast-attach` puts the machine's switch back to what was there before; the second
/// must not take what the first has set for that.
#[test]
fn two_in_a_hurry_leave_the_switch_as_it_was() {
    // Other tests are in a hurry as well: the switch is at rest while nobody else holds its lock.
    let at_rest = || {
        let switch = std::fs::File::open("/sys/kernel/rcu_expedited").unwrap();
        switch.lock().unwrap();
        std::io::read_to_string(&switch).unwrap()
    };
    let before = at_rest();
    let mut guards = [(); 2].map(|()| {
        let mut command = Command::new(binary::netviz().unwrap());
        command.arg(netviz::trace::GUARD_COMMAND);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Running::start(&mut command).unwrap()
    });
    for guard in &mut guards {
        let answer = |guard: &mut Running| {
            let output = guard.0.stdout.as_mut().unwrap();
            output.read_exact(&mut [0]).unwrap();
        };
        answer(guard);
        guard.0.stdin.as_mut().unwrap().write_all(b"1").unwrap();
        answer(guard);
    }
    assert_eq!(switch().trim(), "1");
    for guard in &mut guards {
        drop(guard.0.stdin.take());
        assert!(guard.0.wait().unwrap().success());
    }
    assert_eq!(at_rest(), before);
}

fn switch() -> String {
    std::fs::read_to_string("/sys/kernel/rcu_expedited").unwrap()
}
