//! Another tool changes netviz's hook, as Cilium and others do, or worse. netviz stays attached or
//! reattaches: within a second after a notification, within five if only a scan finds the change.
//! It reports the gap and its length, and counts all packets afterwards.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::programs::LinkOrder;
use netviz::{
    attach::AttachMode,
    model::{AttachState, Direction, DoorId, DoorSample, Gap, Reason},
    sys::netlink::Netlink,
};
use netviz_tests::{
    bpf::{
        filters::{self, delete, delete_clsact},
        foreign_program::{self, ForeignProgram, Verdict},
        skip,
    },
    cli::{
        fault_table::{Counted, Row, is_emulated, many, side_by_side},
        observation::Observation,
        wait::{extended, notify_limit, scan_limit},
    },
    netns::{
        End, TestNetns,
        traffic_fixture::{Outcome, TrafficFixture},
    },
};

const SCENARIO: &str = "hook_conflicts";
const PACKETS: u64 = 10_000;
/// Packets while netviz is detached.
const FEW: u64 = 100;
/// Limit after a notification. A scan takes four seconds.
const NOTIFY_LIMIT: Duration = Duration::from_secs(2);
/// Interval of netviz's scans.
pub(crate) const SCAN_INTERVAL: Duration = Duration::from_secs(4);
/// Time for which netviz must keep its position to count as reattached.
const STEADY: Duration = Duration::from_millis(200);

/// What another tool does; returns its program at the hook afterwards.
#[derive(Clone, Copy)]
enum Action {
    /// To its program after netviz.
    Beside(fn(&Hook<'_>, ForeignProgram) -> ForeignProgram),
    /// At a hook with only netviz.
    Alone(fn(&Hook<'_>) -> ForeignProgram),
}

/// Effect on netviz's position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Kept,
    /// Reattached after a notification.
    Notified,
    /// Reattached after a scan, every four seconds.
    Scanned,
}

/// The hook under test.
struct Hook<'a> {
    namespace: &'a TestNetns,
    end: &'a End,
    direction: Direction,
}

impl<'a> Hook<'a> {
    fn of(fixture: &'a TrafficFixture, direction: Direction) -> Self {
        let (namespace, end) = fixture.place(direction);
        Self {
            namespace,
            end,
            direction,
        }
    }

    fn id(&self) -> DoorId {
        DoorId::new(self.namespace.netns().id(), self.end.index)
    }

    /// Returns a program of a tool that attached before netviz.
    fn earlier_program(&self, mode: AttachMode) -> ForeignProgram {
        match mode {
            AttachMode::Tcx => self.tcx(LinkOrder::last()),
            AttachMode::Clsact => self.filter((1, 1)),
        }
    }

    fn netlink(&self) -> Netlink {
        self.namespace.netlink().unwrap()
    }

    fn delete(&self, rank: (u16, u32)) {
        delete(&mut self.netlink(), self.end.index, self.direction, rank).unwrap();
    }

    /// Detaches netviz, which is first.
    fn remove_netviz(&self, mode: AttachMode) {
        assert!(self.is_own_first(mode));
        match mode {
            AttachMode::Tcx => foreign_program::detach_link_of(self.chain()[0].1).unwrap(),
            AttachMode::Clsact => {
                let own = &self.filters()[0];
                self.delete((own.priority, own.handle));
            }
        }
    }

    fn filter(&self, rank: (u16, u32)) -> ForeignProgram {
        let name = &self.end.name;
        ForeignProgram::filter(
            self.namespace.netns(),
            name,
            self.direction,
            Verdict::Ok,
            rank,
        )
        .unwrap()
    }

    fn tcx(&self, order: LinkOrder) -> ForeignProgram {
        let name = &self.end.name;
        ForeignProgram::tcx(
            self.namespace.netns(),
            name,
            self.direction,
            Verdict::Ok,
            order,
        )
        .unwrap()
    }

    /// Returns true if netviz is first in the kernel's list.
    fn is_own_first(&self, mode: AttachMode) -> bool {
        let first = match mode {
            AttachMode::Tcx => self.chain().into_iter().map(|(name, _)| name).next(),
            AttachMode::Clsact => self.filters().into_iter().map(|it| it.name).next(),
        };
        first.is_some_and(|name| name.starts_with("netviz_"))
    }

    fn chain(&self) -> Vec<(String, u32)> {
        foreign_program::tcx_chain(self.namespace.netns(), &self.end.name, self.direction).unwrap()
    }

    fn filters(&self) -> Vec<filters::Filter> {
        filters::filters(&mut self.netlink(), self.end.index, self.direction).unwrap()
    }
}

const IN_CLSACT: [(&str, Place, Action); 9] = [
    (
        "replaces its filter",
        Place::Kept,
        Action::Beside(|hook, _| {
            let (netns, name) = (hook.namespace.netns(), &hook.end.name);
            ForeignProgram::replace(netns, name, hook.direction, Verdict::Ok, (1, 1)).unwrap()
        }),
    ),
    (
        "deletes its filter and adds it again",
        Place::Notified,
        Action::Beside(|hook, _| {
            hook.delete((1, 1));
            hook.filter((1, 1))
        }),
    ),
    (
        "deletes the whole priority",
        Place::Notified,
        Action::Beside(|hook, _| {
            hook.delete((1, 0));
            hook.filter((1, 1))
        }),
    ),
    (
        "deletes all filters of the hook",
        Place::Notified,
        Action::Beside(|hook, _| {
            hook.delete((0, 0));
            hook.filter((1, 1))
        }),
    ),
    (
        "deletes only netviz's filter",
        Place::Notified,
        Action::Beside(|hook, theirs| {
            hook.remove_netviz(AttachMode::Clsact);
            theirs
        }),
    ),
    (
        "deletes the qdisc",
        Place::Notified,
        Action::Beside(|hook, _| {
            delete_clsact(&mut hook.netlink(), hook.end.index).unwrap();
            hook.filter((1, 1))
        }),
    ),
    (
        "takes handle 1 where it was free",
        Place::Notified,
        Action::Alone(|hook| hook.filter((1, 1))),
    ),
    (
        "adds a filter ahead",
        Place::Notified,
        Action::Beside(|hook, _| hook.filter((1, 2))),
    ),
    (
        "adds a filter of a later priority",
        Place::Kept,
        Action::Beside(|hook, theirs| {
            // It ends with its device.
            drop(hook.filter((2, 1)));
            theirs
        }),
    ),
];

const AT_TCX: [(&str, Place, Action); 7] = [
    (
        "updates its link",
        Place::Kept,
        Action::Beside(|hook, mut theirs| {
            let before = hook.chain();
            theirs.update(Verdict::Ok).unwrap();
            let after = hook.chain();
            assert_ne!(
                before[1].1, after[1].1,
                "another program at the same position"
            );
            theirs
        }),
    ),
    (
        "detaches its link and attaches again",
        Place::Kept,
        Action::Beside(|hook, theirs| {
            drop(theirs);
            hook.tcx(LinkOrder::last())
        }),
    ),
    (
        "adds a program later",
        Place::Kept,
        Action::Beside(|hook, theirs| {
            let later = hook.tcx(LinkOrder::last());
            drop(theirs);
            later
        }),
    ),
    (
        "moves from clsact to tcx",
        Place::Kept,
        Action::Beside(|hook, theirs| {
            drop(theirs);
            let filter = hook.filter((1, 1));
            let link = hook.tcx(LinkOrder::last());
            hook.delete((1, 1));
            drop(filter);
            link
        }),
    ),
    (
        "deletes all filters of the hook",
        Place::Kept,
        Action::Beside(|hook, theirs| {
            drop(hook.filter((1, 1)));
            hook.delete((0, 0));
            theirs
        }),
    ),
    (
        "attaches at the head",
        Place::Scanned,
        Action::Beside(|hook, theirs| {
            drop(theirs);
            hook.tcx(LinkOrder::first())
        }),
    ),
    (
        "detaches netviz's link",
        Place::Scanned,
        Action::Beside(|hook, theirs| {
            hook.remove_netviz(AttachMode::Tcx);
            theirs
        }),
    ),
];

fn sample(netviz: &mut Observation, id: DoorId) -> DoorSample {
    netviz.sample().doors[&id].clone()
}

/// Checks that the gap is at least the time in which netviz was seen displaced, and at most the
/// time from the check before until it was seen back.
pub(crate) fn assert_gap(gap: Option<Gap>, (away, until): (Duration, Duration), what: &str) {
    let length = gap.expect("a reported gap").length;
    let longest = until + SCAN_INTERVAL + notify_limit();
    assert!(
        length > Duration::ZERO && length >= away && length <= longest,
        "{what}: gap of {length:?} instead of {away:?} to {longest:?}"
    );
}

/// Checks that all packets are received, seen by the other program, and counted.
fn check(
    fixture: &TrafficFixture,
    hook: &Hook<'_>,
    theirs: &ForeignProgram,
    netviz: &mut Observation,
) -> (u64, Outcome) {
    let sent = many(PACKETS);
    let expected = Outcome {
        received: sent,
        seen: sent,
        ..Outcome::default()
    };
    let before = fixture.counted(netviz, hook.direction);
    let outcome = fixture.outcome_of(sent, theirs, expected);
    assert_eq!(outcome, expected);
    let counted = fixture.counted(netviz, hook.direction) - before;
    assert_eq!(counted, sent);
    (counted, outcome)
}

/// Checks that netviz does nothing, for as long as it might.
fn is_kept(netviz: &mut Observation, hook: &Hook<'_>, mode: AttachMode, what: &str) {
    let notified = if is_emulated() {
        notify_limit()
    } else {
        notify_limit().min(NOTIFY_LIMIT)
    };
    // tcx is only scanned.
    let limit = match mode {
        AttachMode::Tcx => SCAN_INTERVAL + notified,
        AttachMode::Clsact => notified,
    };
    let id = hook.id();
    let moved = netviz.until(limit, |_, sample| sample.doors[&id].epoch > 0);
    assert!(!moved.unwrap(), "{what}: netviz was displaced");
}

/// Waits until netviz is back and stays. Returns the time that took, and the reported gap.
fn wait_for_reattach(
    netviz: &mut Observation,
    hook: &Hook<'_>,
    (mode, place, begun): (AttachMode, Place, Instant),
    what: &str,
) -> String {
    let limit = match place {
        Place::Scanned => scan_limit(),
        // Before a scan would have found it, even on a busy machine.
        _ if is_emulated() => notify_limit(),
        _ => notify_limit().min(NOTIFY_LIMIT),
    };
    let (id, since) = (hook.id(), Instant::now());
    // netviz may have been back and been displaced again while the other tool was active.
    let (mut away, mut first) = (Duration::ZERO, None);
    let again = netviz.until(limit, |_, sample| {
        let asked = since.elapsed();
        let is_first = hook.is_own_first(mode);
        if !is_first {
            away = asked;
        }
        let door = &sample.doors[&id];
        let there = is_first && door.epoch > 0 && door.meter == AttachState::Counting;
        first = if there {
            first.or(Some(since.elapsed()))
        } else {
            None
        };
        first.is_some_and(|first| since.elapsed() - first > extended(STEADY))
    });
    assert!(again.unwrap(), "{what}: not back within {limit:?}");
    let took = first.unwrap_or_default();
    let gap = sample(netviz, id).gap;
    let until = (since - begun) + took;
    assert_gap(gap, (away, until), what);
    let length = gap.map(|gap| gap.length).unwrap_or_default();
    format!("back after {took:.2?}, reported gap up to {length:.1?}")
}

fn run(mode: AttachMode, direction: Direction, (what, place, action): (&str, Place, Action)) {
    let fixture = TrafficFixture::new();
    let hook = Hook::of(&fixture, direction);
    let theirs = match action {
        Action::Beside(_) => Some(hook.earlier_program(mode)),
        Action::Alone(_) => None,
    };
    let mut netviz = fixture.observe(direction, mode);
    if let Some(theirs) = &theirs {
        check(&fixture, &hook, theirs, &mut netviz);
    }
    let begun = Instant::now();
    let theirs = match (action, theirs) {
        (Action::Beside(action), Some(theirs)) => action(&hook, theirs),
        (Action::Alone(action), None) => action(&hook),
        _ => unreachable!("covered above"),
    };
    let what = format!("{mode:?} {direction}: other {what}").to_lowercase();
    let note = if place == Place::Kept {
        is_kept(&mut netviz, &hook, mode, &what);
        "never lost its place".to_owned()
    } else {
        wait_for_reattach(&mut netviz, &hook, (mode, place, begun), &what)
    };
    let (counted, outcome) = check(&fixture, &hook, &theirs, &mut netviz);
    Row::new(&what, many(PACKETS), outcome.seen, counted)
        .note(note)
        .check(SCENARIO);
    if place == Place::Kept {
        let door = sample(&mut netviz, hook.id());
        assert_eq!((door.epoch, door.gap), (0, None), "{what}");
    }
    if mode == AttachMode::Tcx {
        let filters = hook.filters();
        let own = filters.iter().filter(|it| it.name.starts_with("netviz_"));
        assert_eq!(
            own.count(),
            0,
            "{what}: a filter of netviz on a kernel with tcx"
        );
    }
}

/// Runs all cases in both directions.
fn run_all(mode: AttachMode, cases: &[(&'static str, Place, Action)]) {
    let directions = [Direction::Ingress, Direction::Egress].into_iter();
    let all: Vec<_> = directions
        .flat_map(|direction| cases.iter().map(move |case| (direction, *case)))
        .collect();
    for some in all.chunks(side_by_side()) {
        thread::scope(|scope| {
            for (direction, case) in some {
                scope.spawn(|| run(mode, *direction, *case));
            }
        });
    }
}

#[test]
fn in_clsact() {
    run_all(AttachMode::Clsact, &IN_CLSACT);
}

#[test]
fn at_tcx() {
    if skip::without_tcx() {
        return;
    }
    run_all(AttachMode::Tcx, &AT_TCX);
}

/// netviz reattaches three times a minute; then the door is blind, and the reason names the other
/// tool. `attach::link_detached_repeatedly_is_retried_after_a_minute` tests this with tcx, and the
/// time after the minute.
#[test]
fn contest_for_a_filter_ends() {
    let fixture = TrafficFixture::new();
    let hook = Hook::of(&fixture, Direction::Ingress);
    let theirs = hook.filter((1, 1));
    let mut netviz = fixture.observe(hook.direction, AttachMode::Clsact);
    let id = hook.id();
    for round in 1..=4 {
        hook.remove_netviz(AttachMode::Clsact);
        let answered = netviz.until(scan_limit(), |_, sample| {
            let door = &sample.doors[&id];
            door.epoch == round.min(3)
                && (round == 4) == matches!(door.meter, AttachState::Failed(_))
        });
        assert!(
            answered.unwrap(),
            "round {round}: {:?}",
            sample(&mut netviz, id)
        );
    }
    let left = sample(&mut netviz, id);
    let AttachState::Failed(reason) = &left.meter else {
        panic!("not degraded");
    };
    let given_up = Reason::GivenUp {
        times: 3,
        seconds: 60,
    };
    assert_eq!(*reason, given_up);
    let again = netviz.until(Duration::from_secs(6), |_, sample| {
        sample.doors[&id].epoch > 3
    });
    assert!(!again.unwrap(), "reattached a fourth time within a minute");
    let expected = Outcome {
        received: FEW,
        seen: FEW,
        ..Outcome::default()
    };
    let outcome = fixture.outcome_of(FEW, &theirs, expected);
    assert_eq!(outcome, expected);
    let now = sample(&mut netviz, id);
    assert_eq!(now, left, "counts changed");
    Row::new(
        "clsact: another tool deletes netviz's filter four times",
        FEW,
        outcome.seen,
        Counted::Partly(0),
    )
    .note(format!("3 times again, then blind: {reason}"))
    .check(SCENARIO);
}
