//! Invariant 2, with the real binary on the lab: however netviz ends, nothing of it remains, other
//! tools' programs are unchanged, and no packet is lost.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use netviz::lab::{Attach, Lab, Options, UDP_PORT, traffic};
use netviz_tests::{
    bpf::{attachments::Attachments, descriptors::HeldObjects, skip},
    cli::{
        binary::{self, Running},
        fault_table::{Row, is_emulated},
        wait::{notify_limit, wait_until},
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Time for two hooks of each door of two nodes: a tcx attachment takes 9 ms under rtnl_lock, which
/// other tests also need.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);
const DETACH_LIMIT: Duration = Duration::from_secs(60);
const SCENARIO: &str = "cleanup";

/// Returns the nodes of the lab as the argument of `--netns`.
fn nodes(lab: &Lab) -> String {
    let nodes = lab.nodes().iter().map(|node| node.pid.to_string());
    nodes.collect::<Vec<_>>().join(",")
}

/// Starts netviz; without `attach`, it probes the kernel.
fn netviz(lab: &Lab, attach: Option<&str>) -> Running {
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &nodes(lab), "-o", "jsonl"])
        .envs(attach.map(|mode| ("NETVIZ_ATTACH", mode)))
        .stdout(Stdio::null());
    Running::start(&mut command).unwrap()
}

fn up(attach: Attach) -> Lab {
    let options = Options {
        attach,
        ..Options::default()
    };
    Lab::up(&options).unwrap()
}

/// Sends datagrams from a pod to another pod of its node and to one of the other node during
/// `work`. Returns the number of datagrams and of replies.
fn during_traffic(lab: &Lab, work: impl FnOnce()) -> (u64, u64) {
    let over = AtomicBool::new(false);
    let pods = lab.pods();
    let from = &pods[0];
    let near = pods[1..].iter().find(|pod| pod.node == from.node).unwrap();
    let far = pods.iter().find(|pod| pod.node != from.node).unwrap();
    thread::scope(|scope| {
        let senders = [near, far].map(|to| {
            let over = &over;
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
        let done = std::panic::catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        let [near, far] = senders.map(|sender| sender.join().unwrap());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (near.0 + far.0, near.1 + far.1)
    })
}

/// Waits until netviz is attached at all `hooks`. Returns what it held in the meantime.
fn attached(lab: &Lab, running: &Running, hooks: usize) -> HeldObjects {
    let pid = running.0.id();
    let mut held = HeldObjects::default();
    let attached = wait_until(ATTACH_LIMIT, || {
        let there = Attachments::of(lab).netviz();
        // It opens the lab's programs to read their names; those are ours.
        held.add(HeldObjects::by_child(pid));
        there == hooks
    });
    held.add(HeldObjects::by_child(pid));
    assert!(
        attached,
        "{} of {hooks} hooks",
        Attachments::of(lab).netviz()
    );
    assert!(held.maps.len() * 2 >= hooks, "{held:?}");
    held
}

fn end(running: &mut Running, signal: Signal) {
    kill(Pid::from_raw(running.0.id().cast_signed()), signal).unwrap();
    let ended = wait_until(DETACH_LIMIT, || running.0.try_wait().unwrap().is_some());
    assert!(ended, "netviz does not exit on {signal}");
}

/// Starts netviz, waits until it is attached at every door, checks the attachments, and ends it
/// with `signal`.
fn attach_and_end(
    attach: Attach,
    argument: Option<&str>,
    signal: Signal,
    inspect: impl FnOnce(&Attachments),
) {
    let lab = up(attach);
    let before = Attachments::of(&lab);
    assert_eq!(before.netviz(), 0);
    let mut running = netviz(&lab, argument);
    let held = attached(&lab, &running, before.hooks());
    inspect(&Attachments::of(&lab));
    end(&mut running, signal);
    held.assert_gone(signal.as_str());
    let after = Attachments::of(&lab);
    if argument == Some("clsact") {
        assert_eq!(after.netviz(), 0);
        assert_eq!(after.of_others(), before.of_others());
    } else {
        assert_eq!(after, before);
    }
}

#[test]
fn sigterm() {
    if skip::without_tcx() {
        return;
    }
    attach_and_end(Attach::Tcx, Some("tcx"), Signal::SIGTERM, |_| {});
}

#[test]
fn sigkill() {
    if skip::without_tcx() {
        return;
    }
    attach_and_end(Attach::Tcx, Some("tcx"), Signal::SIGKILL, |_| {});
}

/// By default, netviz uses tcx if the kernel has it, at both hooks of each door and whatever Cilium
/// uses: no filter that could outlive netviz.
#[test]
fn default_is_tcx_only() {
    if skip::without_tcx() {
        return;
    }
    for attach in [Attach::Tcx, Attach::Clsact] {
        attach_and_end(attach, None, Signal::SIGTERM, |during| {
            let filters: Vec<_> = during.netviz_filters().collect();
            assert!(filters.is_empty(), "{attach:?}: {filters:?}");
            assert_eq!(during.netviz_in_tcx(), during.hooks(), "{attach:?}");
        });
    }
}

/// A signal ends netviz even if its reader does not read and the pipe is full, as in `netviz doors
/// | less` without a user.
#[test]
fn sigterm_with_a_blocked_reader() {
    let lab = Lab::up(&Options::default()).unwrap();
    let before = Attachments::of(&lab);
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &nodes(&lab), "--fast-attach"])
        .args(["-o", "jsonl", "--watch", "50ms"])
        .stdout(Stdio::piped());
    let mut running = Running::start(&mut command).unwrap();
    let task = format!("/proc/{}/task", running.0.id());
    // Not `wchan`, which needs frame pointers before Linux 5.16. A running thread has no number
    // there.
    let write = format!("{} 0x1 ", libc::SYS_write);
    let stuck = wait_until(ATTACH_LIMIT, || {
        let mut threads = std::fs::read_dir(&task).unwrap().flatten();
        threads.any(|thread| {
            let call = std::fs::read_to_string(thread.path().join("syscall"));
            call.is_ok_and(|call| call.starts_with(&write))
        })
    });
    assert!(stuck, "the pipe does not fill up");
    let pid = Pid::from_raw(running.0.id().cast_signed());
    kill(pid, Signal::SIGTERM).unwrap();
    let ended = wait_until(DETACH_LIMIT, || running.0.try_wait().unwrap().is_some());
    assert!(ended, "netviz waits for its reader");
    assert!(running.0.wait().unwrap().success());
    assert_eq!(Attachments::of(&lab).netviz(), 0);
    assert_eq!(Attachments::of(&lab).programs, before.programs);
}

#[test]
fn sigterm_in_clsact() {
    attach_and_end(Attach::Clsact, Some("clsact"), Signal::SIGTERM, |during| {
        assert_eq!(during.netviz_in_tcx(), 0);
    });
}

/// Invariant 1, while netviz starts and is killed at ten different moments: every datagram between
/// pods, on one node and across nodes, is answered.
#[test]
fn no_packet_is_lost_while_attaching_and_killed() {
    if skip::without_tcx() {
        return;
    }
    let lab = up(Attach::Auto);
    let rounds = if is_emulated() { 3 } else { 10 };
    let (sent, answered) = during_traffic(&lab, || {
        for round in 0..rounds {
            let mut running = netviz(&lab, Some("tcx"));
            let pid = running.0.id();
            let mut held = HeldObjects::default();
            let came = wait_until(ATTACH_LIMIT, || {
                held = HeldObjects::by_child(pid);
                held.links.len() >= round * 5
            });
            let ended = running.0.try_wait().unwrap();
            running.kill();
            assert!(came, "round {round}: {held:?}, {ended:?}");
            held.assert_gone(&format!("round {round}"));
            let clean = wait_until(notify_limit(), || Attachments::of(&lab).netviz() == 0);
            assert!(clean, "round {round}: {:?}", Attachments::of(&lab));
        }
    });
    assert!(sent > 1_000, "too few packets: {sent}");
    Row::during("tcx: killed while attaching", (sent, answered))
        .note(format!("{rounds} times, nothing left"))
        .check(SCENARIO);
}

/// Returns netviz's programs in clsact.
fn own(attachments: &Attachments) -> BTreeSet<u32> {
    let filters = attachments.netviz_filters();
    filters.map(|it| it.program.unwrap()).collect()
}

/// Starts netviz, and kills it as soon as it holds `maps` maps, one per door.
fn kill_at_maps(lab: &Lab, maps: usize) {
    let mut running = netviz(lab, Some("clsact"));
    let pid = running.0.id();
    let mut held = HeldObjects::default();
    let came = wait_until(ATTACH_LIMIT, || {
        held = HeldObjects::by_child(pid);
        held.maps.len() >= maps
    });
    let ended = running.0.try_wait().unwrap();
    running.kill();
    assert!(came, "{maps} maps: {held:?}, {ended:?}");
}

/// Filters outlive a netviz that is killed while it attaches. The next netviz removes exactly
/// these; at the end, the attachments are as before.
#[test]
fn filters_of_a_netviz_killed_while_attaching_are_swept() {
    let lab = up(Attach::Clsact);
    // An added clsact qdisc remains. When it is added, the kernel stops the device for a moment
    // (`dev_deactivate`) and loses packets; later no packet is lost.
    let mut first = netviz(&lab, Some("clsact"));
    attached(&lab, &first, Attachments::of(&lab).hooks());
    end(&mut first, Signal::SIGTERM);
    let before = Attachments::of(&lab);
    assert_eq!(before.netviz(), 0);
    let hooks = before.hooks();
    let rounds = if is_emulated() { 3 } else { 10 };
    let (mut left, mut halfway) = (BTreeSet::new(), 0);
    let traffic = during_traffic(&lab, || {
        for round in 0..rounds {
            kill_at_maps(&lab, 1 + 2 * round);
            let now = Attachments::of(&lab);
            // A hook has at most one, because netviz sweeps before it attaches.
            assert!(now.netviz() <= hooks, "{now:?}");
            assert_eq!(now.clone().of_others(), before.clone().of_others());
            let new = &own(&now) - &left;
            halfway += usize::from((1..hooks).contains(&new.len()));
            left.extend(new);
        }
        let mut running = netviz(&lab, Some("clsact"));
        let swept = wait_until(ATTACH_LIMIT, || {
            let now = Attachments::of(&lab);
            now.netviz() == hooks && own(&now).is_disjoint(&left)
        });
        assert!(swept, "{left:?}: {:?}", Attachments::of(&lab));
        end(&mut running, Signal::SIGTERM);
    });
    assert!(halfway > 0, "never killed while attaching: {left:?}");
    assert_eq!(Attachments::of(&lab), before);
    Row::during("clsact: killed while attaching", traffic)
        .note(format!(
            "{rounds} times, {halfway} of them at some of {hooks} hooks; swept by the next start"
        ))
        .check(SCENARIO);
}

/// netviz also cleans up when its reader exits (`netviz | head`).
#[test]
fn closed_pipe() {
    if skip::without_tcx() {
        return;
    }
    let lab = up(Attach::Auto);
    let before = Attachments::of(&lab);
    let traffic = during_traffic(&lab, || {
        let mut command = Command::new(binary::netviz().unwrap());
        command
            .args(["doors", "--netns", &nodes(&lab), "-o", "jsonl"])
            .args(["--watch", "100ms"])
            .stdout(Stdio::piped());
        let mut running = Running::start(&mut command).unwrap();
        let pid = running.0.id();
        let mut held = HeldObjects::default();
        let came = wait_until(ATTACH_LIMIT, || {
            held.add(HeldObjects::by_child(pid));
            held.links.len() > 10
        });
        assert!(came, "{held:?}");
        let start = Instant::now();
        drop(running.0.stdout.take());
        let ended = wait_until(DETACH_LIMIT, || {
            held.add(HeldObjects::by_child(pid));
            running.0.try_wait().unwrap().is_some()
        });
        assert!(ended, "still running after {:?}", start.elapsed());
        assert!(running.0.wait().unwrap().success());
        assert!(held.maps.len() * 2 > 10, "{held:?}");
        held.assert_gone("a closed pipe");
    });
    wait_until(notify_limit(), || Attachments::of(&lab) == before);
    assert_eq!(Attachments::of(&lab), before);
    Row::during("the reader of its output exits", traffic)
        .note("nothing left")
        .check(SCENARIO);
}
