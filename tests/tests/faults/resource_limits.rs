//! netviz exhausts a resource: memory, descriptors, disk space; or it panics.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _},
    os::{
        fd::AsRawFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use netviz::{attach::AttachOptions, model::Direction};
use netviz_tests::{
    bpf::{descriptors::HeldObjects, foreign_program::tcx_chain, skip},
    cli::{
        binary::{self, Running},
        fault_table::{Row, is_emulated},
        observation::Observation,
        wait::wait_until,
    },
    netns::{End, TestNetns, add_pair, cgroup::Cgroup, join, steady_traffic::SteadyTraffic},
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};
use serde_json::Value;

const SCENARIO: &str = "resource_limits";
const LIMIT: Duration = Duration::from_secs(60);

fn netviz(namespace: &TestNetns, args: &[&str]) -> Command {
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &namespace.name(), "--include", "veth*"])
        .args(args);
    command
}

/// Waits until it ends. Returns what it held in the meantime.
fn wait_for_exit(running: &mut Running) -> HeldObjects {
    let (pid, mut held) = (running.0.id(), HeldObjects::default());
    let ended = wait_until(LIMIT, || {
        held.add(HeldObjects::by_child(pid));
        running.0.try_wait().unwrap().is_some()
    });
    assert!(ended, "it continues");
    held
}

/// Returns two namespaces, and a pair between them with traffic.
fn two_namespaces() -> ([TestNetns; 2], [End; 2], SteadyTraffic) {
    let namespaces = [TestNetns::new().unwrap(), TestNetns::new().unwrap()];
    // A number and an index that no other pair of these namespaces has.
    let ends = join(&namespaces[0], &namespaces[1], 250).unwrap();
    let flow = SteadyTraffic::start(&namespaces[0], &namespaces[1], &ends[1]);
    (namespaces, ends, flow)
}

fn written(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// A door needs three descriptors, and the limit is 64. The other doors are blind without counts,
/// and the reason names the limit to raise. Nothing remains of either, and no packet is lost.
#[test]
fn doors_beyond_the_descriptor_limit_are_blind() {
    // The number for which `--once` waits on an emulated processor.
    let all = if is_emulated() { 30 } else { 60 };
    let ([near, _far], _, flow) = two_namespaces();
    let mut netlink = near.netlink().unwrap();
    for pair in 0..all / 2 {
        add_pair(&mut netlink, 10 + 2 * pair).unwrap();
    }
    let mut command = netviz(&near, &["--once", "--watch", "50ms", "-o", "json"]);
    few_descriptors(&mut command, 64);
    // Files, which do not fill up like pipes.
    let mut output = [(); 2].map(|()| tempfile::tempfile().unwrap());
    let [stdout, stderr] = output.each_ref().map(|file| file.try_clone().unwrap());
    let mut running = Running::start(command.stdout(stdout).stderr(stderr)).unwrap();
    let held = wait_for_exit(&mut running);
    let status = running.0.wait().unwrap();
    let [stdout, output_text] = output.each_mut().map(written);
    let snapshot: Value = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{error}: {status} {output_text}"));
    assert!(!output_text.contains("panicked"), "{output_text}");
    // Both ends of the pair with the traffic are doors too, because netviz takes the other
    // namespace for a pod.
    let all = all as usize + 2;
    let (counting, blind) = counting_or_blind(&snapshot, all);
    assert!(held.links.len() + held.maps.len() > counting, "{held:?}");
    held.assert_gone("its end");
    Row::during(format!("64 descriptors, {all} doors"), flow.stop())
        .note(format!(
            "{counting} doors counted, {blind} blind with the remedy; nothing left"
        ))
        .check(SCENARIO);
}

/// With too few descriptors to start, netviz reports that, or continues without what it cannot
/// open; an interface that exists is not gone.
#[test]
fn descriptor_limit_at_the_start_is_reported() {
    let ([near, _far], ..) = two_namespaces();
    let limits = if is_emulated() {
        vec![6, 7, 8, 40, 256]
    } else {
        (6..64).collect()
    };
    let mut started = 0;
    for most in limits {
        let mut command = netviz(&near, &["--once", "--watch", "50ms", "-o", "json"]);
        few_descriptors(&mut command, most);
        let output = command.output().unwrap();
        let output_text = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(code @ (0 | 2)) if !output.stdout.is_empty() => {
                started += 1;
                let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
                let doors = snapshot["doors"].as_array().unwrap();
                let some = |state: &str| doors.iter().any(|door| door["state"] == state);
                assert!(!some("gone"), "{most}: {snapshot}");
                assert_eq!(some("blind"), code == 2, "{most}: {snapshot}");
            }
            Some(2) => assert!(
                output_text.contains("; raise the limit of open files"),
                "{most}: {output_text}"
            ),
            _ => panic!("{most}: {} {output_text}", output.status),
        }
    }
    assert!(started > 0, "it never started");
}

fn few_descriptors(command: &mut Command, most: u64) {
    let limit = move || Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?);
    // SAFETY: one system call.
    unsafe { command.pre_exec(limit) };
}

/// Doors leave enough descriptors for scans: later changes are found, and no existing door is
/// reported as gone, whatever number the last door leaves.
#[test]
fn descriptors_are_reserved_for_scans() {
    let limits = if is_emulated() { 64..66 } else { 60..68 };
    for most in limits {
        check_scans_continue(most);
    }
}

fn check_scans_continue(descriptors: u64) {
    let (namespace, far) = (TestNetns::new().unwrap(), TestNetns::new().unwrap());
    let mut netlink = namespace.netlink().unwrap();
    let all = if is_emulated() { 30 } else { 60 };
    for pair in 1..=all / 2 {
        join(&namespace, &far, pair).unwrap();
    }
    let mut command = netviz(&namespace, &["-o", "jsonl", "--watch", "100ms"]);
    few_descriptors(&mut command, descriptors);
    let mut running = Running::start(command.stdout(Stdio::piped())).unwrap();
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let states = lines.map_while(Result::ok).map(|line| {
        let snapshot: Value = serde_json::from_str(&line).unwrap();
        let doors = snapshot["doors"].as_array().unwrap().iter();
        let state = |door: &Value| {
            let index = door["ifindex"].as_u64().unwrap();
            (index, door["state"].as_str().unwrap().to_owned())
        };
        doors.map(state).collect::<BTreeMap<_, _>>()
    });
    let mut states = states.inspect(|doors| {
        let stay = doors.iter().filter(|(index, _)| **index < 1_000);
        let gone: Vec<_> = stay.filter(|(_, state)| *state == "gone").collect();
        assert!(gone.is_empty(), "{gone:?}");
    });
    let limit = if is_emulated() { 1_200 } else { 300 };
    let mut within = |what: &str, is_so: &dyn Fn(&BTreeMap<u64, String>) -> bool| {
        let mut last = BTreeMap::new();
        let so = states.by_ref().take(limit).any(|doors| {
            let so = is_so(&doors);
            last = doors;
            so
        });
        assert!(so, "{what}: {last:?}");
    };
    let settled = |state: &str| ["counting", "blind"].contains(&state);
    within("not one door too many", &|doors| {
        let all_settled =
            doors.len() >= usize::from(all / 2) && doors.values().all(|it| settled(it));
        all_settled && doors.values().any(|it| it == "blind")
    });
    for index in [1_000, 1_010, 1_020] {
        add_pair(&mut netlink, index).unwrap();
        let own = u64::from(index);
        within("one that came is not shown", &|doors| {
            doors.get(&own).is_some_and(|it| settled(it))
        });
        netlink.delete_link(index).unwrap();
        within("one that went is shown", &|doors| {
            doors.get(&own).is_none_or(|it| it == "gone")
        });
    }
    assert!(running.0.try_wait().unwrap().is_none());
}

/// Returns the number of counted doors, and of blind ones, which name the limit to raise and have
/// no counts.
fn counting_or_blind(snapshot: &Value, all: usize) -> (usize, usize) {
    let doors = snapshot["doors"].as_array().unwrap();
    assert_eq!(doors.len(), all);
    let (counting, others): (Vec<_>, Vec<_>) =
        doors.iter().partition(|door| door["state"] == "counting");
    for door in &others {
        assert_eq!(door["state"], "blind", "{door}");
        let reason = door["reason"]["text"].as_str().unwrap_or_default();
        assert!(reason.contains("raise the limit of open files"), "{reason}");
        assert!(door["ingress"]["packets"].is_null(), "{door}");
    }
    let (counting, blind) = (counting.len(), others.len());
    assert!(
        counting > 0 && blind > 0,
        "{counting} counting, {blind} blind"
    );
    (counting, blind)
}

/// netviz attaches more and more doors until the kernel kills it for its memory use.
#[test]
fn process_killed_for_memory_leaves_nothing() {
    if skip::without_tcx() {
        return;
    }
    let Some(group) = Cgroup::of_memory(1 << 20) else {
        skip::because("no cgroup here limits memory");
        return;
    };
    let ([near, _far], _, flow) = two_namespaces();
    let mut netlink = near.netlink().unwrap();
    let mut running =
        Running::start(netviz(&near, &["-o", "jsonl", "--watch", "100ms"]).stdout(Stdio::null()))
            .unwrap();
    let pid = running.0.id();
    let came = wait_until(LIMIT, || HeldObjects::by_child(pid).links.len() >= 4);
    assert!(came, "{:?}", HeldObjects::by_child(pid));
    // Existing memory is charged elsewhere, new memory here.
    group.take(pid).unwrap();
    let (mut held, mut index) = (HeldObjects::by_child(pid), 1_000);
    let ended = wait_until(LIMIT, || {
        add_pair(&mut netlink, index).unwrap();
        index += 2;
        held.add(HeldObjects::by_child(pid));
        running.0.try_wait().unwrap().is_some()
    });
    let added = index - 1_000;
    assert!(ended, "still running with {added} more doors in 1 MiB");
    let status = running.0.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    held.assert_gone("its end");
    Row::during("out of memory in a cgroup of 1 MiB", flow.stop())
        .note(format!("killed after {added} more doors, nothing left"))
        .check(SCENARIO);
}

/// Redirects stdout to a file in a file system of 256 KiB at `place` that is private to this
/// process.
fn onto_a_small_disk(place: &Path) -> io::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let size = Some("size=256k");
    mount(Some("none"), place, Some("tmpfs"), MsFlags::empty(), size)?;
    let file = File::create(place.join("full"))?;
    // SAFETY: both descriptors are this process's own.
    match unsafe { libc::dup2(file.as_raw_fd(), 1) } {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The disk fills up while netviz prints: one line, exit code 2, nothing remains.
#[test]
fn full_disk_is_reported() {
    if skip::without_tcx() {
        return;
    }
    let ([near, _far], _, flow) = two_namespaces();
    let mut command = netviz(&near, &["-o", "jsonl", "--watch", "100ms"]);
    command.stderr(Stdio::piped());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_owned();
    // SAFETY: system calls, and memory of a single-threaded process.
    unsafe { command.pre_exec(move || onto_a_small_disk(&path)) };
    let mut running = Running::start(&mut command).unwrap();
    let held = wait_for_exit(&mut running);
    // Before reading its stderr, which waits for all processes that have it open.
    held.assert_gone("its end");
    assert!(held.links.len() >= 4, "not attached: {held:?}");
    let mut output_text = String::new();
    let mut stderr = running.0.stderr.take().unwrap();
    stderr.read_to_string(&mut output_text).unwrap();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(2), "{output_text}");
    assert!(
        output_text.contains("No space left on device"),
        "{output_text}"
    );
    assert_eq!(output_text.lines().count(), 1, "{output_text}");
    Row::during("the disk is full", flow.stop())
        .note(format!("{}; nothing left", output_text.trim()))
        .check(SCENARIO);
}

/// Set in the process that panics: its network namespace.
const ROOM: &str = "NETVIZ_TEST_ROOM";

/// Not a test: [`panic_leaves_nothing`] starts it.
#[test]
#[ignore = "run by another test, in its own process"]
fn panicking() {
    let Some(namespace) = std::env::var_os(ROOM) else {
        skip::because(skip::BY_ANOTHER);
        return;
    };
    let names = vec![namespace.into_string().unwrap()];
    let _netviz = Observation::start(names, AttachOptions::default()).unwrap();
    let HeldObjects {
        programs,
        maps,
        links,
    } = HeldObjects::by(std::process::id());
    println!("\nprograms {programs:?}\nmaps {maps:?}\nlinks {links:?}");
    panic!("on purpose, while attached");
}

/// A panic unwinds and thereby detaches everything.
#[test]
fn panic_leaves_nothing() {
    if skip::without_tcx() {
        return;
    }
    let ([near, far], ends, flow) = two_namespaces();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "resource_limits::panicking",
            "--nocapture",
        ])
        .env(ROOM, near.name())
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{output_text}");
    let held = HeldObjects {
        programs: ids(&output_text, "programs"),
        maps: ids(&output_text, "maps"),
        links: ids(&output_text, "links"),
    };
    // At both hooks of both ends.
    assert_eq!(held.links.len(), 4, "{output_text}");
    assert!(
        held.programs.len() >= 4 && held.maps.len() >= 2,
        "{output_text}"
    );
    held.assert_gone("its end");
    for (namespace, end) in [near, far].iter().zip(&ends) {
        for hook in [Direction::Ingress, Direction::Egress] {
            let left = tcx_chain(namespace.netns(), &end.name, hook).unwrap();
            assert!(left.is_empty(), "{hook}: {left:?}");
        }
    }
    Row::during("a panic in user space", flow.stop())
        .note("nothing left")
        .check(SCENARIO);
}

/// Returns the IDs of one kind that [`panicking`] printed.
fn ids(output_text: &str, kind: &str) -> BTreeSet<u32> {
    let mut lines = output_text.lines();
    let ids = lines.find_map(|line| line.strip_prefix(kind)?.trim().strip_prefix('{'));
    let ids = ids.unwrap_or_default().trim_end_matches('}').split(", ");
    ids.filter_map(|id| id.parse().ok()).collect()
}
