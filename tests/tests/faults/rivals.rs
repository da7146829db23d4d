//! Somebody else changes the hook at which netviz stands, as Cilium and other tools do it, or worse.
//! netviz sees on, or again: within a second where netlink tells, within five where only looking
//! does. It says that there was a gap and how long, and counts all that crosses afterwards.

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
        wait::{looked, patience, second},
    },
    netns::{
        End, TestNetns,
        traffic_fixture::{Outcome, TrafficFixture},
    },
};

const SCENARIO: &str = "rivals";
const PACKETS: u64 = 10_000;
/// While netviz is not there.
const FEW: u64 = 100;
/// What netlink tells of. Looking takes four seconds.
const TOLD: Duration = Duration::from_secs(2);
/// How often netviz looks.
pub(crate) const LOOKS: Duration = Duration::from_secs(4);
/// For so long netviz keeps its place before it counts as taken again.
const STEADY: Duration = Duration::from_millis(200);

/// What somebody does; what they have at the hook afterwards.
#[derive(Clone, Copy)]
enum Deed {
    /// With what they had there, behind netviz.
    Beside(fn(&Hook<'_>, ForeignProgram) -> ForeignProgram),
    /// Where netviz was alone.
    Alone(fn(&Hook<'_>) -> ForeignProgram),
}

/// Whether netviz keeps its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Kept,
    /// And taken again, for netlink tells of it, ...
    Told,
    /// ... or because it is looked at every four seconds.
    Looked,
}

/// Where it is done.
struct Hook<'a> {
    room: &'a TestNetns,
    end: &'a End,
    direction: Direction,
}

impl<'a> Hook<'a> {
    fn of(site: &'a TrafficFixture, direction: Direction) -> Self {
        let (room, end) = site.place(direction);
        Self {
            room,
            end,
            direction,
        }
    }

    fn id(&self) -> DoorId {
        DoorId::new(self.room.netns().id(), self.end.index)
    }

    /// Of somebody who came before netviz.
    fn first_comer(&self, mode: AttachMode) -> ForeignProgram {
        match mode {
            AttachMode::Tcx => self.tcx(LinkOrder::last()),
            AttachMode::Clsact => self.filter((1, 1)),
        }
    }

    fn netlink(&self) -> Netlink {
        self.room.netlink().unwrap()
    }

    fn delete(&self, rank: (u16, u32)) {
        delete(&mut self.netlink(), self.end.index, self.direction, rank).unwrap();
    }

    /// Takes netviz away, which is first.
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
        ForeignProgram::filter(self.room.netns(), name, self.direction, Verdict::Ok, rank).unwrap()
    }

    fn tcx(&self, order: LinkOrder) -> ForeignProgram {
        let name = &self.end.name;
        ForeignProgram::tcx(self.room.netns(), name, self.direction, Verdict::Ok, order).unwrap()
    }

    /// As the kernel lists them.
    fn is_own_first(&self, mode: AttachMode) -> bool {
        let first = match mode {
            AttachMode::Tcx => self.chain().into_iter().map(|(name, _)| name).next(),
            AttachMode::Clsact => self.filters().into_iter().map(|it| it.name).next(),
        };
        first.is_some_and(|name| name.starts_with("netviz_"))
    }

    fn chain(&self) -> Vec<(String, u32)> {
        foreign_program::tcx_chain(self.room.netns(), &self.end.name, self.direction).unwrap()
    }

    fn filters(&self) -> Vec<filters::Filter> {
        filters::filters(&mut self.netlink(), self.end.index, self.direction).unwrap()
    }
}

const IN_CLSACT: [(&str, Place, Deed); 9] = [
    (
        "replaces its filter",
        Place::Kept,
        Deed::Beside(|hook, _| {
            let (netns, name) = (hook.room.netns(), &hook.end.name);
            ForeignProgram::replace(netns, name, hook.direction, Verdict::Ok, (1, 1)).unwrap()
        }),
    ),
    (
        "deletes its filter and adds it again",
        Place::Told,
        Deed::Beside(|hook, _| {
            hook.delete((1, 1));
            hook.filter((1, 1))
        }),
    ),
    (
        "deletes the whole priority",
        Place::Told,
        Deed::Beside(|hook, _| {
            hook.delete((1, 0));
            hook.filter((1, 1))
        }),
    ),
    (
        "deletes all filters of the hook",
        Place::Told,
        Deed::Beside(|hook, _| {
            hook.delete((0, 0));
            hook.filter((1, 1))
        }),
    ),
    (
        "deletes netviz's filter alone",
        Place::Told,
        Deed::Beside(|hook, theirs| {
            hook.remove_netviz(AttachMode::Clsact);
            theirs
        }),
    ),
    (
        "deletes the qdisc",
        Place::Told,
        Deed::Beside(|hook, _| {
            delete_clsact(&mut hook.netlink(), hook.end.index).unwrap();
            hook.filter((1, 1))
        }),
    ),
    (
        "takes handle 1 where it was free",
        Place::Told,
        Deed::Alone(|hook| hook.filter((1, 1))),
    ),
    (
        "adds a filter ahead",
        Place::Told,
        Deed::Beside(|hook, _| hook.filter((1, 2))),
    ),
    (
        "adds a filter of a later priority",
        Place::Kept,
        Deed::Beside(|hook, theirs| {
            // It goes with its device.
            drop(hook.filter((2, 1)));
            theirs
        }),
    ),
];

const AT_TCX: [(&str, Place, Deed); 7] = [
    (
        "updates its link",
        Place::Kept,
        Deed::Beside(|hook, mut theirs| {
            let before = hook.chain();
            theirs.update(Verdict::Ok).unwrap();
            let after = hook.chain();
            assert_ne!(before[1].1, after[1].1, "another program in the same place");
            theirs
        }),
    ),
    (
        "detaches its link and attaches again",
        Place::Kept,
        Deed::Beside(|hook, theirs| {
            drop(theirs);
            hook.tcx(LinkOrder::last())
        }),
    ),
    (
        "adds a program later",
        Place::Kept,
        Deed::Beside(|hook, theirs| {
            let later = hook.tcx(LinkOrder::last());
            drop(theirs);
            later
        }),
    ),
    (
        "moves from clsact to tcx",
        Place::Kept,
        Deed::Beside(|hook, theirs| {
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
        Deed::Beside(|hook, theirs| {
            drop(hook.filter((1, 1)));
            hook.delete((0, 0));
            theirs
        }),
    ),
    (
        "attaches at the head",
        Place::Looked,
        Deed::Beside(|hook, theirs| {
            drop(theirs);
            hook.tcx(LinkOrder::first())
        }),
    ),
    (
        "detaches netviz's link",
        Place::Looked,
        Deed::Beside(|hook, theirs| {
            hook.remove_netviz(AttachMode::Tcx);
            theirs
        }),
    ),
];

fn sample(netviz: &mut Observation, id: DoorId) -> DoorSample {
    netviz.sample().doors[&id].clone()
}

/// The gap is no shorter than netviz was seen to be away from its place, and no longer than from the look before
/// until it was seen there again.
pub(crate) fn assert_gap(gap: Option<Gap>, (away, until): (Duration, Duration), what: &str) {
    let length = gap.expect("a gap that is said").length;
    let longest = until + LOOKS + second();
    assert!(
        length > Duration::ZERO && length >= away && length <= longest,
        "{what}: a gap of {length:?} is said, of at least {away:?} and at most {longest:?}"
    );
}

/// All packets are received, seen by the other, and counted.
fn check(
    site: &TrafficFixture,
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
    let before = site.counted(netviz, hook.direction);
    let fate = site.fate_of(sent, theirs, expected);
    assert_eq!(fate, expected);
    let counted = site.counted(netviz, hook.direction) - before;
    assert_eq!(counted, sent);
    (counted, fate)
}

/// Nothing is done about it, for as long as it might be.
fn is_kept(netviz: &mut Observation, hook: &Hook<'_>, mode: AttachMode, what: &str) {
    let told = if is_emulated() {
        second()
    } else {
        second().min(TOLD)
    };
    // tcx is only looked at.
    let limit = match mode {
        AttachMode::Tcx => LOOKS + told,
        AttachMode::Clsact => told,
    };
    let id = hook.id();
    let moved = netviz.until(limit, |_, sample| sample.doors[&id].epoch > 0);
    assert!(!moved.unwrap(), "{what}: netviz gave up its place");
}

/// Waits until netviz has its place again, and keeps it; how long that took, and what is said of the gap.
fn is_taken_again(
    netviz: &mut Observation,
    hook: &Hook<'_>,
    (mode, place, begun): (AttachMode, Place, Instant),
    what: &str,
) -> String {
    let limit = match place {
        Place::Looked => looked(),
        // Before it would have been found by looking, however busy the machine is.
        _ if is_emulated() => second(),
        _ => second().min(TOLD),
    };
    let (id, since) = (hook.id(), Instant::now());
    // While the other was still at it, netviz may have been back, and have been overtaken again.
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
        first.is_some_and(|first| since.elapsed() - first > patience(STEADY))
    });
    assert!(again.unwrap(), "{what}: not again within {limit:?}");
    let took = first.unwrap_or_default();
    let gap = sample(netviz, id).gap;
    let until = (since - begun) + took;
    assert_gap(gap, (away, until), what);
    let length = gap.map(|gap| gap.length).unwrap_or_default();
    format!("again after {took:.2?}, gap of up to {length:.1?} said")
}

fn run(mode: AttachMode, direction: Direction, (what, place, deed): (&str, Place, Deed)) {
    let site = TrafficFixture::new();
    let hook = Hook::of(&site, direction);
    let theirs = match deed {
        Deed::Beside(_) => Some(hook.first_comer(mode)),
        Deed::Alone(_) => None,
    };
    let mut netviz = site.observe(direction, mode);
    if let Some(theirs) = &theirs {
        check(&site, &hook, theirs, &mut netviz);
    }
    let begun = Instant::now();
    let theirs = match (deed, theirs) {
        (Deed::Beside(deed), Some(theirs)) => deed(&hook, theirs),
        (Deed::Alone(deed), None) => deed(&hook),
        _ => unreachable!("somebody was there, or not"),
    };
    let what = format!("{mode:?} {direction}: other {what}").to_lowercase();
    let note = if place == Place::Kept {
        is_kept(&mut netviz, &hook, mode, &what);
        "never lost its place".to_owned()
    } else {
        is_taken_again(&mut netviz, &hook, (mode, place, begun), &what)
    };
    let (counted, fate) = check(&site, &hook, &theirs, &mut netviz);
    Row::new(&what, many(PACKETS), fate.seen, counted)
        .noting(note)
        .holds(SCENARIO);
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

/// In both directions.
fn run_all(mode: AttachMode, cases: &[(&'static str, Place, Deed)]) {
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

/// Three times a minute, then the door is blind and says who does it. At tcx, and what comes after the minute, this
/// is `attach::a_link_that_is_detached_again_and_again_is_left_for_a_minute`.
#[test]
fn contest_for_a_filter_ends() {
    let site = TrafficFixture::new();
    let hook = Hook::of(&site, Direction::Ingress);
    let theirs = hook.filter((1, 1));
    let mut netviz = site.observe(hook.direction, AttachMode::Clsact);
    let id = hook.id();
    for round in 1..=4 {
        hook.remove_netviz(AttachMode::Clsact);
        let answered = netviz.until(looked(), |_, sample| {
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
    assert!(!again.unwrap(), "a fourth time within a minute");
    let expected = Outcome {
        received: FEW,
        seen: FEW,
        ..Outcome::default()
    };
    let fate = site.fate_of(FEW, &theirs, expected);
    assert_eq!(fate, expected);
    let now = sample(&mut netviz, id);
    assert_eq!(now, left, "something was counted, or said to be");
    Row::new(
        "clsact: other deletes netviz's filter four times",
        FEW,
        fate.seen,
        Counted::Partly(0),
    )
    .noting(format!("3 times again, then blind: {reason}"))
    .holds(SCENARIO);
}
