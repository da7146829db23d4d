//! Another program at the same hook, with each verdict that there is, in both directions, behind
//! netviz and ahead of it. Its own count is what was sent, packets go where they go without netviz,
//! and netviz counts all, or says that it was behind.

use std::thread;

use aya::programs::LinkOrder;
use netviz::{
    model::{Direction, DoorId, DoorSample},
    trace::AttachMode,
};
use netviz_tests::{
    cli::wait::second,
    fault::{Counted, Row, many, side_by_side},
    filters::filters,
    foreign::{self, Foreign, Verdict},
    observe::Observation,
    site::{Fate, Site, cases},
    skip,
    wait::settle,
};

const SCENARIO: &str = "verdicts";
const PACKETS: u64 = 100_000;

/// One foreign program, at one hook, beside one netviz.
struct Case {
    mode: AttachMode,
    direction: Direction,
    verdict: Verdict,
    expected: Fate,
    site: Site,
}

impl Case {
    fn name(&self, place: &str) -> String {
        let Self {
            mode,
            direction,
            verdict,
            ..
        } = self;
        let verdict = format!("{verdict:?}");
        let verdict = verdict.split('(').next().unwrap();
        format!("{mode:?} {direction} {verdict}, {place}").to_lowercase()
    }

    /// As Cilium comes to a hook, and behind whatever is there in tcx.
    fn foreign_behind(&self) -> Foreign {
        let (room, end) = self.site.place(self.direction);
        let (netns, name) = (room.netns(), &end.name);
        match self.mode {
            AttachMode::Tcx => {
                let order = LinkOrder::last();
                Foreign::tcx(netns, name, self.direction, self.verdict, order).unwrap()
            }
            AttachMode::Clsact => {
                Foreign::clsact(netns, name, self.direction, self.verdict).unwrap()
            }
        }
    }

    /// One that goes ahead of netviz.
    fn foreign_ahead(&self) -> Foreign {
        let (room, end) = self.site.place(self.direction);
        let (netns, name) = (room.netns(), &end.name);
        match self.mode {
            AttachMode::Tcx => {
                let order = LinkOrder::first();
                Foreign::tcx(netns, name, self.direction, self.verdict, order).unwrap()
            }
            // A later filter of one priority comes first.
            AttachMode::Clsact => {
                let place = (1, 2);
                Foreign::filter(netns, name, self.direction, self.verdict, place).unwrap()
            }
        }
    }

    fn id(&self) -> DoorId {
        let (room, end) = self.site.place(self.direction);
        DoorId::new(room.netns().id(), end.index)
    }

    /// The names at the hook, in the order in which they run.
    fn chain(&self) -> Vec<String> {
        let (room, end) = self.site.place(self.direction);
        match self.mode {
            AttachMode::Tcx => {
                let chain = foreign::tcx_chain(room.netns(), &end.name, self.direction);
                chain.unwrap().into_iter().map(|(name, _)| name).collect()
            }
            AttachMode::Clsact => {
                let mut netlink = room.netlink().unwrap();
                let there = filters(&mut netlink, end.index, self.direction).unwrap();
                there.into_iter().map(|filter| filter.name).collect()
            }
        }
    }

    fn sample(&self, netviz: &mut Observation) -> DoorSample {
        netviz.sample().doors[&self.id()].clone()
    }

    fn run(&self) {
        let (sent, few) = (many(PACKETS), 100);
        let first = self.foreign_behind();
        assert_eq!(
            self.site.fate_of(few, &first, self.expected),
            self.expected.of(few)
        );
        let mut netviz = self.site.observe(self.direction, self.mode);
        self.behind(&mut netviz, &first, sent);
        if self.mode == AttachMode::Tcx {
            drop(first);
        } else {
            // What it stands in the way of in clsact is another filter's business.
            self.remove_filter();
        }
        let ahead = self.foreign_ahead();
        self.ahead(&mut netviz, &ahead, sent);
        drop(netviz);
        let left = settle(second() * 6, &1, || self.chain().len());
        assert_eq!(left, 1, "{}", self.name("afterwards"));
        assert_eq!(
            self.site.fate_of(few, &ahead, self.expected),
            self.expected.of(few)
        );
    }

    fn behind(&self, netviz: &mut Observation, foreign: &Foreign, sent: u64) {
        let name = self.name("behind");
        let fate = self.site.fate_of(sent, foreign, self.expected);
        let counted = self.site.counted(netviz, self.direction);
        let own = format!("netviz_{}", self.direction);
        assert_eq!(self.chain()[0], own, "{name}");
        Row::new(&name, sent, fate.seen, counted).holds(SCENARIO);
        assert_eq!(fate, self.expected.of(sent), "{name}");
        assert_eq!(self.sample(netviz).epoch, 0, "{name}");
    }

    fn ahead(&self, netviz: &mut Observation, foreign: &Foreign, sent: u64) {
        let before = self.site.counted(netviz, self.direction);
        let few = sent / 100;
        // It may take netviz as long as this to notice, and nothing is lost meanwhile.
        let fate = self.site.fate_of(few, foreign, self.expected);
        let name = self.name("ahead, until it is noticed");
        assert_eq!(fate, self.expected.of(few), "{name}");
        let id = self.id();
        let limit = second() * 6;
        let again = netviz.until(limit, |_, sample| sample.doors[&id].epoch == 1);
        assert!(again.unwrap(), "{name}: not noticed within {limit:?}");
        let gap = self.sample(netviz).gap.expect("a gap that is said");
        let counted = self.site.counted(netviz, self.direction) - before;
        Row::new(&name, few, fate.seen, Counted::Partly(counted))
            .noting(format!("gap of up to {:.1?}", gap.length))
            .holds(SCENARIO);

        let before = self.site.counted(netviz, self.direction);
        let name = self.name("ahead, overtaken");
        let fate = self.site.fate_of(sent, foreign, self.expected);
        let counted = self.site.counted(netviz, self.direction) - before;
        Row::new(&name, sent, fate.seen, counted).holds(SCENARIO);
        assert_eq!(fate, self.expected.of(sent), "{name}");
    }

    fn remove_filter(&self) {
        let (room, end) = self.site.place(self.direction);
        let mut netlink = room.netlink().unwrap();
        netviz_tests::filters::delete(&mut netlink, end.index, self.direction, (1, 1)).unwrap();
    }
}

/// All cases side by side: most of their time is waited.
fn run_all(mode: AttachMode) {
    let cases: Vec<_> = cases()
        .into_iter()
        .map(|(direction, verdict, expected)| Case {
            mode,
            direction,
            verdict,
            expected,
            site: Site::new(),
        })
        .collect();
    for some in cases.chunks(side_by_side()) {
        thread::scope(|scope| {
            for case in some {
                scope.spawn(|| case.run());
            }
        });
    }
}

#[test]
fn at_tcx() {
    if skip::without_tcx() {
        return;
    }
    run_all(AttachMode::Tcx);
}

#[test]
fn in_clsact() {
    run_all(AttachMode::Clsact);
}
