//! Signals end netviz repeatedly, at both ends of a pair with traffic: each time nothing remains of
//! it, and no packet is lost.

use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use netviz::model::Direction;
use netviz_tests::{
    bpf::{
        descriptors::HeldObjects,
        filters::{self, Filter, Qdisc},
        foreign_program::{self, ForeignProgram, Verdict},
        skip,
    },
    cli::{
        binary::{self, Running},
        fault_table::{Row, many},
        wait::wait_until,
    },
    netns::{End, TestNetns, join, steady_traffic::SteadyTraffic},
};
use nix::{
    sys::signal::{SigHandler, Signal, kill, signal},
    unistd::Pid,
};

const SCENARIO: &str = "signals";
const ATTACH: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(60);
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Two namespaces, and a pair between them with foreign filters at each hook.
struct Place {
    namespaces: [TestNetns; 2],
    ends: [End; 2],
    _foreign: Vec<ForeignProgram>,
}

/// Filters and programs of one hook, and the qdiscs of its interface.
type Hook = (Vec<Filter>, Vec<(String, u32)>, Vec<Qdisc>);
/// All four hooks.
type HookState = Vec<Hook>;

impl Place {
    fn new() -> Self {
        let namespaces = [TestNetns::new().unwrap(), TestNetns::new().unwrap()];
        let ends = join(&namespaces[0], &namespaces[1], 1).unwrap();
        let foreign = namespaces.iter().zip(&ends).flat_map(|(namespace, end)| {
            DIRECTIONS.map(|hook| {
                ForeignProgram::clsact(namespace.netns(), &end.name, hook, Verdict::Ok).unwrap()
            })
        });
        let _foreign = foreign.collect();
        Self {
            namespaces,
            ends,
            _foreign,
        }
    }

    fn hooks(&self) -> HookState {
        let ends = self.namespaces.iter().zip(&self.ends);
        ends.flat_map(|(namespace, end)| {
            DIRECTIONS.map(|hook| {
                let mut netlink = namespace.netlink().unwrap();
                (
                    filters::filters(&mut netlink, end.index, hook).unwrap(),
                    foreign_program::tcx_chain(namespace.netns(), &end.name, hook).unwrap(),
                    filters::qdiscs(&mut netlink, end.index).unwrap(),
                )
            })
        })
        .collect()
    }

    fn start(&self, mode: &str) -> Running {
        let names = self.namespaces.each_ref().map(TestNetns::name);
        let mut command = Command::new(binary::netviz().unwrap());
        command
            .args(["doors", "--netns", &names.join(","), "--include", "veth*"])
            .args(["-o", "jsonl"])
            .env("NETVIZ_ATTACH", mode)
            .stdout(Stdio::null());
        let heeds = || {
            // SAFETY: no handler is set.
            unsafe { signal(Signal::SIGQUIT, SigHandler::SigDfl)? };
            Ok(())
        };
        // A shell makes background processes ignore SIGQUIT, including tests and their children.
        // SAFETY: one system call, which is safe between fork and exec.
        unsafe { command.pre_exec(heeds) };
        Running::start(&mut command).unwrap()
    }
}

/// Returns the number of netviz's filters and programs at all hooks.
fn own(hooks: &HookState) -> usize {
    let is_own = |name: &str| name.starts_with("netviz_");
    let at = |(filters, programs, _): &Hook| {
        filters.iter().filter(|it| is_own(&it.name)).count()
            + programs.iter().filter(|it| is_own(&it.0)).count()
    };
    hooks.iter().map(at).sum()
}

/// Returns the handles that distinguish netviz's filters from those of the previous one.
fn handles(hooks: &HookState) -> BTreeSet<u32> {
    let filters = hooks.iter().flat_map(|(filters, ..)| filters);
    filters
        .filter(|it| it.name.starts_with("netviz_"))
        .map(|it| it.handle)
        .collect()
}

/// Starts netviz, waits until it is attached at all four hooks, and ends it.
fn round(place: &Place, mode: &str, signal: Signal) {
    let left = handles(&place.hooks());
    let mut running = place.start(mode);
    let pid = running.0.id();
    let attached = wait_until(ATTACH, || {
        let now = place.hooks();
        own(&now) == 4 && handles(&now).is_disjoint(&left)
    });
    assert!(attached, "{left:?}: {:?}", place.hooks());
    let held = HeldObjects::by_child(pid);
    assert!(held.maps.len() >= 2, "{held:?}");
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    let ended = wait_until(END, || running.0.try_wait().unwrap().is_some());
    assert!(ended, "netviz does not exit on {signal}");
    if mode == "tcx" || signal == Signal::SIGTERM {
        held.assert_gone(signal.as_str());
    }
}

fn run_rounds(mode: &str, signal: Signal, rounds: u64) {
    let place = Place::new();
    let before = place.hooks();
    let flow = SteadyTraffic::start(&place.namespaces[0], &place.namespaces[1], &place.ends[1]);
    for number in 1..=rounds {
        round(&place, mode, signal);
        let now = place.hooks();
        // A filter outlives a killed process; the next one removes it.
        let left = if mode == "clsact" && signal != Signal::SIGTERM {
            4
        } else {
            0
        };
        assert_eq!(own(&now), left, "round {number}: {now:?}");
    }
    if mode == "clsact" {
        round(&place, mode, Signal::SIGTERM);
    }
    assert_eq!(place.hooks(), before);
    let (sent, received) = flow.stop();
    assert!(sent > rounds, "too few packets: {sent}");
    Row::during(format!("{mode}, {signal}"), (sent, received))
        .note(format!("{rounds} times, nothing left"))
        .check(SCENARIO);
}

#[test]
fn terminated_a_hundred_times() {
    if skip::without_tcx() {
        return;
    }
    run_rounds("tcx", Signal::SIGTERM, many(100));
}

#[test]
fn killed_a_hundred_times() {
    if skip::without_tcx() {
        return;
    }
    run_rounds("tcx", Signal::SIGKILL, many(100));
}

/// Like the end by an aborting panic, or by a user who wants a core dump.
#[test]
fn ended_in_other_ways() {
    if skip::without_tcx() {
        return;
    }
    for signal in [Signal::SIGABRT, Signal::SIGQUIT] {
        run_rounds("tcx", signal, 3);
    }
}

#[test]
fn terminated_in_clsact() {
    run_rounds("clsact", Signal::SIGTERM, many(100));
}

#[test]
fn killed_in_clsact() {
    run_rounds("clsact", Signal::SIGKILL, many(100));
}
