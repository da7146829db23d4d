//! What netviz needs from its environment: how it finds the namespace that was meant, and one line
//! with the file and the remedy if something is missing.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::Command,
};

use netviz::sys::netns::NetNs;
use netviz_tests::{
    cli::netviz::command,
    netns::{TestNetns, add_pair_to, hidden, pairs},
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use serde_json::Value;

const NONE: Option<&str> = None;

/// Runs `prepare` in the process of the command, in a mount namespace of its own.
fn with_mounts(
    mut command: Command,
    prepare: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> Command {
    let begin = move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        prepare()
    };
    // SAFETY: the test's other threads hold no lock that this needs but that of the allocator,
    // which is usable after a fork.
    unsafe { command.pre_exec(begin) };
    command
}

/// Mounts a namespace at a path, which is created.
fn mount_at(netns: &NetNs, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().expect("a directory"))?;
    fs::write(path, "")?;
    let source = format!("/proc/self/fd/{}", netns.as_fd().as_raw_fd());
    Ok(mount(
        Some(source.as_str()),
        path,
        NONE,
        MsFlags::MS_BIND,
        NONE,
    )?)
}

fn snapshot(mut command: Command) -> Value {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

/// Checks for exit code 2 and one line that contains all `parts`.
fn fails(mut command: Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
}

fn doors(netns: &str) -> Command {
    command(&[
        "doors", "--once", "--watch", "50ms", "-o", "json", "--netns", netns,
    ])
}

#[test]
fn name_in_run_netns_wins_over_a_process_id() {
    let (of_process, named) = (pairs(1).unwrap(), pairs(3).unwrap());
    let number = of_process.name();
    let count = |command| snapshot(command)["doors"].as_array().unwrap().len();
    assert_eq!(count(doors(&number)), 2);
    let file = Path::new("/run/netns").join(&number);
    let netviz = with_mounts(doors(&number), move || {
        mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), NONE)?;
        mount_at(named.netns(), &file)
    });
    assert_eq!(count(netviz), 6);
}

#[test]
fn namespace_that_is_mounted_elsewhere_is_found() {
    let node = TestNetns::new().unwrap();
    let far = hidden().unwrap();
    add_pair_to(&mut node.netlink().unwrap(), 11, &far).unwrap();
    let states = |command| {
        let snapshot = snapshot(command);
        let doors = snapshot["doors"].as_array().unwrap().iter();
        let states = doors.map(|door| door["state"].as_str().unwrap().to_owned());
        states.collect::<BTreeSet<_>>()
    };
    assert_eq!(
        states(doors(&node.name())),
        ["blind", "counting"].map(Into::into).into()
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a name with\\spaces");
    let netviz = with_mounts(doors(&node.name()), move || mount_at(&far, &file));
    assert_eq!(states(netviz), ["counting".to_owned()].into());
}

#[test]
fn missing_file_systems_are_reported() {
    let namespace = pairs(1).unwrap();
    let without = |args: &[&str], path: &'static str| {
        with_mounts(command(args), move || {
            Ok(umount2(path, MntFlags::MNT_DETACH)?)
        })
    };
    for args in [&["doors", "--once"][..], &["map"]] {
        let args = [args, &["--netns", "/run/netns/none"]].concat();
        let sys = [
            "cannot read /sys/devices/system/cpu/possible: No such file",
            "mount -t sysfs sysfs /sys",
        ];
        fails(without(&args, "/sys"), &sys);
    }
    let node = namespace.name();
    for args in [
        &["doors", "--once", "--netns", &node][..],
        &["map", "--netns", &node],
        &["audit", "--netns", &node],
        &["verify", "10.0.0.1", "10.0.0.2", "--netns", &node],
        &["demo"],
    ] {
        let proc = [
            "cannot read /proc/self/ns/net: No such file",
            "mount -t proc proc /proc",
        ];
        fails(without(args, "/proc"), &proc);
    }
}

/// All capabilities of a user namespace do not suffice for the machine's network.
#[test]
fn refused_setns_is_reported() {
    let namespace = pairs(1).unwrap();
    let of_process = format!("/proc/{}/ns/net", namespace.name());
    for (args, refused) in [
        (
            &["doors", "--once"][..],
            "cannot enter the network namespace /proc/self/ns/net: Operation not permitted",
        ),
        (
            &["audit", "--netns", &namespace.name()],
            &format!("cannot open {of_process}: Permission denied"),
        ),
    ] {
        let mut netviz = command(args);
        let begin = || {
            unshare(CloneFlags::CLONE_NEWUSER)?;
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/gid_map", "0 0 1")?;
            fs::write("/proc/self/uid_map", "0 0 1")
        };
        // SAFETY: as in `with_mounts`.
        unsafe { netviz.pre_exec(begin) };
        fails(netviz, &[refused, "run netviz as root of the machine"]);
    }
}
