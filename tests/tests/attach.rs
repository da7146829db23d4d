//! netviz with foreign programs in a tcx chain: it is first, and does not affect any packet.

use std::time::{Duration, Instant};

use aya::programs::{LinkOrder, tc::TcAttachOptions};
use netviz::{
    attach::{AttachMode, AttachOptions},
    count::LossTracker,
    feed::assemble,
    model::{AttachState, Counts, Direction, DoorId, Reason, Sample, State},
};
use netviz_tests::{
    bpf::{
        foreign_program::{self, ForeignProgram, Verdict},
        prog_test::count::CountTest,
        skip, test_objects,
    },
    cli::{
        fault_table::is_emulated,
        observation::Observation,
        wait::{extended, notify_limit, scan_limit, wait_until},
    },
    netns::{
        pairs,
        send::{self, Sink},
        traffic_fixture::{Outcome, SENT, TrafficFixture, cases},
    },
};

/// Returns the time in which netviz must find a change (it scans every 4 s) and react.
fn scan_and_react() -> Duration {
    extended(Duration::from_secs(15))
}

const ARRIVAL: Duration = Duration::from_secs(5);
/// Interval of netviz's scans.
const LOOKS: Duration = Duration::from_secs(4);
/// Time in which netviz reattaches at most three times.
const MINUTE: Duration = Duration::from_secs(60);
/// The check ends this much earlier.
const ALMOST: Duration = Duration::from_secs(2);

fn attach(
    fixture: &TrafficFixture,
    direction: Direction,
    verdict: Verdict,
    order: LinkOrder,
) -> ForeignProgram {
    let (namespace, end) = fixture.place(direction);
    ForeignProgram::tcx(namespace.netns(), &end.name, direction, verdict, order).unwrap()
}

/// Returns the names of the programs at the hook under test.
fn chain(fixture: &TrafficFixture, direction: Direction) -> Vec<String> {
    let (namespace, end) = fixture.place(direction);
    let chain = foreign_program::tcx_chain(namespace.netns(), &end.name, direction).unwrap();
    chain.into_iter().map(|(name, _)| name).collect()
}

/// The test of invariant 1 with tcx (`faults::foreign_verdicts`) must catch a netviz that ends the chain:
/// `TC_ACT_PIPE` at the head of tcx keeps the foreign program from running, although it counts
/// correctly.
#[test]
fn mutant_at_the_head_is_caught() {
    if skip::without_tcx() {
        return;
    }
    let fixture = TrafficFixture::new();
    let step = if is_emulated() { 4 } else { 1 };
    for (direction, verdict, expected) in cases().into_iter().step_by(step) {
        let foreign = attach(&fixture, direction, verdict, LinkOrder::default());
        let (namespace, end) = fixture.place(direction);
        let mut mutant = CountTest::load(test_objects::MUTANT_PIPE).unwrap();
        let _link = namespace
            .run(|| {
                let program = mutant.program(direction)?;
                let id = program.attach_with_options(
                    &end.name,
                    foreign_program::attach_type(direction),
                    TcAttachOptions::TcxOrder(LinkOrder::first()),
                )?;
                anyhow::Ok(program.take_link(id)?)
            })
            .unwrap();
        // The kernel then delivers all packets, which the test can wait for.
        let cut_off = Outcome {
            received: SENT,
            ..Outcome::default()
        };
        let outcome = fixture.outcome(&foreign, cut_off);
        assert_ne!(outcome, expected, "{direction} {verdict:?} went unnoticed");
        assert_eq!(outcome, cut_off, "{direction} {verdict:?}");
        let counts = mutant.counts().unwrap()[usize::from(direction == Direction::Egress)];
        assert_eq!(counts.packets, SENT);
    }
}

/// Any privileged process can detach netviz's link, without a notification. netviz must find that
/// by itself, reattach and report the gap.
#[test]
fn link_detached_by_others_is_reattached() {
    if skip::without_tcx() {
        return;
    }
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let mut netviz = fixture.observe(direction, AttachMode::Tcx);
    let foreign = attach(&fixture, direction, Verdict::Ok, LinkOrder::last());
    let expected = Outcome {
        received: SENT,
        seen: SENT,
        ..Outcome::default()
    };
    assert_eq!(fixture.outcome(&foreign, expected), expected);

    let before = foreign_program::tcx_chain(namespace.netns(), &end.name, direction).unwrap();
    foreign_program::detach_link_of(before[0].1).unwrap();
    assert_eq!(chain(&fixture, direction), ["foreign_ok"]);
    let id = DoorId::new(namespace.netns().id(), end.index);
    let back = netviz.until(scan_and_react(), |_, sample| sample.doors[&id].epoch == 1);
    assert!(
        back.unwrap(),
        "not reattached within {:?}",
        scan_and_react()
    );
    assert_eq!(chain(&fixture, direction), ["netviz_ingress", "foreign_ok"]);

    // Earlier counts are kept, new packets are added.
    assert_eq!(fixture.outcome(&foreign, expected), expected);
    let counts = fixture.counted(&mut netviz, direction);
    assert_eq!(counts, 2 * SENT);
}

/// Every door is scanned in turn, whatever their number.
#[test]
fn displacement_is_noticed_as_soon_among_many_doors() {
    if skip::without_tcx() {
        return;
    }
    let namespace = pairs(if is_emulated() { 20 } else { 200 }).unwrap();
    let mut netviz = Observation::start(vec![namespace.name()], AttachOptions::default()).unwrap();
    // The door that was scanned last, whose turn comes after all others.
    let id = DoorId::new(namespace.netns().id(), 10);
    let chain = foreign_program::tcx_chain(namespace.netns(), "veth10", Direction::Egress).unwrap();
    assert_eq!(chain[0].0, "netviz_egress");
    let within = scan_limit();
    foreign_program::detach_link_of(chain[0].1).unwrap();
    let back = netviz.until(within, |_, sample| sample.doors[&id].epoch == 1);
    assert!(back.unwrap(), "not reattached within {within:?}");
}

/// Checks that netviz leaves the door alone until just before the minute is over.
fn assert_untouched_until(netviz: &mut Observation, id: DoorId, over: Instant) {
    let before = netviz.sample().doors[&id].clone();
    let rest = (over - ALMOST).saturating_duration_since(Instant::now());
    let again = netviz.until(rest, |_, sample| {
        let now = &sample.doors[&id];
        (now.epoch, &now.meter) != (before.epoch, &before.meter)
    });
    assert!(!again.unwrap(), "reattached within a minute");
}

/// Detaches netviz's link whenever netviz reattaches, until it gives up. Returns the time of the
/// last detachment.
fn detach_until_given_up(
    fixture: &TrafficFixture,
    netviz: &mut Observation,
    times: u32,
) -> Instant {
    let (namespace, end) = fixture.place(Direction::Ingress);
    let id = DoorId::new(namespace.netns().id(), end.index);
    let before = netviz.sample().doors[&id].epoch;
    let mut last = Instant::now();
    for round in 1..=times + 1 {
        let chain =
            foreign_program::tcx_chain(namespace.netns(), &end.name, Direction::Ingress).unwrap();
        assert_eq!(chain[0].0, "netviz_ingress", "round {round}");
        last = Instant::now();
        foreign_program::detach_link_of(chain[0].1).unwrap();
        let answered = netviz.until(scan_and_react(), |_, sample| {
            let door = &sample.doors[&id];
            let left = matches!(door.meter, AttachState::Failed(_));
            door.epoch == before + round.min(times) && left == (round > times)
        });
        let now = &netviz.sample().doors[&id];
        assert!(answered.unwrap(), "round {round}: {now:?}");
    }
    last
}

/// If another tool always detaches the link, netviz reattaches three times a minute; then the door
/// is blind, with the reason. A minute later netviz tries again, as the first of the next three.
#[test]
fn link_detached_repeatedly_is_retried_after_a_minute() {
    if skip::without_tcx()
        || is_emulated() && skip::because("an emulated processor is too slow for its time limits")
    {
        return;
    }
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let foreign = attach(&fixture, direction, Verdict::Ok, LinkOrder::last());
    let mut netviz = fixture.observe(direction, AttachMode::Tcx);
    let (namespace, end) = fixture.place(direction);
    let id = DoorId::new(namespace.netns().id(), end.index);
    let last = detach_until_given_up(&fixture, &mut netviz, 3);
    let left = netviz.sample().doors[&id].clone();
    let AttachState::Failed(reason) = &left.meter else {
        panic!("not degraded");
    };
    let given_up = Reason::GivenUp {
        times: 3,
        seconds: 60,
    };
    assert_eq!(*reason, given_up);
    let expected = Outcome {
        received: SENT,
        seen: SENT,
        ..Outcome::default()
    };
    assert_eq!(fixture.outcome(&foreign, expected), expected);
    assert_untouched_until(&mut netviz, id, last + MINUTE);

    let limit = (last + MINUTE + scan_and_react()).saturating_duration_since(Instant::now());
    let back = netviz.until(limit, |_, sample| {
        let door = &sample.doors[&id];
        door.epoch == 4 && door.meter == AttachState::Counting
    });
    let now = netviz.sample().doors[&id].clone();
    assert!(back.unwrap(), "not retried: {now:?}");
    let (gap, longest) = (
        now.gap.unwrap().length,
        last.elapsed() + LOOKS + notify_limit(),
    );
    assert!(gap >= MINUTE && gap <= longest, "{gap:?} and {longest:?}");
    // Packets in the meantime are not counted, new ones are.
    assert_eq!(now.ingress, left.ingress);
    assert_eq!(fixture.outcome(&foreign, expected), expected);
    assert_eq!(fixture.counted(&mut netviz, direction), SENT);
    detach_until_given_up(&fixture, &mut netviz, 2);
}

/// A program that is attached at the head later hides packets from netviz. netviz moves to the head
/// again, at most three times a minute, and then reports that it is not first.
#[test]
fn program_attached_in_front_is_overtaken_then_reported() {
    if skip::without_tcx() {
        return;
    }
    let direction = Direction::Ingress;
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(direction);
    let id = DoorId::new(namespace.netns().id(), end.index);
    let mut netviz = fixture.observe(direction, AttachMode::Tcx);
    let mut others = Vec::new();
    let began = Instant::now();
    let mut first = None;
    for round in 1..=3 {
        others.push(attach(
            &fixture,
            direction,
            Verdict::Next,
            LinkOrder::first(),
        ));
        let again = netviz.until(scan_and_react(), |_, sample| {
            sample.doors[&id].epoch == round
        });
        assert!(again.unwrap(), "round {round}: not first again");
        first.get_or_insert_with(Instant::now);
        assert_eq!(chain(&fixture, direction)[0], "netviz_ingress");
    }
    others.push(attach(
        &fixture,
        direction,
        Verdict::Next,
        LinkOrder::first(),
    ));
    let ahead = |sample: &Sample| {
        let chain = sample.doors[&id].ingress_chain.clone();
        chain.unwrap_or_default().ahead == ["foreign_next"]
    };
    let reported = netviz
        .until(scan_and_react(), |_, sample| ahead(sample))
        .unwrap();
    assert!(reported, "a program before netviz was not reported");
    let sample = netviz.sample();
    assert_eq!(sample.doors[&id].epoch, 3);
    let snapshot = assemble(
        &netviz.found.cluster,
        None,
        &sample,
        &mut LossTracker::default(),
        "2024-01-01T00:00:00Z".parse().unwrap(),
    );
    let door = snapshot.doors.iter().find(|door| door.id == id).unwrap();
    assert_eq!(door.state, State::Blind);
    let reason = door
        .reason
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    assert!(reason.contains("foreign_next"), "{reason}");

    // netviz waits until a minute after the first time, and no longer.
    assert_untouched_until(&mut netviz, id, began + MINUTE);
    assert!(ahead(&netviz.sample()));
    let over = first.unwrap_or(began) + MINUTE + scan_and_react();
    let limit = over.saturating_duration_since(Instant::now());
    let again = netviz.until(limit, |_, sample| sample.doors[&id].epoch == 4);
    assert!(again.unwrap(), "not retried after a minute");
    assert_eq!(chain(&fixture, direction)[0], "netviz_ingress");
}

/// Equal indexes in two namespaces are two doors.
#[test]
fn equal_ifindexes_in_two_namespaces_are_kept_apart() {
    let fixture = TrafficFixture::new();
    let [near, far] = [&fixture.sender, &fixture.receiver];
    let names = vec![near.name(), far.name()];
    let mut netviz = Observation::start(names, AttachOptions::default()).unwrap();
    assert_eq!(fixture.ends[0].index, fixture.ends[1].index);
    let mut sink = Sink::open(far.netns()).unwrap();
    send::datagrams(near.netns(), fixture.ends[1].address, SENT, 100).unwrap();
    assert!(wait_until(ARRIVAL, || sink.received() == SENT));
    let packets = |counts: [Counts; 2]| counts.map(|counts| counts.packets);
    let index = fixture.ends[0].index;
    assert_eq!(packets(netviz.counts(near.netns().id(), index)), [0, SENT]);
    assert_eq!(packets(netviz.counts(far.netns().id(), index)), [SENT, 0]);
}

/// The kernel accepts nearly any bytes as a name. Such a door is found and counted in every attach
/// mode, and its name is escaped, also as the label of its address.
#[test]
fn name_that_is_not_utf8_is_escaped() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, process::Command};
    let namespace = pairs(1).unwrap();
    let name = OsStr::from_bytes(b"e\xff\xc3th0");
    let renamed = namespace.run(|| {
        let mut ip = Command::new("ip");
        ip.args(["link", "set", "dev", "veth10", "name"]).arg(name);
        ip.status()
    });
    assert!(renamed.unwrap().success());
    let address = "10.99.7.1".parse().unwrap();
    namespace
        .netlink()
        .unwrap()
        .add_address(10, address, 24)
        .unwrap();
    let tcx = skip::has_tcx().then_some("tcx");
    for mode in tcx.into_iter().chain(["clsact"]) {
        let output = Command::new(netviz_tests::cli::binary::netviz().unwrap())
            .args(["doors", "--netns", &namespace.name(), "--include", "*"])
            .env("NETVIZ_ATTACH", mode)
            .args(["--once", "--watch", "50ms", "-o", "json"])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{mode}: {error}: {complaint}"));
        let doors = snapshot["doors"].as_array().unwrap();
        let door = |index| doors.iter().find(|door| door["ifindex"] == index).unwrap();
        assert_eq!(door(10)["interface"], "e\\xff\\xc3th0", "{mode}");
        assert_eq!(door(11)["peer_interface"], "e\\xff\\xc3th0", "{mode}");
        assert_eq!(door(10)["addresses"], serde_json::json!(["10.99.7.1/24"]));
        for index in [10, 11] {
            assert_eq!(door(index)["state"], "counting", "{mode}: {snapshot}");
        }
        assert_eq!(snapshot["pairs"].as_array().unwrap().len(), 1);
    }
}
