//! The machine's RCU switch is restored, however netviz and its guard end.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    process::{Child, Command, Stdio},
};

use netviz_tests::{
    bpf::skip,
    cli::{
        binary::{self, Running},
        wait::{notify_limit, wait_until},
    },
    netns,
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

const SWITCH: &str = "/sys/kernel/rcu_expedited";

/// Returns the value of the switch while nobody holds its lock: other tests use it too.
fn at_rest() -> String {
    let switch = File::open(SWITCH).unwrap();
    switch.lock().unwrap();
    io::read_to_string(&switch).unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Asks the guard to set the switch. Returns the value that it will restore, or a letter if another
/// guard has set it.
fn ask(guard: &mut Running) -> u8 {
    let input = guard.0.stdin.as_mut().unwrap();
    input.write_all(b"1").unwrap();
    let before = answer(guard);
    // It is set.
    answer(guard);
    before
}

fn answer(guard: &mut Running) -> u8 {
    let mut byte = [0];
    let output = guard.0.stdout.as_mut().unwrap();
    output.read_exact(&mut byte).unwrap();
    byte[0]
}

/// Returns a guard that has set the switch, after any other guard has finished.
fn holding() -> Running {
    let mut guard = idle();
    let holds = wait_until(notify_limit() * 20, || ask(&mut guard).is_ascii_digit());
    assert!(holds, "another guard keeps the switch set");
    guard
}

fn idle() -> Running {
    let mut command = Command::new(binary::netviz().unwrap());
    command.arg(netviz::attach::GUARD_COMMAND);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.process_group(0);
    let mut guard = Running::start(&mut command).unwrap();
    answer(&mut guard);
    guard
}

fn end(mut guard: Running) {
    drop(guard.0.stdin.take());
    assert!(guard.0.wait().unwrap().success());
}

fn switch() -> String {
    fs::read_to_string(SWITCH).unwrap()
}

/// `systemctl stop` sends its signal to all processes of a service: the guard outlives it, and
/// restores the value.
#[test]
fn guard_survives_a_signal_to_the_process_group() {
    if skip::without_file(SWITCH) {
        return;
    }
    let before = at_rest();
    let mut guard = holding();
    let own = pid(&guard.0);
    let group = Pid::from_raw(-own.as_raw());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(own, signal).unwrap();
        kill(group, signal).unwrap();
        // It answers, so it runs.
        ask(&mut guard);
    }
    assert_eq!(switch().trim(), "1");
    end(guard);
    assert_eq!(at_rest(), before);
}

/// The second user must not take the value of the first for the original one, whichever ends first.
#[test]
fn two_users_restore_the_switch() {
    if skip::without_file(SWITCH) {
        return;
    }
    let before = at_rest();
    for first_goes_first in [true, false] {
        let (first, mut late) = (holding(), idle());
        let answer = ask(&mut late);
        assert!(!answer.is_ascii_digit(), "{answer}: both hold the lock");
        assert_eq!(switch().trim(), "1");
        let (one, other) = if first_goes_first {
            (first, late)
        } else {
            (late, first)
        };
        end(one);
        end(other);
        assert_eq!(at_rest(), before);
    }
}

/// Returns the guard of a running netviz.
fn guard_of(netviz: &Running) -> Option<Pid> {
    let own = netviz.0.id();
    let children = format!("/proc/{own}/task/{own}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let of_a_thread = |thread: fs::DirEntry| {
        fs::read_to_string(thread.path().join("children")).unwrap_or_default()
    };
    let threads = fs::read_dir(format!("/proc/{own}/task")).ok()?;
    let others: String = threads.flatten().map(of_a_thread).collect();
    let mut all = children.split(' ').chain(others.split(' '));
    all.find_map(|id| id.trim().parse().ok()).map(Pid::from_raw)
}

/// Returns true if this guard holds the lock of the switch: another netviz may have set the switch.
fn holds_the_switch(guard: Pid) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let inode = format!(":{}", fs::metadata(SWITCH).unwrap().ino());
    let guard = guard.to_string();
    locks.lines().any(|lock| {
        let words: Vec<_> = lock.split_whitespace().collect();
        words.contains(&"FLOCK")
            && words.contains(&guard.as_str())
            && words.iter().any(|word| word.ends_with(&inode))
    })
}

/// Returns true if the guard has an unread request.
fn is_asked(guard: Pid) -> bool {
    let input = File::open(format!("/proc/{guard}/fd/0")).unwrap();
    let mut inputs = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    poll(&mut inputs, PollTimeout::ZERO).unwrap() > 0
}

/// Steps the guard from one system call to the next until it holds the lock and has set the switch,
/// and kills it there; false if it does not get there. This works however little processor time
/// both get. In the meantime, `other` has set the switch until the guard gets its request.
fn kill_at_the_switch(guard: Pid, other: Option<Running>) -> bool {
    ptrace::seize(guard, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(guard).unwrap();
    if let Some(other) = other {
        wait_until(notify_limit() * 20, || is_asked(guard));
        end(other);
    }
    let on = || switch().trim() == "1" && holds_the_switch(guard);
    let there = wait_until(notify_limit() * 5, || {
        loop {
            match waitpid(guard, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)).unwrap() {
                WaitStatus::StillAlive => return false,
                _ if on() => return true,
                _ => ptrace::syscall(guard, None).unwrap(),
            }
        }
    });
    kill(guard, Signal::SIGKILL).unwrap();
    // Its parent is notified of its end only after this process.
    waitpid(guard, Some(WaitPidFlag::__WALL)).unwrap();
    there
}

/// Returns a netviz whose guard was killed while the switch was set, if the guard ever set it;
/// `another_has_it` chooses whether another one had set the switch before.
fn without_a_guard(command: &mut Command, another_has_it: bool) -> Option<Running> {
    let other = another_has_it.then(holding);
    let netviz = Running::start(command).unwrap();
    let mut guard = None;
    wait_until(notify_limit() * 10, || {
        guard = guard_of(&netviz);
        guard.is_some()
    });
    kill_at_the_switch(guard.expect("no guard"), other).then_some(netviz)
}

/// Restores the switch for the machine if the test fails.
struct Restored(String);

impl Drop for Restored {
    fn drop(&mut self) {
        let switch = File::open(SWITCH).unwrap();
        switch.lock().unwrap();
        fs::write(SWITCH, &self.0).unwrap();
    }
}

/// A guard that was killed while the switch was set does not restore it: netviz does, and
/// continues.
#[test]
fn switch_left_by_a_killed_guard_is_restored() {
    if skip::without_file(SWITCH) || skip::without_tcx() {
        return;
    }
    let before = at_rest();
    if before.trim() == "1" {
        skip::because("the switch is always set here");
        return;
    }
    let _restored = Restored(before.clone());
    let doors = netns::pairs(60).unwrap();
    let mut command = Command::new(binary::netviz().unwrap());
    command
        .args(["doors", "--netns", &doors.name(), "--fast-attach"])
        .args(["-o", "jsonl"])
        .stdout(Stdio::null());
    for another_has_it in [false, true] {
        let netviz = (0..20).find_map(|_| without_a_guard(&mut command, another_has_it));
        let mut netviz = netviz.expect("no guard ever held the switch");
        let put_back = wait_until(notify_limit() * 20, || at_rest() == before);
        assert!(put_back, "{SWITCH}: {}", at_rest());
        assert!(netviz.0.try_wait().unwrap().is_none());
        kill(pid(&netviz.0), Signal::SIGTERM).unwrap();
        assert!(netviz.0.wait().unwrap().success());
        assert_eq!(at_rest(), before);
    }
}
