//! netviz with foreign filters in clsact, as on kernels without tcx: it runs first and leaves
//! nothing behind, even after it was killed.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use aya::programs::{
    TcAttachType,
    tc::{NlOptions, TcAttachOptions, TcHandle},
};
use netviz::{
    attach::AttachMode,
    lab::{Attach, Lab, Options},
    model::{Direction, DoorId},
    sys::{netlink::Netlink, objects},
};
use netviz_tests::{
    bpf::{
        attachments::Attachments,
        filters::{self, Filter, Qdisc},
        foreign_program::{ForeignProgram, Verdict},
        prog_test::count::CountTest,
        skip,
    },
    cli::{
        self,
        binary::{self, Running},
        fault_table::{is_emulated, side_by_side},
        netviz::command_for,
        wait::wait_until,
    },
    netns::{
        End, TestNetns,
        traffic_fixture::{Outcome, SENT, TrafficFixture, cases},
    },
};
use nix::sys::signal::Signal;

/// Upper half of netviz's handles, "nv".
const OWN: u32 = 0x6e76;
const START: Duration = Duration::from_secs(20);

fn filters(namespace: &TestNetns, end: &End, direction: Direction) -> Vec<Filter> {
    filters::filters(&mut namespace.netlink().unwrap(), end.index, direction).unwrap()
}

/// Returns both hooks' filters and the device's qdiscs.
fn attachments(namespace: &TestNetns, end: &End) -> ([Vec<Filter>; 2], Vec<Qdisc>) {
    let hooks = [Direction::Ingress, Direction::Egress].map(|hook| filters(namespace, end, hook));
    let qdiscs = filters::qdiscs(&mut namespace.netlink().unwrap(), end.index).unwrap();
    (hooks, qdiscs)
}

fn foreign(
    fixture: &TrafficFixture,
    direction: Direction,
    verdict: Verdict,
    place: (u16, u32),
) -> ForeignProgram {
    let (namespace, end) = fixture.place(direction);
    ForeignProgram::filter(namespace.netns(), &end.name, direction, verdict, place).unwrap()
}

/// Starts the real binary with clsact.
fn netviz(namespace: &TestNetns) -> Running {
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &namespace.name(), "--include", "veth*"])
        .args(["-o", "jsonl"])
        .env("NETVIZ_ATTACH", "clsact")
        .stdout(Stdio::null());
    Running::start(&mut command).unwrap()
}

fn is_own(filter: &Filter) -> bool {
    filter.priority == 1 && filter.handle >> 16 == OWN && filter.name.starts_with("netviz_")
}

/// Invariants 1 and 2 without tcx: netviz's filter runs before Cilium's of the same priority, no
/// packet takes another path, and afterwards everything is as before, including the qdisc.
#[test]
fn filter_runs_first_and_changes_no_verdict() {
    // In parallel, because the cases mostly wait.
    let step = if is_emulated() { 4 } else { 1 };
    let cases: Vec<_> = cases().into_iter().step_by(step).collect();
    for some in cases.chunks(side_by_side()) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| check_runs_first(*case));
            }
        });
    }
}

fn check_runs_first((direction, verdict, expected): (Direction, Verdict, Outcome)) {
    let fixture = TrafficFixture::new();
    let what = format!("{direction} {verdict:?}");
    let (namespace, end) = fixture.place(direction);
    let theirs = foreign(&fixture, direction, verdict, (1, 1));
    let _later = foreign(&fixture, direction, Verdict::Ok, (2, 1));
    let before = attachments(namespace, end);
    assert_eq!(before.1.iter().filter(|it| it.kind == "clsact").count(), 1);

    let mut netviz = fixture.observe(direction, AttachMode::Clsact);
    let during = filters(namespace, end, direction);
    assert!(is_own(&during[0]), "{what}: {during:?}");
    assert_eq!(
        during[1..],
        before.0[usize::from(direction == Direction::Egress)],
        "{what}"
    );
    assert_eq!(fixture.outcome(&theirs, expected), expected, "{what}");
    assert_eq!(fixture.counted(&mut netviz, direction), SENT, "{what}");

    drop(netviz);
    assert_eq!(attachments(namespace, end), before, "{what}");
    assert_eq!(
        fixture.outcome(&theirs, expected),
        expected,
        "after: {what}"
    );
}

/// A filter that is added later runs first: netviz finds it, and moves to the front again.
#[test]
fn filter_added_later_is_overtaken() {
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let _theirs = foreign(&fixture, direction, Verdict::Ok, (1, 1));
    let mut netviz = fixture.observe(direction, AttachMode::Clsact);
    let _later = foreign(&fixture, direction, Verdict::Ok, (1, 2));
    assert!(!is_own(&filters(namespace, end, direction)[0]));
    let id = DoorId::new(namespace.netns().id(), end.index);
    let again = netviz.until(START, |_, sample| sample.doors[&id].epoch == 1);
    assert!(again.unwrap(), "not first again");
    let there = filters(namespace, end, direction);
    assert!(is_own(&there[0]), "{there:?}");
    assert_eq!(there.iter().filter(|filter| is_own(filter)).count(), 1);
    assert_eq!(there.len(), 3);
}

/// A filter outlives the process that attached it: the next start removes the filters of a killed
/// netviz, and none that only look like them.
#[test]
fn only_filters_of_a_killed_netviz_are_swept() {
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let _cilium = foreign(&fixture, direction, Verdict::Ok, (1, 1));
    // Another tool may use a handle like netviz's, at its priority and at another one.
    let _handle = foreign(&fixture, direction, Verdict::Ok, (1, OWN << 16 | 7));
    let _priority = foreign(&fixture, direction, Verdict::Ok, (2, OWN << 16 | 7));
    let before = attachments(namespace, end);

    let mut killed = netviz(namespace);
    let attached = wait_until(START, || {
        let [ingress, egress] = attachments(namespace, end).0;
        [ingress, egress].iter().all(|hook| hook.iter().any(is_own))
    });
    killed.kill();
    assert!(attached, "netviz did not attach");
    let left = attachments(namespace, end);
    assert_ne!(
        left, before,
        "a killed netviz cannot remove its filters; is this test wrong?"
    );

    let netviz = fixture.observe(direction, AttachMode::Clsact);
    let there = filters(namespace, end, direction);
    assert_eq!(
        there.iter().filter(|filter| is_own(filter)).count(),
        1,
        "{there:?}"
    );
    drop(netviz);
    assert_eq!(attachments(namespace, end), before);
}

/// Two instances at the same door leave each other's filters alone, although each displaces the
/// other a few times.
#[test]
fn filters_of_a_running_netviz_are_kept() {
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let own = || {
        let there = filters(namespace, end, direction);
        there.into_iter().filter(is_own).collect::<Vec<_>>()
    };
    let _first = netviz(namespace);
    let attached = wait_until(START, || own().len() == 1);
    let handle = own().first().map(|filter| filter.handle);
    let _second = netviz(namespace);
    let both = wait_until(START, || own().len() == 2);
    // Each moves at most three times a minute: this ends when both have scanned and neither moved.
    let kept = !wait_until(Duration::from_secs(6), || own().is_empty())
        && wait_until(START, || {
            let there = own();
            there.len() == 2 && there.iter().any(|filter| Some(filter.handle) == handle)
        });
    assert!(
        attached && both && kept,
        "{attached} {both} {kept}: {:?}",
        own()
    );
}

/// The same for a netviz that follows packets, as long as it is attached.
#[test]
fn filters_of_a_running_verify_are_kept() {
    let options = Options {
        attach: Attach::Clsact,
        ..Options::default()
    };
    let lab = Lab::up(&options).unwrap();
    let (pod, other) = (&lab.pods()[0], &lab.pods()[1]);
    let node = lab.nodes().iter().find(|node| node.name == pod.node);
    let namespace = lab.netns(node.unwrap()).unwrap();
    let own = || {
        let mut netlink = Netlink::open_in(&namespace).unwrap();
        let hook = Direction::Ingress;
        let there = filters::filters(&mut netlink, pod.interface.index, hook).unwrap();
        let handles = there.iter().filter(|it| is_own(it)).map(|it| it.handle);
        handles.collect::<Vec<_>>()
    };
    let start = |args: &[&str]| {
        let mut command = command_for(&lab, args);
        cli::netviz::Running::start(command.env("NETVIZ_ATTACH", "clsact").stdout(Stdio::null()))
    };
    // A process that is killed while it detaches leaves filters behind.
    let end = |mut running: cli::netviz::Running| {
        running.signal(Signal::SIGTERM);
        let ended = wait_until(START, || running.child.try_wait().unwrap().is_some());
        assert!(ended, "netviz does not exit");
    };
    let passive = ["verify", &pod.name, &other.name, "--passive", "--for", "1h"];
    let first = start(&passive);
    assert!(wait_until(START, || own().len() == 1), "{:?}", own());
    let handle = own()[0];
    // The first one may start while the other still attaches.
    for _ in 0..3 {
        let second = start(&["doors", "-o", "jsonl"]);
        let both = wait_until(START, || own().iter().any(|it| *it != handle));
        assert!(both && own().contains(&handle), "{handle:x} {:x?}", own());
        end(second);
        assert_eq!(own(), [handle]);
    }
    end(first);
    assert_eq!(Attachments::of(&lab).netviz(), 0);
}

/// Two containers, two pid namespaces: neither sees the other's process, or any ID with the same
/// meaning for both. They still leave each other's filters alone.
#[test]
fn filters_of_a_netviz_in_another_pid_namespace_are_kept() {
    if is_emulated() && skip::because("busybox's unshare does not end with its child") {
        return;
    }
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let path = format!("/proc/{}/ns/net", namespace.name());
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(binary::netviz().unwrap())
        .args(["doors", "--netns", &path, "--include", "veth*"])
        .args(["-o", "jsonl"])
        .env("NETVIZ_ATTACH", "clsact")
        .stdout(Stdio::null());
    let mut first = Running::start(&mut command).unwrap();
    let own = || {
        let there = filters(namespace, end, direction);
        let mut handles: Vec<_> = there
            .iter()
            .filter(|filter| is_own(filter))
            .map(|filter| filter.handle)
            .collect();
        handles.sort_unstable();
        handles
    };
    assert!(wait_until(START, || own().len() == 1), "{:?}", own());
    let there = own();

    // Sweeps at its start, and attaches beside it.
    let second = fixture.observe(direction, AttachMode::Clsact);
    assert!(there.iter().all(|handle| own().contains(handle)));
    assert_eq!(own().len(), 2, "{:?}", own());
    drop(second);
    assert_eq!(own(), there);

    // After its end, its filters are swept.
    first.kill();
    let swept = wait_until(START, || {
        drop(fixture.observe(direction, AttachMode::Clsact));
        own().is_empty()
    });
    assert!(swept, "{:?}", own());
}

/// In a container, netviz always has the same process ID, and a predecessor's filter may have any
/// number: what matters is that no living process has it.
#[test]
fn left_over_filter_with_own_pid_is_swept() {
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let _cilium = foreign(&fixture, direction, Verdict::Ok, (1, 1));
    let before = attachments(namespace, end);
    let mut predecessor = CountTest::load(objects::COUNT).unwrap();
    let handle = OWN << 16 | std::process::id() & 0xffff;
    namespace
        .run(|| {
            let program = predecessor.program(direction)?;
            let options = NlOptions {
                priority: 1,
                handle: TcHandle::from(handle),
                ..NlOptions::default()
            };
            let id = program.attach_with_options(
                &end.name,
                TcAttachType::Ingress,
                TcAttachOptions::Netlink(options),
            )?;
            std::mem::forget(program.take_link(id)?);
            anyhow::Ok(())
        })
        .unwrap();
    assert!(is_own(&filters(namespace, end, direction)[0]));

    let mut netviz = fixture.observe(direction, AttachMode::Clsact);
    let there = filters(namespace, end, direction);
    assert_eq!(
        there.iter().filter(|filter| is_own(filter)).count(),
        1,
        "{there:?}"
    );
    let _ = netviz.sample();
    drop(netviz);
    assert_eq!(attachments(namespace, end), before);
}
