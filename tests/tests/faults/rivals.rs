//! Somebody else changes the hook at which netviz stands, as Cilium and other tools do it, or worse.
//! netviz sees on, or again: within a second where netlink tells, within five where only looking
//! does. It says that there was a gap and how long, and counts all that crosses afterwards.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::programs::LinkOrder;
use netviz::{
    model::{Direction, DoorId, DoorSample, Meter},
    sys::netlink::Netlink,
    trace::AttachMode,
};
use netviz_tests::{
    cli::wait::second,
    fault::{Row, is_emulated, many, side_by_side},
    filters::{self, delete, delete_clsact},
    foreign::{self, Foreign, Verdict},
    observe::Observation,
    room::{End, Room},
    site::{Fate, Site},
    skip,
    wait::patience,
};

const SCENARIO: &str = "rivals";
const DIRECTION: Direction = Direction::Ingress;
const PACKETS: u64 = 10_000;
/// What netlink tells of. Looking takes four seconds.
const TOLD: Duration = Duration::from_secs(2);
/// For so long netviz keeps its place before it counts as taken again.
const STEADY: Duration = Duration::from_millis(200);

/// What somebody does, with what they had at the hook; what they have there afterwards.
type Deed = fn(&Hook<'_>, Foreign) -> Foreign;

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
    room: &'a Room,
    end: &'a End,
}

impl Hook<'_> {
    fn netlink(&self) -> Netlink {
        self.room.netlink().unwrap()
    }

    fn delete(&self, rank: (u16, u32)) {
        delete(&mut self.netlink(), self.end.index, DIRECTION, rank).unwrap();
    }

    fn filter(&self, rank: (u16, u32)) -> Foreign {
        let name = &self.end.name;
        Foreign::filter(self.room.netns(), name, DIRECTION, Verdict::Ok, rank).unwrap()
    }

    fn tcx(&self, order: LinkOrder) -> Foreign {
        let name = &self.end.name;
        Foreign::tcx(self.room.netns(), name, DIRECTION, Verdict::Ok, order).unwrap()
    }

    /// As the kernel lists them.
    fn is_own_first(&self, mode: AttachMode) -> bool {
        let first = match mode {
            AttachMode::Tcx => self.chain().into_iter().map(|(name, _)| name).next(),
            AttachMode::Clsact => {
                let there = filters::filters(&mut self.netlink(), self.end.index, DIRECTION);
                there.unwrap().into_iter().map(|filter| filter.name).next()
            }
        };
        first.is_some_and(|name| name.starts_with("netviz_"))
    }

    fn chain(&self) -> Vec<(String, u32)> {
        foreign::tcx_chain(self.room.netns(), &self.end.name, DIRECTION).unwrap()
    }
}

const IN_CLSACT: [(&str, Place, Deed); 9] = [
    ("replaces its filter", Place::Kept, |hook, _| {
        let name = &hook.end.name;
        Foreign::replace(hook.room.netns(), name, DIRECTION, Verdict::Ok, (1, 1)).unwrap()
    }),
    (
        "deletes its filter and adds it again",
        Place::Told,
        |hook, _| {
            hook.delete((1, 1));
            hook.filter((1, 1))
        },
    ),
    ("deletes the whole priority", Place::Told, |hook, _| {
        hook.delete((1, 0));
        hook.filter((1, 1))
    }),
    ("deletes all filters of the hook", Place::Told, |hook, _| {
        hook.delete((0, 0));
        hook.filter((1, 1))
    }),
    (
        "deletes netviz's filter alone",
        Place::Told,
        |hook, theirs| {
            let own = filters::filters(&mut hook.netlink(), hook.end.index, DIRECTION).unwrap();
            assert!(own[0].name.starts_with("netviz_"), "{own:?}");
            hook.delete((own[0].priority, own[0].handle));
            theirs
        },
    ),
    ("deletes the qdisc", Place::Told, |hook, _| {
        delete_clsact(&mut hook.netlink(), hook.end.index).unwrap();
        hook.filter((1, 1))
    }),
    (
        "takes handle 1 where it was free",
        Place::Told,
        |hook, _| {
            hook.delete((1, 1));
            hook.filter((1, 1))
        },
    ),
    ("adds a filter ahead", Place::Told, |hook, _| {
        hook.filter((1, 2))
    }),
    (
        "adds a filter of a later priority",
        Place::Kept,
        |hook, theirs| {
            // It goes with its device.
            drop(hook.filter((2, 1)));
            theirs
        },
    ),
];

const AT_TCX: [(&str, Place, Deed); 7] = [
    ("updates its link", Place::Kept, |hook, mut theirs| {
        let before = hook.chain();
        theirs.update(Verdict::Ok).unwrap();
        let after = hook.chain();
        assert_ne!(before[1].1, after[1].1, "another program in the same place");
        theirs
    }),
    (
        "detaches its link and attaches again",
        Place::Kept,
        |hook, theirs| {
            drop(theirs);
            hook.tcx(LinkOrder::last())
        },
    ),
    ("adds a program later", Place::Kept, |hook, theirs| {
        let later = hook.tcx(LinkOrder::last());
        drop(theirs);
        later
    }),
    ("moves from clsact to tcx", Place::Kept, |hook, theirs| {
        drop(theirs);
        let filter = hook.filter((1, 1));
        let link = hook.tcx(LinkOrder::last());
        hook.delete((1, 1));
        drop(filter);
        link
    }),
    (
        "deletes all filters of the hook",
        Place::Kept,
        |hook, theirs| {
            drop(hook.filter((1, 1)));
            hook.delete((0, 0));
            theirs
        },
    ),
    ("attaches at the head", Place::Looked, |hook, theirs| {
        drop(theirs);
        hook.tcx(LinkOrder::first())
    }),
    ("detaches netviz's link", Place::Looked, |hook, theirs| {
        let own = hook.chain();
        assert!(own[0].0.starts_with("netviz_"), "{own:?}");
        foreign::detach_link_of(own[0].1).unwrap();
        theirs
    }),
];

fn sample(netviz: &mut Observation, id: DoorId) -> DoorSample {
    netviz.sample().doors[&id].clone()
}

/// All packets are received, seen by the other, and counted.
fn check(site: &Site, theirs: &Foreign, netviz: &mut Observation) -> (u64, u64) {
    let sent = many(PACKETS);
    let expected = Fate {
        received: sent,
        seen: sent,
        ..Fate::default()
    };
    let before = site.counted(netviz, DIRECTION);
    let fate = site.fate_of(sent, theirs, expected);
    assert_eq!(fate, expected);
    (sent, site.counted(netviz, DIRECTION) - before)
}

fn run(mode: AttachMode, (what, place, deed): (&str, Place, Deed)) {
    let site = Site::new();
    let (room, end) = site.place(DIRECTION);
    let hook = Hook { room, end };
    let theirs = match mode {
        AttachMode::Tcx => hook.tcx(LinkOrder::last()),
        AttachMode::Clsact => hook.filter((1, 1)),
    };
    let mut netviz = site.observe(DIRECTION, mode);
    let id = DoorId::new(room.netns().id(), end.index);
    let (sent, counted) = check(&site, &theirs, &mut netviz);
    assert_eq!(counted, sent, "{what}");

    let theirs = deed(&hook, theirs);
    let since = Instant::now();
    let limit = match place {
        Place::Looked => second() * 5,
        Place::Kept => second(),
        // Before it would have been found by looking, however busy the machine is.
        Place::Told if is_emulated() => second(),
        Place::Told => second().min(TOLD),
    };
    let mut note = "never lost its place".to_owned();
    if place == Place::Kept {
        // Until whatever it might do about it would have been done.
        let moved = netviz.until(limit, |_, sample| sample.doors[&id].epoch > 0);
        assert!(!moved.unwrap(), "{what}: netviz gave up its place");
    } else {
        // While the other was still at it, netviz may have been back, and have been overtaken again.
        let mut first = None;
        let again = netviz.until(limit, |_, sample| {
            let door = &sample.doors[&id];
            let there = door.epoch > 0 && door.meter == Meter::Counting && hook.is_own_first(mode);
            first = if there {
                first.or(Some(since.elapsed()))
            } else {
                None
            };
            first.is_some_and(|first| since.elapsed() - first > patience(STEADY))
        });
        assert!(again.unwrap(), "{what}: not again within {limit:?}");
        let took = first.unwrap_or_default();
        let gap = sample(&mut netviz, id).gap.expect("a gap that is said");
        note = format!(
            "again after {:.2?}, gap of up to {:.1?} said",
            took, gap.length
        );
    }
    let (sent, counted) = check(&site, &theirs, &mut netviz);
    Row::new(
        format!("{mode:?}: other {what}").to_lowercase(),
        sent,
        sent,
        counted,
    )
    .noting(note)
    .holds(SCENARIO);
    if mode == AttachMode::Tcx {
        let filters = filters::filters(&mut hook.netlink(), end.index, DIRECTION).unwrap();
        let own = filters.iter().filter(|it| it.name.starts_with("netviz_"));
        assert_eq!(
            own.count(),
            0,
            "{what}: a filter of netviz on a kernel with tcx"
        );
    }
}

fn run_all(mode: AttachMode, cases: &[(&'static str, Place, Deed)]) {
    for some in cases.chunks(side_by_side()) {
        thread::scope(|scope| {
            for case in some {
                scope.spawn(|| run(mode, *case));
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

/// Three times a minute, then the door is blind and says who does it: at tcx this is
/// `attach::a_program_that_goes_ahead_is_overtaken_and_in_the_end_reported`.
#[test]
fn a_fight_for_a_filter_ends() {
    let site = Site::new();
    let (room, end) = site.place(DIRECTION);
    let hook = Hook { room, end };
    let theirs = hook.filter((1, 1));
    let mut netviz = site.observe(DIRECTION, AttachMode::Clsact);
    let id = DoorId::new(room.netns().id(), end.index);
    let limit = second() * 5;
    for round in 1..=4 {
        let own = filters::filters(&mut hook.netlink(), end.index, DIRECTION).unwrap();
        hook.delete((own[0].priority, own[0].handle));
        let answered = netviz.until(limit, |_, sample| {
            let door = &sample.doors[&id];
            door.epoch == round.min(3) && (round == 4) == matches!(door.meter, Meter::Failed(_))
        });
        assert!(
            answered.unwrap(),
            "round {round}: {:?}",
            sample(&mut netviz, id)
        );
    }
    let Meter::Failed(reason) = sample(&mut netviz, id).meter else {
        panic!("not degraded");
    };
    assert!(reason.contains("three times within a minute"), "{reason}");
    let again = netviz.until(Duration::from_secs(6), |_, sample| {
        sample.doors[&id].epoch > 3
    });
    assert!(!again.unwrap(), "a fourth time within a minute");
    let expected = Fate {
        received: 100,
        seen: 100,
        ..Fate::default()
    };
    assert_eq!(site.fate_of(100, &theirs, expected), expected);
    Row::new(
        "clsact: other deletes netviz's filter four times",
        100,
        100,
        100,
    )
    .noting(format!("3 times again, then blind: {reason}"))
    .print(SCENARIO);
}
