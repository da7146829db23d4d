//! netviz lacks something that it needs: it exits within a second, with one line that names the
//! reason and the remedy and an exit code other than 0, or it continues and reports what is
//! missing. No panic, no silent zero.

use std::{
    ffi::CStr,
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
use netviz::{
    attach::AttachOptions,
    lab::{Lab, Options},
    model::Counts,
};
use netviz_tests::{
    bpf::{frames, skip},
    cli::{
        fault_table::{Row, is_emulated, many},
        netviz::{command, command_for},
        observation::Observation,
        wait::{notify_limit, settle, wait_until},
    },
    netns::{TestNetns, join, pairs, send, stats},
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};
use serde_json::Value;

const SCENARIO: &str = "missing_features";
const ARRIVAL: Duration = Duration::from_secs(5);

fn report(fault: &str, note: &str) {
    Row {
        fault: fault.into(),
        note: note.into(),
        ..Row::default()
    }
    .check(SCENARIO);
}

fn once(namespace: &TestNetns) -> Command {
    command(&[
        "doors",
        "--netns",
        &namespace.name(),
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
    // SAFETY: only system calls.
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

/// Checks for one line, exit code 2 and no stdout. Returns the line.
fn refused(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("netviz: ") && output.stdout.is_empty(),
        "{stderr}"
    );
    stderr.trim().to_owned()
}

/// Parses a snapshot and checks that every door in it is counted.
fn counted(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
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
fn missing_capability_is_reported() {
    let namespace = pairs(1).unwrap();
    for (number, name) in [
        (39, "CAP_BPF"),
        (12, "CAP_NET_ADMIN"),
        (21, "CAP_SYS_ADMIN"),
        (19, "CAP_SYS_PTRACE"),
        (11, "CAP_NET_BROADCAST"),
    ] {
        let mut netviz = with(once(&namespace), move || without_capability(number));
        let start = Instant::now();
        let line = refused(&netviz.output().unwrap());
        let took = start.elapsed();
        assert!(
            line.contains(name) && line.contains("run sudo netviz"),
            "{line}"
        );
        assert!(took < notify_limit(), "{name}: took {took:?}");
        report(&format!("no {name}"), &line);
    }
}

/// Before Linux 5.11, maps and programs count as locked memory.
#[test]
fn locked_memory_limit_is_reported() {
    const CAP_SYS_RESOURCE: libc::c_ulong = 24;
    let namespace = pairs(3).unwrap();
    let limit = || Ok(setrlimit(Resource::RLIMIT_MEMLOCK, 64 << 10, 64 << 10)?);
    counted(&with(once(&namespace), limit).output().unwrap());
    report("RLIMIT_MEMLOCK 64 KiB", "raised; all doors counted");
    // As a user who may not raise the limit.
    let mut netviz = with(once(&namespace), move || {
        limit()?;
        without_capability(CAP_SYS_RESOURCE)
    });
    let start = Instant::now();
    let netviz = netviz.output().unwrap();
    let took = start.elapsed();
    let stderr = String::from_utf8_lossy(&netviz.stderr);
    let fault = "RLIMIT_MEMLOCK 64 KiB, no CAP_SYS_RESOURCE";
    if netviz.stdout.is_empty() {
        let line = refused(&netviz);
        assert!(line.contains("RLIMIT_MEMLOCK"), "{line}");
        assert!(took < notify_limit(), "took {took:?}");
        return report(fault, &line);
    }
    let snapshot: Value = serde_json::from_slice(&netviz.stdout).unwrap();
    let doors = snapshot["doors"].as_array().unwrap();
    let (counting, blind): (Vec<_>, Vec<_>) =
        doors.iter().partition(|door| door["state"] == "counting");
    let is_charged = skip::is_before((5, 11));
    assert_eq!(!blind.is_empty(), is_charged, "{blind:?} {stderr}");
    assert_eq!(netviz.status.success(), blind.is_empty(), "{stderr}");
    for door in &counting {
        assert!(door["ingress"]["packets"].is_u64(), "{door}");
    }
    for door in &blind {
        assert_eq!(door["state"], "blind", "{door}");
        let reason = door["reason"]["text"].as_str().unwrap_or_default();
        assert!(reason.contains("RLIMIT_MEMLOCK"), "{reason} {stderr}");
        assert!(door["ingress"]["packets"].is_null(), "{door}");
    }
    report(
        fault,
        &format!(
            "{} of {} doors blind, with the remedy",
            blind.len(),
            doors.len()
        ),
    );
}

fn path_exists(path: &CStr) -> bool {
    // SAFETY: a path that ends in 0.
    unsafe { libc::access(path.as_ptr(), libc::F_OK) == 0 }
}

fn is_bpffs(path: &CStr) -> bool {
    // SAFETY: plain numbers.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a path that ends in 0, and room for the result.
    let asked = unsafe { libc::statfs(path.as_ptr(), &raw mut about) };
    asked == 0 && about.f_type == libc::BPF_FS_MAGIC
}

/// netviz needs neither a file system for pins nor the kernel's BTF.
#[test]
fn bpffs_and_btf_are_optional() {
    let namespace = pairs(1).unwrap();
    let netviz = with(once(&namespace), || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        // There may be none, or several mounted over each other.
        while is_bpffs(c"/sys/fs/bpf") {
            umount2("/sys/fs/bpf", MntFlags::MNT_DETACH)?;
        }
        if path_exists(c"/sys/kernel/btf") {
            let empty = Some("tmpfs");
            let flags = MsFlags::empty();
            mount(Some("none"), "/sys/kernel/btf", empty, flags, none)?;
        }
        match path_exists(c"/sys/kernel/btf/vmlinux") {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok(()),
        }
    })
    .output();
    counted(&netviz.unwrap());
    report("no bpffs, no BTF", "all doors counted");
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Namespaces disappear during scans. Each of repeated runs returns a result, and no door has
/// counts of 0 because a scan missed it.
#[test]
fn namespace_deleted_during_a_scan_is_skipped() {
    let near = TestNetns::new().unwrap();
    let over = AtomicBool::new(false);
    let (answered, longest, rounds, went) = thread::scope(|scope| {
        let coming = scope.spawn(|| {
            let mut number = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let far = TestNetns::new().unwrap();
                // The last pair may still exist; it is deleted with its namespace.
                let _ = join(&near, &far, 1 + (number % 200) as u8);
                number += 1;
            }
            number
        });
        // End the other thread in any case.
        let _end = Ends(&over);
        let rounds = many(20);
        let scan = |_| {
            let start = Instant::now();
            let output = once(&near).output().unwrap();
            (output, start.elapsed())
        };
        let results: Vec<_> = (0..rounds).map(scan).collect();
        over.store(true, Ordering::Relaxed);
        let went = coming.join().unwrap();
        let (mut answered, mut longest) = (0, Duration::ZERO);
        for (output, took) in results {
            longest = longest.max(took);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("panicked"), "{stderr}");
            assert!(
                matches!(output.status.code(), Some(0 | 2)),
                "{}: {stderr}",
                output.status
            );
            let Ok(snapshot) = serde_json::from_slice::<Value>(&output.stdout) else {
                assert_eq!(stderr.lines().count(), 1, "{stderr}");
                continue;
            };
            answered += 1;
            for door in snapshot["doors"].as_array().unwrap() {
                let known = !door["ingress"]["packets"].is_null();
                let has_reason = door["reason"]["text"].is_string();
                assert!(known || has_reason, "neither counts nor a reason: {door}");
            }
        }
        (answered, longest, rounds, went)
    });
    assert!(went > rounds / 10, "only {went} namespaces were deleted");
    assert!(answered > 0, "none of {rounds} scans succeeded");
    assert!(longest < notify_limit() * 10, "a scan took {longest:?}");
    report(
        "namespaces deleted during a scan",
        &format!(
            "{rounds} scans, {went} deleted namespaces: {answered} succeeded, the slowest in {longest:.1?}"
        ),
    );
}

/// A device to which netviz does not attach as to a veth (Linux 6.7) is counted all the same.
#[test]
fn netkit_pair_is_counted() {
    const INDEX: u32 = 10;
    let namespace = TestNetns::new().unwrap();
    let mut message = LinkMessage::default();
    message.header.index = INDEX;
    message.attributes = vec![
        LinkAttribute::IfName("veth-netkit".into()),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Other("netkit".into()))]),
    ];
    let mut netlink = namespace.netlink().unwrap();
    let made = netlink.create(RouteNetlinkMessage::NewLink(message));
    if made.is_err_and(|error| error.raw_os_error() == Some(libc::EOPNOTSUPP)) {
        skip::because("this kernel has no netkit");
        return;
    }
    let mut links = || stats::links(&mut netlink).unwrap();
    let loopback = 1;
    let peer = links()
        .into_keys()
        .find(|it| ![loopback, INDEX].contains(it));
    let peer = peer.unwrap();
    for index in [INDEX, peer] {
        namespace.netlink().unwrap().set_up(index).unwrap();
    }
    let frame = frames::ipv4(100);
    let send = |number| {
        let frames = std::iter::repeat_n(&frame[..], number);
        send::frames(namespace.netns(), INDEX, frames).unwrap();
    };
    // Until the kernel has processed its carrier, all packets are dropped.
    let passes = wait_until(ARRIVAL, || {
        send(1);
        links()[&peer].rx_packets > 0
    });
    assert!(passes, "{:?}", links());
    let mut netviz = Observation::start(vec![namespace.name()], AttachOptions::default()).unwrap();
    let before = links();
    let sent = many(500);
    send(sent as usize);
    let received = settle(ARRIVAL, &sent, || {
        (links()[&peer] - before[&peer]).rx_packets
    });
    let [ingress, egress] = netviz.counts(namespace.netns().id(), INDEX);
    let link = links()[&INDEX] - before[&INDEX];
    Row::new("a netkit device", sent, received, egress.packets).check(SCENARIO);
    assert_eq!(
        (egress.packets, egress.bytes),
        (link.tx_packets, link.tx_bytes)
    );
    assert_eq!(egress.bytes, sent * frame.len() as u64);
    assert_eq!(ingress, Counts::default());
}

/// Modules and lockdown belong to the machine, so both are tested only in guests, after everything
/// else and in the order of their names.
fn skip_outside_guests() -> bool {
    !is_emulated() && skip::because("this changes the machine, so it runs only in guests")
}

#[test]
fn exclusive_lockdown_is_no_obstacle() {
    const KNOB: &str = "/sys/kernel/security/lockdown";
    if skip_outside_guests() {
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
    let lab = Lab::up(&Options::default()).unwrap();
    std::fs::write(KNOB, "confidentiality").unwrap();
    let namespace = pairs(1).unwrap();
    counted(&once(&namespace).output().unwrap());

    // Nobody has this address.
    let args = ["verify", &lab.pods()[0].name, "10.10.2.199", "-c", "2"];
    let output = command_for(&lab, &args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let refused = "reasons of drops: refused by kernel lockdown (confidentiality)";
    assert!(text.contains("LOST") && text.contains(refused), "{text}");
    report(
        "lockdown: confidentiality",
        "all doors counted; verify: reasons of drops refused",
    );
}

#[test]
fn exclusive_missing_clsact_modules_are_reported() {
    if skip_outside_guests() {
        return;
    }
    let namespace = pairs(1).unwrap();
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
    let output = once(&namespace).output().unwrap();
    let took = start.elapsed();
    if skip::has_tcx() {
        counted(&output);
        return report("no clsact module, tcx", "all doors counted");
    }
    let line = refused(&output);
    assert!(line.contains("neither tcx nor clsact"), "{line}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    report("no clsact module, no tcx", &line);
}
