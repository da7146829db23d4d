//! netviz reattaches after the right events: another tool detaches it, an interface changes its
//! attributes, or a node stops being one.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netviz::{
    attach::AttachMode,
    model::{AttachState, Direction, DoorId, Reason},
};
use netviz_tests::{
    bpf::{
        filters::{self, filters},
        foreign_program::{self, ForeignProgram, Verdict},
        skip,
    },
    cli::{
        binary,
        netviz::Running,
        wait::{notify_limit, wait_until},
    },
    netns::traffic_fixture::{Outcome, SENT, TrafficFixture},
};
use serde_json::Value;

const DIRECTION: Direction = Direction::Egress;

/// Returns the attach modes that this kernel supports.
fn modes() -> Vec<AttachMode> {
    if skip::without_tcx() {
        vec![AttachMode::Clsact]
    } else {
        vec![AttachMode::Tcx, AttachMode::Clsact]
    }
}

/// Detaches netviz's program from the hook. Returns true if it was attached.
fn remove(fixture: &TrafficFixture, mode: AttachMode) -> bool {
    let (namespace, end) = fixture.place(DIRECTION);
    match mode {
        AttachMode::Tcx => {
            let chain =
                foreign_program::tcx_chain(namespace.netns(), &end.name, DIRECTION).unwrap();
            let mut own = chain.iter().filter(|(name, _)| name == "netviz_egress");
            own.any(|(_, id)| foreign_program::detach_link_of(*id).is_ok())
        }
        AttachMode::Clsact => {
            let mut netlink = namespace.netlink().unwrap();
            let there = filters(&mut netlink, end.index, DIRECTION).unwrap();
            let mut own = there.iter().filter(|it| it.name == "netviz_egress");
            own.any(|it| {
                let place = (it.priority, it.handle);
                filters::delete(&mut netlink, end.index, DIRECTION, place).is_ok()
            })
        }
    }
}

fn id(fixture: &TrafficFixture) -> DoorId {
    let (namespace, end) = fixture.place(DIRECTION);
    DoorId::new(namespace.netns().id(), end.index)
}

/// Runs `work` while another tool detaches netviz as soon as it is attached.
fn with_detaching_tool<T>(
    fixture: &TrafficFixture,
    mode: AttachMode,
    work: impl FnOnce() -> T,
) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                remove(fixture, mode);
            }
        });
        let _over = Over(&over);
        work()
    })
}

/// An agent that removes unknown programs is faster than netviz's scan. A missing program must not
/// be taken for a missing interface.
#[test]
fn tool_that_detaches_at_once_is_named() {
    for mode in modes() {
        let fixture = TrafficFixture::new();
        let mut netviz = fixture.observe(DIRECTION, mode);
        let id = id(&fixture);
        let mut gone = false;
        let blind = with_detaching_tool(&fixture, mode, || {
            netviz.until(notify_limit() * 15, |_, sample| {
                let meter = &sample.doors[&id].meter;
                gone |= *meter == AttachState::Gone;
                matches!(meter, AttachState::Failed(Reason::GivenUp { .. }))
            })
        });
        assert!(
            blind.unwrap() && !gone,
            "{mode:?}: {:?}",
            netviz.sample().doors[&id]
        );
    }
}

/// Repeated detaching at all selected doors does not end netviz: it may stop within a minute.
#[test]
fn repeated_detaching_does_not_stop_netviz() {
    for (mode, word) in modes()
        .into_iter()
        .map(|mode| (mode, format!("{mode:?}").to_lowercase()))
    {
        let fixture = TrafficFixture::new();
        let (namespace, end) = fixture.place(DIRECTION);
        let mut command = Command::new(binary::netviz().unwrap());
        command
            .args([
                "doors",
                "--netns",
                &namespace.name(),
                "--include",
                &end.name,
            ])
            .args(["-o", "jsonl", "--watch", "100ms"])
            .env("NETVIZ_ATTACH", &word)
            .stdout(Stdio::piped());
        let mut running = Running::start(&mut command);
        let lines = BufReader::new(running.child.stdout.take().unwrap()).lines();
        let mut states = lines.map_while(Result::ok).filter_map(|line| {
            let snapshot: Value = serde_json::from_str(&line).ok()?;
            let doors = snapshot["doors"].as_array()?;
            let door = doors
                .iter()
                .find(|door| door["interface"] == end.name.as_str())?;
            Some((door["state"].clone(), door["reason"].clone()))
        });
        // From the first count on; before, nothing is attached.
        let counted = states.by_ref().any(|(state, _)| state == "counting");
        let fought = with_detaching_tool(&fixture, mode, || {
            states
                .by_ref()
                .any(|(_, reason)| reason["code"] == "given_up")
        });
        let goes_on = states.by_ref().take(5).count() == 5;
        assert!(
            counted && fought && goes_on,
            "{mode:?}: {counted} {fought} {goes_on}, {:?}",
            running.child.try_wait()
        );
    }
}

/// An interface whose MAC address changes is the same interface: it keeps its counts, and a later
/// gap is reported.
#[test]
fn interface_with_changed_attributes_keeps_its_counts() {
    for mode in modes() {
        let fixture = TrafficFixture::new();
        let (namespace, end) = fixture.place(DIRECTION);
        let foreign = || {
            let (netns, name) = (namespace.netns(), &end.name);
            match mode {
                AttachMode::Tcx => {
                    let order = aya::programs::LinkOrder::last();
                    ForeignProgram::tcx(netns, name, DIRECTION, Verdict::Next, order)
                }
                AttachMode::Clsact => {
                    ForeignProgram::filter(netns, name, DIRECTION, Verdict::Next, (2, 1))
                }
            }
            .unwrap()
        };
        let theirs = foreign();
        let mut netviz = fixture.observe(DIRECTION, mode);
        let id = id(&fixture);
        let all = Outcome {
            received: SENT,
            seen: SENT,
            ..Outcome::default()
        };
        assert_eq!(fixture.outcome(&theirs, all), all);
        assert_eq!(fixture.counted(&mut netviz, DIRECTION), SENT);

        let mut message = LinkMessage::default();
        message.header.index = end.index;
        let mac = vec![2, 0x74, 0xff, 0xff, 0, 1];
        message.attributes.push(LinkAttribute::Address(mac.clone()));
        let mut netlink = namespace.netlink().unwrap();
        netlink
            .change(RouteNetlinkMessage::SetLink(message))
            .unwrap();
        let text: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = text.join(":");
        let found = wait_until(notify_limit() * 5, || {
            netviz.until(Duration::ZERO, |_, _| true).unwrap();
            let door = netviz.found.cluster.door(id);
            door.is_some_and(|door| door.mac.as_deref() == Some(&text))
        });
        assert!(found, "{mode:?}: {:?}", netviz.found.cluster.door(id));
        // A program attached now is found by a scan of that interface.
        let _witness = match mode {
            AttachMode::Tcx => foreign(),
            AttachMode::Clsact => ForeignProgram::filter(
                namespace.netns(),
                &end.name,
                DIRECTION,
                Verdict::Next,
                (3, 1),
            )
            .unwrap(),
        };
        let scanned = netviz.until(notify_limit() * 6, |_, sample| {
            let chain = sample.doors[&id].egress_chain.as_ref();
            chain.is_some_and(|chain| chain.behind.len() == 2)
        });
        assert!(scanned.unwrap(), "{mode:?}");

        assert!(remove(&fixture, mode), "{mode:?}");
        let again = netviz.until(notify_limit() * 6, |_, sample| sample.doors[&id].epoch == 1);
        assert!(again.unwrap(), "{mode:?}");
        let gap = netviz.sample().doors[&id].gap;
        assert!(gap.is_some(), "{mode:?}: the gap is not reported");
        // The kernel announces a new address to the neighbours with packets of its own.
        assert_eq!(fixture.outcome(&theirs, all).received, SENT, "{mode:?}");
        let [_, egress] = netviz.counts(id.netns.known().unwrap(), id.ifindex);
        assert!(egress.packets >= 2 * SENT, "{mode:?}: {egress:?}");
    }
}

/// Filters outlive the process that made them: if Cilium is removed from a running node, netviz
/// detaches from all of its doors.
#[test]
fn former_node_is_detached() {
    let fixture = TrafficFixture::new();
    let (namespace, end) = fixture.place(DIRECTION);
    let mut netviz = fixture.observe(DIRECTION, AttachMode::Clsact);
    let there = || filters(&mut namespace.netlink().unwrap(), end.index, DIRECTION).unwrap();
    assert_eq!(there().len(), 1);
    netviz.forget_nodes();
    let clean = wait_until(notify_limit() * 5, || there().is_empty());
    assert!(clean, "{:?}", there());
}
