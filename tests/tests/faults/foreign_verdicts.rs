//! A foreign program at the same hook, with each possible verdict, in both directions, after netviz
//! and before it. Its own count equals the sent packets, packets go where they go without netviz,
//! and netviz counts all or reports that it was or is displaced.

use std::{
    thread,
    time::{Duration, Instant},
};

use aya::programs::LinkOrder;
use netviz::{
    attach::AttachMode,
    count::LossTracker,
    feed::assemble,
    model::{Cluster, Direction, DoorId, DoorSample, DoorState, Sample, State},
};
use netviz_tests::{
    bpf::{
        filters::{delete, filters},
        foreign_program::{self, ForeignProgram, Verdict},
        skip,
    },
    cli::{
        fault_table::{Counted, Row, many, side_by_side},
        observation::Observation,
        wait::{scan_limit, settle},
    },
    netns::traffic_fixture::{Outcome, TrafficFixture, cases},
};

use crate::hook_conflicts::assert_gap;

const SCENARIO: &str = "foreign_verdicts";
const PACKETS: u64 = 100_000;
/// Time in which netviz reattaches at most three times.
const MINUTE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(20);
const OFTEN: Duration = Duration::from_millis(200);
/// Number of bytes of a program's name that the kernel stores.
const NAME: usize = 15;

/// One foreign program at one hook with netviz.
struct Case {
    mode: AttachMode,
    direction: Direction,
    verdict: Verdict,
    expected: Outcome,
    fixture: TrafficFixture,
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

    /// Attaches a foreign program as Cilium does, with tcx after all others.
    fn foreign_behind(&self) -> ForeignProgram {
        let (namespace, end) = self.fixture.place(self.direction);
        let (netns, name) = (namespace.netns(), &end.name);
        match self.mode {
            AttachMode::Tcx => {
                let order = LinkOrder::last();
                ForeignProgram::tcx(netns, name, self.direction, self.verdict, order).unwrap()
            }
            AttachMode::Clsact => {
                ForeignProgram::clsact(netns, name, self.direction, self.verdict).unwrap()
            }
        }
    }

    /// Attaches a foreign program before netviz; `time` counts these.
    fn foreign_ahead(&self, time: u32) -> ForeignProgram {
        let (namespace, end) = self.fixture.place(self.direction);
        let (netns, name) = (namespace.netns(), &end.name);
        match self.mode {
            AttachMode::Tcx => {
                let order = LinkOrder::first();
                ForeignProgram::tcx(netns, name, self.direction, self.verdict, order).unwrap()
            }
            // A later filter of the same priority runs first.
            AttachMode::Clsact => {
                let place = (1, 1 + time);
                ForeignProgram::filter(netns, name, self.direction, self.verdict, place).unwrap()
            }
        }
    }

    /// Removes the program with the number `time`; 0 is the one after netviz.
    fn remove(&self, foreign: ForeignProgram, time: u32) {
        // The link ends with this value, a filter does not.
        drop(foreign);
        if self.mode == AttachMode::Clsact {
            let (namespace, end) = self.fixture.place(self.direction);
            let mut netlink = namespace.netlink().unwrap();
            let place = (1, 1 + time);
            delete(&mut netlink, end.index, self.direction, place).unwrap();
        }
    }

    fn id(&self) -> DoorId {
        let (namespace, end) = self.fixture.place(self.direction);
        DoorId::new(namespace.netns().id(), end.index)
    }

    /// Returns the names at the hook in run order.
    fn chain(&self) -> Vec<String> {
        let (namespace, end) = self.fixture.place(self.direction);
        match self.mode {
            AttachMode::Tcx => {
                let chain =
                    foreign_program::tcx_chain(namespace.netns(), &end.name, self.direction);
                chain.unwrap().into_iter().map(|(name, _)| name).collect()
            }
            AttachMode::Clsact => {
                let mut netlink = namespace.netlink().unwrap();
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
            self.fixture.outcome_of(few, &first, self.expected),
            self.expected.of(few)
        );
        let mut netviz = self.fixture.observe(self.direction, self.mode);
        self.behind(&mut netviz, &first, sent);
        // With clsact it may affect filters of other tests.
        self.remove(first, 0);
        let begun = Instant::now();
        let ahead = self.foreign_ahead(1);
        self.ahead(&mut netviz, &ahead, (sent, begun));
        let ahead = self.until_given_up(&mut netviz, ahead);
        self.given_up(&mut netviz, &ahead, (sent, begun));
        drop(netviz);
        let left = settle(scan_limit(), &1, || self.chain().len());
        assert_eq!(left, 1, "{}", self.name("afterwards"));
        assert_eq!(
            self.fixture.outcome_of(few, &ahead, self.expected),
            self.expected.of(few)
        );
    }

    fn behind(&self, netviz: &mut Observation, foreign: &ForeignProgram, sent: u64) {
        let name = self.name("behind");
        let outcome = self.fixture.outcome_of(sent, foreign, self.expected);
        let counted = self.fixture.counted(netviz, self.direction);
        assert_eq!(self.chain()[0], self.own(), "{name}");
        Row::new(&name, sent, outcome.seen, counted).check(SCENARIO);
        assert_eq!(outcome, self.expected.of(sent), "{name}");
        assert_eq!(self.sample(netviz).epoch, 0, "{name}");
    }

    fn ahead(
        &self,
        netviz: &mut Observation,
        foreign: &ForeignProgram,
        (sent, begun): (u64, Instant),
    ) {
        let before = self.fixture.counted(netviz, self.direction);
        let name = self.name("ahead, until it is noticed");
        // Until netviz is displaced, and while it reattaches, nothing is lost.
        let (outcome, gap) = thread::scope(|scope| {
            let sending = scope.spawn(|| self.fixture.outcome_of(sent, foreign, self.expected));
            let gap = self.wait_until_overtaken(netviz, (1, begun));
            (sending.join().unwrap(), gap)
        });
        assert_eq!(outcome, self.expected.of(sent), "{name}");
        let counted = self.fixture.counted(netviz, self.direction) - before;
        Row::new(&name, sent, outcome.seen, Counted::Partly(counted))
            .note(format!("gap of up to {gap:.1?}"))
            .check(SCENARIO);

        // Like the program after netviz, which received all packets.
        let some = sent / 10;
        let before = self.fixture.counted(netviz, self.direction);
        let name = self.name("ahead, overtaken");
        let outcome = self.fixture.outcome_of(some, foreign, self.expected);
        let counted = self.fixture.counted(netviz, self.direction) - before;
        Row::new(&name, some, outcome.seen, counted).check(SCENARIO);
        assert_eq!(outcome, self.expected.of(some), "{name}");
    }

    /// Waits until netviz is before the program attached after `begun`. Returns the gap that it
    /// reports.
    fn wait_until_overtaken(
        &self,
        netviz: &mut Observation,
        (time, begun): (u32, Instant),
    ) -> Duration {
        let (id, limit, own) = (self.id(), scan_limit(), self.own());
        let (since, mut away) = (Instant::now(), Duration::ZERO);
        let again = netviz.until(limit, |_, sample| {
            let asked = since.elapsed();
            // Less often than the waiting loop, because all cases ask at once.
            if asked - away > OFTEN && self.chain()[0] != own {
                away = asked;
            }
            sample.doors[&id].epoch == time
        });
        let until = begun.elapsed();
        let name = self.name("ahead");
        assert!(again.unwrap(), "{name}: not detected within {limit:?}");
        let gap = self.sample(netviz).gap;
        assert_gap(gap, (away, until), &name);
        gap.map(|gap| gap.length).unwrap_or_default()
    }

    /// Returns the name of netviz's program.
    fn own(&self) -> String {
        format!("netviz_{}", self.direction)
    }

    /// Displaces netviz until it gives up. Returns the program that remains.
    fn until_given_up(
        &self,
        netviz: &mut Observation,
        mut ahead: ForeignProgram,
    ) -> ForeignProgram {
        for time in 2..=4 {
            self.remove(ahead, time - 1);
            let begun = Instant::now();
            ahead = self.foreign_ahead(time);
            if time < 4 {
                self.wait_until_overtaken(netviz, (time, begun));
            }
        }
        let (limit, found) = (scan_limit(), netviz.found.clone());
        let is_blind = |sample: &Sample| self.shown(&found.cluster, sample).state == State::Blind;
        let blind = netviz.until(limit, |_, sample| is_blind(sample));
        let name = self.name("ahead, and stays");
        assert!(blind.unwrap(), "{name}: not blind within {limit:?}");
        ahead
    }

    /// Checks that the verdict of the program before netviz applies, and that netviz counts what
    /// that program passes on and reports an incomplete count.
    fn given_up(
        &self,
        netviz: &mut Observation,
        foreign: &ForeignProgram,
        (sent, begun): (u64, Instant),
    ) {
        let name = self.name("ahead, and stays");
        let before = self.fixture.counted(netviz, self.direction);
        let outcome = self.fixture.outcome_of(sent, foreign, self.expected);
        let counted = self.fixture.counted(netviz, self.direction) - before;
        assert_eq!(outcome, self.expected.of(sent), "{name}");
        let row = Row::new(&name, sent, outcome.seen, Counted::Partly(counted));
        if begun.elapsed() >= MINUTE {
            // On a busy machine, netviz may have reattached before the last packet.
            row.note("the minute was over").check(SCENARIO);
            return;
        }
        // Apply all notifications so far.
        netviz.until(SOON, |_, _| false).unwrap();
        let door = self.shown(&netviz.found.cluster.clone(), &netviz.sample());
        assert_eq!(door.gaps, 3, "{name}: reattached within a minute");
        let reason = door
            .reason
            .map_or_else(String::new, |reason| reason.to_string());
        row.note(&reason).check(SCENARIO);
        assert_eq!(door.state, State::Blind, "{name}");
        let program = self.verdict.program();
        let program = &program[..program.len().min(NAME)];
        assert!(reason.contains(program), "{name}: {reason}");
        let let_through = if self.reaches_next_program() { sent } else { 0 };
        assert_eq!(counted, let_through, "{name}");
    }

    /// Returns true if the next program runs: with tcx only after `TCX_NEXT`, with clsact also
    /// after an unknown code.
    fn reaches_next_program(&self) -> bool {
        match self.verdict {
            Verdict::Next => true,
            Verdict::Unknown => self.mode == AttachMode::Clsact,
            _ => false,
        }
    }

    /// Returns the displayed state of the door.
    fn shown(&self, cluster: &Cluster, sample: &Sample) -> DoorState {
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        let snapshot = assemble(cluster, None, sample, &mut LossTracker::default(), now);
        let id = self.id();
        let mut doors = snapshot.doors.into_iter();
        doors.find(|door| door.id == id).unwrap()
    }
}

/// Runs all cases concurrently, because they mostly wait.
fn run_all(mode: AttachMode) {
    let cases: Vec<_> = cases()
        .into_iter()
        .map(|(direction, verdict, expected)| Case {
            mode,
            direction,
            verdict,
            expected,
            fixture: TrafficFixture::new(),
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
