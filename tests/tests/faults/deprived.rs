//! Something that netviz needs is not there: one line with the reason and the remedy within a second,
//! and an exit code that is not 0; or it goes on and says what is missing. No panic, no silent zero.

use std::{
    io,
    os::unix::process::CommandExt as _,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage},
};
use netviz_tests::{
    cli::{netviz::command, wait::second},
    fault::{Row, is_emulated, many},
    room::{Room, join, pairs},
    skip,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};
use serde_json::Value;

const SCENARIO: &str = "deprived";

fn tell(fault: &str, note: &str) {
    Row {
        fault: fault.into(),
        note: note.into(),
        ..Row::default()
    }
    .holds(SCENARIO);
}

fn once(room: &Room) -> Command {
    command(&[
        "doors",
        "--netns",
        &room.name(),
        "--include",
        "*",
        "--once",
        "--watch",
        "50ms",
        "-o",
        "json",
    ])
}

/// Runs `before` in the process that becomes netviz.
fn with(
    mut command: Command,
    before: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) -> Command {
    // SAFETY: system calls alone.
    unsafe { command.pre_exec(before) };
    command
}

fn without_capability(number: libc::c_ulong) -> io::Result<()> {
    // SAFETY: a prctl without pointers.
    match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// One line, exit code 1, nothing on stdout; the line.
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("netviz: ") && output.stdout.is_empty(),
        "{said}"
    );
    said.trim().to_owned()
}

/// A snapshot, and every door in it counted.
fn counted(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
    for door in snapshot["doors"].as_array().unwrap() {
        assert!(
            door["interface"] == "lo" || door["state"] == "counting",
            "{door}"
        );
    }
    snapshot
}

#[test]
fn of_a_capability() {
    let room = pairs(1).unwrap();
    for (number, name) in [
        (39, "CAP_BPF"),
        (12, "CAP_NET_ADMIN"),
        (21, "CAP_SYS_ADMIN"),
        (19, "CAP_SYS_PTRACE"),
        (11, "CAP_NET_BROADCAST"),
    ] {
        let mut netviz = with(once(&room), move || without_capability(number));
        let start = Instant::now();
        let line = refused(&netviz.output().unwrap());
        let took = start.elapsed();
        assert!(
            line.contains(name) && line.contains("run it as root"),
            "{line}"
        );
        assert!(took < second(), "{name}: only after {took:?}");
        tell(&format!("no {name}"), &line);
    }
}

/// Before Linux 5.11 maps and programs count as locked memory.
#[test]
fn of_locked_memory() {
    const CAP_SYS_RESOURCE: libc::c_ulong = 24;
    let room = pairs(3).unwrap();
    let limit = || Ok(setrlimit(Resource::RLIMIT_MEMLOCK, 64 << 10, 64 << 10)?);
    counted(&with(once(&room), limit).output().unwrap());
    tell("RLIMIT_MEMLOCK 64 KiB", "raised; all doors counted");
    // One that may not raise it.
    let netviz = with(once(&room), move || {
        limit()?;
        without_capability(CAP_SYS_RESOURCE)
    })
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&netviz.stderr);
    let fault = "RLIMIT_MEMLOCK 64 KiB, no CAP_SYS_RESOURCE";
    if !netviz.status.success() {
        let line = refused(&netviz);
        assert!(line.contains("RLIMIT_MEMLOCK"), "{line}");
        return tell(fault, &line);
    }
    let snapshot: Value = serde_json::from_slice(&netviz.stdout).unwrap();
    let doors = snapshot["doors"].as_array().unwrap();
    let blind: Vec<_> = doors
        .iter()
        .filter(|door| door["state"] == "blind")
        .collect();
    for door in &blind {
        let reason = door["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("RLIMIT_MEMLOCK"), "{reason} {said}");
        assert!(door["ingress"]["packets"].is_null(), "{door}");
    }
    tell(
        fault,
        &format!(
            "{} of {} doors blind, with the remedy",
            blind.len(),
            doors.len()
        ),
    );
}

/// Neither a file system for pins nor the kernel's type information is needed.
#[test]
fn of_bpffs_and_btf() {
    let room = pairs(1).unwrap();
    let netviz = with(once(&room), || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        // There may be none in the first place.
        let _ = umount2("/sys/fs/bpf", MntFlags::MNT_DETACH);
        let _ = mount(
            Some("none"),
            "/sys/kernel/btf",
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        );
        Ok(())
    })
    .output();
    counted(&netviz.unwrap());
    tell("no bpffs, no BTF", "all doors counted");
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Namespaces go while they are looked through: whoever asks again and again gets an answer each
/// time, and no door in it is one that counts nothing for want of a look.
#[test]
fn of_a_namespace_that_was_just_listed() {
    let near = Room::new().unwrap();
    let over = AtomicBool::new(false);
    let (rounds, went) = thread::scope(|scope| {
        let coming = scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let far = Room::new().unwrap();
                // The last pair may still be there; it goes with its namespace.
                let _ = join(&near, &far, 1 + (number % 200) as u8);
                number += 1;
            }
            number
        });
        // Whatever happens here, the other thread ends.
        let _end = Ends(&over);
        let rounds = many(20);
        let results: Vec<_> = (0..rounds).map(|_| once(&near).output().unwrap()).collect();
        over.store(true, Ordering::Relaxed);
        let went = coming.join().unwrap();
        for output in results {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked"), "{said}");
            assert!(
                matches!(output.status.code(), Some(0 | 1)),
                "{}: {said}",
                output.status
            );
            let Ok(snapshot) = serde_json::from_slice::<Value>(&output.stdout) else {
                assert_eq!(said.lines().count(), 1, "{said}");
                continue;
            };
            for door in snapshot["doors"].as_array().unwrap() {
                let known = !door["ingress"]["packets"].is_null();
                let said = door["reason"].is_string();
                assert!(known || said, "a silent nothing: {door}");
            }
        }
        (rounds, went)
    });
    assert!(went > rounds / 10, "only {went} namespaces went");
    tell(
        "namespaces go between the list and the entry",
        &format!("{rounds} looks while {went} namespaces came and went"),
    );
}

/// A device that netviz does not attach to as it does to a veth (Linux 6.7): seen through, or said
/// why not.
#[test]
fn of_a_veth_pair_where_there_is_netkit() {
    let room = Room::new().unwrap();
    let mut message = LinkMessage::default();
    message.header.index = 10;
    message.attributes = vec![
        LinkAttribute::IfName("netkit0".into()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Other("netkit".into()))]),
    ];
    let made = room
        .netlink()
        .unwrap()
        .create(RouteNetlinkMessage::NewLink(message));
    if made.is_err_and(|error| error.raw_os_error() == Some(libc::EOPNOTSUPP)) {
        skip::because("this kernel has no netkit");
        return;
    }
    let output = once(&room).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
    let doors = snapshot["doors"].as_array().unwrap();
    let door = doors.iter().find(|door| door["ifindex"] == 10).unwrap();
    let seen = door["state"] == "counting" || door["reason"].is_string();
    assert!(seen, "{door}");
    tell(
        "a netkit device",
        &format!("{}: {}", door["state"], door["reason"]),
    );
}

/// Modules are the machine's, and so is its lockdown: both are tried in guests alone, after all else and
/// in the order of their names.
fn without_a_guest() -> bool {
    !is_emulated() && skip::because("this changes the machine: it is run in guests")
}

#[test]
fn alone_of_lockdown() {
    const KNOB: &str = "/sys/kernel/security/lockdown";
    if without_a_guest() {
        return;
    }
    let none = None::<&str>;
    let _ = mount(
        Some("none"),
        "/sys/kernel/security",
        Some("securityfs"),
        MsFlags::empty(),
        none,
    );
    if skip::without_file(KNOB) {
        return;
    }
    std::fs::write(KNOB, "confidentiality").unwrap();
    let room = pairs(1).unwrap();
    counted(&once(&room).output().unwrap());
    tell("lockdown: confidentiality", "all doors counted");
}

#[test]
fn alone_of_the_modules_of_clsact() {
    if without_a_guest() {
        return;
    }
    let room = pairs(1).unwrap();
    for module in [c"cls_bpf", c"sch_ingress"] {
        // SAFETY: a name that ends in 0.
        let gone = unsafe { libc::syscall(libc::SYS_delete_module, module.as_ptr(), 0) };
        let error = io::Error::last_os_error();
        assert!(
            gone == 0 || error.raw_os_error() == Some(libc::ENOENT),
            "{module:?}: {error}"
        );
    }
    let start = Instant::now();
    let output = once(&room).output().unwrap();
    let took = start.elapsed();
    if skip::has_tcx() {
        counted(&output);
        return tell("no clsact module, tcx", "all doors counted");
    }
    let line = refused(&output);
    assert!(line.contains("neither tcx nor clsact"), "{line}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    tell("no clsact module, no tcx", &line);
}
