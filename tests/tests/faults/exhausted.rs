//! netviz runs out of something: memory, descriptors, space on the disk, or its own wits.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::AsRawFd as _,
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use netviz::trace::AttachOptions;
use netviz_tests::{
    binary::{self, Running},
    descriptors::Held,
    fault::{Counted, Row, is_emulated},
    flow::Flow,
    observe::Observation,
    room::{Room, add_pair, join, pairs},
    skip,
    wait::wait_until,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::Value;

const SCENARIO: &str = "exhausted";
const LIMIT: Duration = Duration::from_secs(60);
const GONE: Duration = Duration::from_secs(1);

fn netviz(room: &Room, words: &[&str]) -> Command {
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &room.name(), "--include", "veth*"])
        .args(words);
    command
}

fn about(fault: &str, note: String) {
    let row = Row {
        fault: fault.into(),
        counted: Counted::Nothing,
        note,
        ..Row::default()
    };
    row.holds(SCENARIO);
}

/// Whatever it held is gone a second after it ended.
fn nothing_is_left(held: &Held) {
    wait_until(GONE, || held.alive() == Held::default());
    assert_eq!(held.alive(), Held::default());
}

/// Three descriptors a door and a limit of 64: the doors beyond are blind and say what to raise, none
/// of them shows a zero, and the others are counted.
#[test]
fn of_descriptors() {
    // As many as `--once` waits for where the processor is emulated.
    let all = if is_emulated() { 30 } else { 60 };
    let room = pairs(all / 2).unwrap();
    let mut command = netviz(&room, &["--once", "--watch", "50ms", "-o", "json"]);
    let limit = || {
        use nix::sys::resource::{Resource, setrlimit};
        Ok(setrlimit(Resource::RLIMIT_NOFILE, 64, 64)?)
    };
    // SAFETY: one system call.
    unsafe { command.pre_exec(limit) };
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let snapshot: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {said}", output.status));
    let doors = snapshot["doors"].as_array().unwrap();
    assert_eq!(doors.len(), all as usize);
    let (mut counting, mut blind) = (0, 0);
    for door in doors {
        match door["state"].as_str() {
            Some("counting") => counting += 1,
            _ => {
                blind += 1;
                assert_eq!(door["state"], "blind", "{door}");
                let reason = door["reason"].as_str().unwrap_or_default();
                assert!(reason.contains("raise the limit of open files"), "{reason}");
                assert!(door["ingress"]["packets"].is_null(), "{door}");
            }
        }
    }
    assert!(
        counting > 0 && blind > 0,
        "{counting} counting, {blind} blind"
    );
    assert!(!said.contains("panicked"), "{said}");
    about(
        &format!("64 descriptors, {all} doors"),
        format!("{counting} doors counted, {blind} blind with the remedy"),
    );
}

/// A cgroup of a test's own that may have so much memory.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None` where cgroups do not limit memory.
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("netviz-test-{}", std::process::id());
        // The first version has a hierarchy for memory, the second has one for everything.
        let first = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes");
        let group = if first.exists() {
            first.with_file_name(name)
        } else {
            fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").ok()?;
            Path::new("/sys/fs/cgroup").join(name)
        };
        fs::create_dir(&group).ok()?;
        let group = Self(group);
        let limits = ["memory.limit_in_bytes", "memory.max"];
        let limit = limits.map(|it| group.0.join(it));
        let limit = limit.iter().find(|path| path.exists())?;
        fs::write(limit, bytes.to_string()).ok()?;
        Some(group)
    }

    fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only when the last process is gone.
        wait_until(GONE, || fs::remove_dir(&self.0).is_ok());
    }
}

/// It takes more and more doors, and the kernel kills it in the middle of that.
#[test]
fn of_memory() {
    if skip::without_tcx() {
        return;
    }
    let Some(group) = Cgroup::new(1 << 20) else {
        skip::because("no cgroup here limits memory");
        return;
    };
    let [near, far] = [Room::new().unwrap(), Room::new().unwrap()];
    let ends = join(&near, &far, 1).unwrap();
    let mut netlink = near.netlink().unwrap();
    let mut running =
        Running::start(netviz(&near, &["-o", "jsonl", "--watch", "100ms"]).stdout(Stdio::null()))
            .unwrap();
    let pid = running.0.id();
    assert!(wait_until(LIMIT, || Held::by(pid).links.len() >= 4));
    let flow = Flow::start(&near, &far, &ends[1]);
    // What it has is charged elsewhere; what comes on top is not.
    group.take(pid).unwrap();
    let (mut held, mut index) = (Held::by(pid), 100);
    let ended = wait_until(LIMIT, || {
        add_pair(&mut netlink, index).unwrap();
        index += 2;
        held.add(Held::by(pid));
        running.0.try_wait().unwrap().is_some()
    });
    held.remove(&Held::by(std::process::id()));
    assert!(ended, "still there with {} doors in 1 MiB", index - 100);
    let status = running.0.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    nothing_is_left(&held);
    let (sent, received) = flow.stop();
    Row::new(
        "out of memory in a cgroup of 1 MiB",
        sent,
        received,
        Counted::Nothing,
    )
    .noting(format!("killed at {} doors, nothing left", index - 100))
    .holds(SCENARIO);
}

/// Standard output becomes a file in a file system of 256 KiB at `place` that this process alone sees.
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

/// What it prints finds no room any more, in the middle of the work: one line, exit code 1, nothing left.
#[test]
fn of_space_on_the_disk() {
    if skip::without_tcx() {
        return;
    }
    let room = pairs(1).unwrap();
    let mut command = netviz(&room, &["-o", "jsonl", "--watch", "100ms"]);
    command.stderr(Stdio::piped());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_owned();
    // SAFETY: system calls, and memory of a process that has one thread.
    unsafe { command.pre_exec(move || onto_a_small_disk(&path)) };
    let mut running = Running::start(&mut command).unwrap();
    let (pid, mut held) = (running.0.id(), Held::default());
    let ended = wait_until(LIMIT, || {
        held.add(Held::by(pid));
        running.0.try_wait().unwrap().is_some()
    });
    assert!(ended, "it goes on writing");
    let mut said = String::new();
    running
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    let status = running.0.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    held.remove(&Held::by(std::process::id()));
    assert!(held.links.len() >= 4, "it was not attached: {held:?}");
    nothing_is_left(&held);
    about("the disk is full", said.trim().to_owned());
}

/// Set in the process that is to panic: the room to stand in.
const ROOM: &str = "NETVIZ_TEST_ROOM";

/// Not a test: what [`a_panic`] starts.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn panicking() {
    let Some(room) = std::env::var_os(ROOM) else {
        skip::because(skip::BY_ANOTHER);
        return;
    };
    let names = vec![room.into_string().unwrap()];
    let _netviz = Observation::start(names, AttachOptions::default()).unwrap();
    println!("\n{:?}", Held::by(std::process::id()).links.len());
    panic!("on purpose, while attached");
}

/// A panic unwinds: everything is detached on the way.
#[test]
fn a_panic() {
    if skip::without_tcx() {
        return;
    }
    let [near, far] = [Room::new().unwrap(), Room::new().unwrap()];
    let ends = join(&near, &far, 1).unwrap();
    let flow = Flow::start(&near, &far, &ends[1]);
    let before = aya::programs::loaded_links().filter_map(Result::ok).count();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "exhausted::panicking",
            "--nocapture",
        ])
        .env(ROOM, near.name())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    assert!(said.lines().any(|line| line == "4"), "four links: {said}");
    let hooks = [
        netviz::model::Direction::Ingress,
        netviz::model::Direction::Egress,
    ];
    let left = || {
        let chains = hooks.map(|hook| {
            netviz_tests::foreign::tcx_chain(near.netns(), &ends[0].name, hook).unwrap()
        });
        chains.iter().map(Vec::len).sum::<usize>()
    };
    wait_until(GONE, || left() == 0);
    assert_eq!(left(), 0, "{before}");
    let (sent, received) = flow.stop();
    Row::new("a panic in user space", sent, received, Counted::Nothing)
        .noting("nothing left")
        .holds(SCENARIO);
}
