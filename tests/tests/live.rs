//! The live screen, driven like a user does: the real binary on a terminal, with a lab.

use std::{
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    process::Command,
    time::{Duration, Instant},
};

use clap::Parser as _;
use netviz::{
    cli::Cli,
    lab::{Lab, Options, traffic},
    sys::netns::NetNs,
};
use netviz_tests::{
    bpf::attachments::Attachments,
    cli::{
        netviz::{binary, command, command_for, nodes},
        terminal::Terminal,
        wait::{notify_limit, wait_until},
    },
    netns::pairs,
};
use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use tokio::signal::unix::SignalKind;

const LIMIT: Duration = Duration::from_secs(60);
/// Time for the effect of a key: generous, for a busy machine.
const SOON: Duration = Duration::from_secs(10);
const NODE: &str = "mycluster-worker";

fn lab() -> Lab {
    Lab::up(&Options::default()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Starts the live screen and waits until every door is counted.
fn live(lab: &Lab, size: (u16, u16), variables: &[(&str, &str)]) -> Terminal {
    let mut netviz = command_for(lab, &[]);
    netviz.envs(variables.iter().copied());
    let terminal = Terminal::start(netviz, size.0, size.1);
    terminal.wait_for_screen("all doors", LIMIT, |screen| screen.contains("26 ok"));
    terminal
}

fn row_of(screen: &str, text: &str) -> Option<usize> {
    screen.lines().position(|line| line.contains(text))
}

/// Returns the selected line.
fn selected(screen: &str) -> &str {
    let mut lines = screen.lines();
    lines
        .find(|line| line.starts_with("> "))
        .unwrap_or_default()
}

fn leave(mut terminal: Terminal) {
    terminal.type_keys("q");
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    assert_eq!(terminal.complaints(), [""; 0]);
}

#[test]
fn keys_do_what_the_help_says() {
    let lab = lab();
    let mut terminal = live(&lab, (120, 40), &[]);
    let press = |terminal: &mut Terminal, keys: &str, what: &str, wanted: &dyn Fn(&str) -> bool| {
        terminal.type_keys(keys);
        terminal.wait_for_screen(what, SOON, wanted);
    };
    press(&mut terminal, "?", "help", &|it| {
        it.contains("any key closes this")
    });
    press(&mut terminal, "x", "no help", &|it| {
        !it.contains("any key closes this")
    });
    assert!(selected(&terminal.screen()).contains(NODE));
    // Arrows and letters have the same effect.
    press(&mut terminal, "\u{1b}[B", "a row down", &|it| {
        selected(it).contains("busybox")
    });
    press(&mut terminal, "j", "its door", &|it| {
        selected(it).contains("eth0")
    });
    press(&mut terminal, "k", "the pod", &|it| {
        selected(it).contains("busybox")
    });
    press(&mut terminal, "\u{1b}[C", "inside", &|it| {
        selected(it).contains("eth0")
    });
    // Output of ip -d link and bpftool, on the other side.
    for fact in [
        "kind       veth",
        "peer       lxc4a891387ff1a 9",
        "netviz (ours)",
        "mtu ",
        "link       up",
    ] {
        assert!(
            terminal.screen().contains(fact),
            "{fact}:\n{}",
            terminal.screen()
        );
    }
    press(&mut terminal, "j", "the node's end", &|it| {
        selected(it).contains("lxc4a891387ff1a")
            && it.contains("netviz (ours) → ")
            && it.contains("(Cilium's)")
    });
    press(&mut terminal, "h", "out", &|it| {
        selected(it).contains("busybox")
    });
    press(&mut terminal, "h", "further out", &|it| {
        selected(it).contains(NODE)
    });
    press(&mut terminal, "\u{1b}[D", "folded", &|it| {
        it.contains("▸ mycluster-worker ") && !it.contains("t6ggh")
    });
    press(&mut terminal, "l", "unfolded", &|it| it.contains("t6ggh"));
    press(&mut terminal, "G", "the last", &|it| {
        selected(it).contains("veth-worker2")
    });
    press(&mut terminal, "g", "the first", &|it| {
        selected(it).contains(NODE)
    });
    press(&mut terminal, "/gcxrm", "a filter", &|it| {
        it.contains("/gcxrm█") && !it.contains("t6ggh") && it.contains("lxce84a702bb02c")
    });
    press(&mut terminal, "\r", "kept", &|it| {
        it.contains("  /gcxrm") && !it.contains("/gcxrm█")
    });
    press(&mut terminal, "\u{1b}", "cleared", &|it| {
        it.contains("t6ggh")
    });
    press(&mut terminal, "s", "by state", &|it| {
        it.contains("by state")
    });
    press(&mut terminal, "p", "paused", &|it| it.contains("PAUSED"));
    press(&mut terminal, "p", "goes on", &|it| !it.contains("PAUSED"));
    press(&mut terminal, "\r", "no details", &|it| {
        !it.contains("┌ mycluster")
    });
    press(&mut terminal, "\r", "details", &|it| {
        it.contains("┌ mycluster")
    });
    // A click on the row of a pod, counted from 1.
    let row = row_of(&terminal.screen(), "netshoot-7d996d7884-fwt8z").expect("a row");
    let click = format!("\u{1b}[<0;8;{}M\u{1b}[<0;8;{}m", row + 1, row + 1);
    press(&mut terminal, &click, "selected by the mouse", &|it| {
        selected(it).contains("fwt8z")
    });
    press(&mut terminal, "\u{1b}[<65;8;8M", "the wheel", &|it| {
        !selected(it).contains("fwt8z")
    });
    leave(terminal);
    lab.down().unwrap();
}

#[test]
fn every_screen_size_is_filled_exactly() {
    let lab = lab();
    let terminal = live(&lab, (120, 40), &[]);
    for (columns, rows) in [(80, 24), (200, 60), (81, 25), (40, 10), (120, 40)] {
        terminal.resize(columns, rows);
        let keys = |screen: &str| {
            let lines: Vec<_> = screen.lines().collect();
            lines.len() == usize::from(rows)
                && lines.last().is_some_and(|it| it.starts_with("q quit"))
        };
        terminal.wait_for_screen(&format!("{columns}x{rows}"), SOON, keys);
        let first = terminal
            .screen()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(first.starts_with("netviz  26 interfaces"), "{first}");
    }
    leave(terminal);
    lab.down().unwrap();
}

#[test]
fn pods_appear_and_disappear_live() {
    let mut lab = lab();
    let terminal = live(&lab, (120, 60), &[]);
    lab.add_pod(NODE, "newcomer").unwrap();
    let took = terminal.wait_for_screen("a new pod", notify_limit() * 3, |screen| {
        let mut lines = screen.lines();
        lines.any(|line| line.contains("newcomer") && line.contains("  new"))
    });
    println!("shown after {took:?}");
    terminal.wait_for_screen("it is counted", LIMIT, |it| it.contains("28 ok"));
    lab.remove_pod("newcomer").unwrap();
    terminal.wait_for_screen("a pod that has gone", notify_limit() * 3, |screen| {
        let mut lines = screen.lines();
        lines.any(|line| line.contains("newcomer") && line.contains("  gone"))
            && screen.contains("26 ok  2 gone")
    });
    leave(terminal);
    lab.down().unwrap();
}

#[test]
fn terminal_is_restored_after_a_signal() {
    let lab = lab();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut terminal = live(&lab, (80, 24), &[]);
        assert!(
            !terminal.complaints().is_empty(),
            "the terminal was not in use"
        );
        kill(Pid::from_raw(terminal.child.id().cast_signed()), signal).unwrap();
        assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
        assert_eq!(terminal.complaints(), [""; 0], "{signal}");
        let written = terminal.written();
        // The terminal handles the mouse again.
        assert!(
            written.rfind("\u{1b}[?1000l") > written.rfind("\u{1b}[?1000h"),
            "{signal}"
        );
    }
    lab.down().unwrap();
}

/// Set in the process that panics.
const PANICS: &str = "NETVIZ_TEST_PANICS";
/// The signals on which another thread and the screen's own thread panic.
const PANICS_ON: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// Not a test: the live screen in a process that panics on a signal.
#[test]
#[ignore = "a process that panic_restores_the_terminal_and_is_printed starts"]
fn panicking() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    let panics = || panic!("on purpose");
    let netviz = async {
        let kinds = PANICS_ON.map(|it| SignalKind::from_raw(it as i32));
        let [mut other, mut own] = kinds.map(|kind| tokio::signal::unix::signal(kind).unwrap());
        let args = Cli::parse_from(["netviz"]).doors;
        let mut live = std::pin::pin!(netviz::app::live::run(&args));
        loop {
            tokio::select! {
                ended = &mut live => return ended.unwrap(),
                _ = other.recv() => assert!(std::thread::spawn(panics).join().is_err()),
                _ = own.recv() => panics(),
            }
        }
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(netviz);
}

/// Starts an attached live screen for `lab`, in a process that panics on [`PANICS_ON`].
fn live_that_panics(lab: &Lab) -> Terminal {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "panicking", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .env(PANICS, "")
        .env("NETVIZ_NETNS", nodes(lab))
        .env("RUST_BACKTRACE", "0")
        .env("TERM", "xterm-256color");
    let terminal = Terminal::start(command, 100, 30);
    terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("26 ok"));
    assert!(Attachments::of(lab).netviz() > 0, "not attached");
    terminal
}

#[test]
fn panic_restores_the_terminal_and_is_printed() {
    let lab = lab();
    let is_restored = |terminal: &Terminal| {
        assert_eq!(terminal.complaints(), [""; 0]);
        let written = terminal.written();
        assert!(written.rfind("\u{1b}[?1000l") > written.rfind("\u{1b}[?1000h"));
        let (_, after) = written.rsplit_once("\u{1b}[?1049l").expect("it was left");
        assert_eq!(after.matches("on purpose").count(), 1, "{written:?}");
    };
    let is_detached = |when: &str| {
        let detached = wait_until(notify_limit(), || Attachments::of(&lab).netviz() == 0);
        assert!(detached, "{when}: {:?}", Attachments::of(&lab));
    };
    let panic_on = |terminal: &Terminal, signal| {
        kill(Pid::from_raw(terminal.child.id().cast_signed()), signal).unwrap();
    };
    let [other, own] = PANICS_ON;
    // The screen continues without the other thread, with the message in its line.
    let mut terminal = live_that_panics(&lab);
    let lines = terminal.screen().lines().count();
    panic_on(&terminal, other);
    terminal.wait_for_screen("a message", SOON, |screen| {
        let message = row_of(screen, "on purpose");
        message == Some(lines - 2) && screen.lines().count() == lines && screen.contains("26 ok")
    });
    // Any key removes it.
    terminal.type_keys("?");
    terminal.wait_for_screen("help", SOON, |it| it.contains("any key closes this"));
    assert!(!terminal.screen().contains("on purpose"));
    terminal.type_keys("xq");
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    is_restored(&terminal);
    is_detached("after a panic of another thread");
    let mut terminal = live_that_panics(&lab);
    panic_on(&terminal, own);
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(101));
    is_restored(&terminal);
    is_detached("after a panic of the screen's thread");
    lab.down().unwrap();
}

#[test]
fn colours_can_be_disabled() {
    let mut lab = lab();
    for (variables, coloured) in [
        (&[("TERM", "xterm-256color")][..], true),
        (&[("NO_COLOR", "1")], false),
    ] {
        let terminal = live(&lab, (120, 60), variables);
        lab.add_pod(NODE, "newcomer").unwrap();
        terminal.wait_for_screen("a new pod", LIMIT, |it| it.contains("  new"));
        let written = terminal.written();
        assert!(!written.contains("\u{1b}[38;2;"), "more than 256 colours");
        // New doors are green, whatever background is set in the same sequence.
        let green = written.contains("\u{1b}[38;5;2m") || written.contains("\u{1b}[38;5;2;");
        assert_eq!(green, coloured, "{written:?}");
        lab.remove_pod("newcomer").unwrap();
        leave(terminal);
    }
    // A terminal without capabilities gets lines.
    let mut netviz = command_for(&lab, &[]);
    netviz.env("TERM", "dumb");
    let mut terminal = Terminal::start(netviz, 120, 40);
    terminal.wait_for_text("lxc4a891387ff1a", LIMIT);
    let written = terminal.written();
    assert!(!written.contains('\u{1b}'), "{written:?}");
    kill(
        Pid::from_raw(terminal.child.id().cast_signed()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    lab.down().unwrap();
}

/// What the lab of `netviz demo` logs goes to a file while the screen is shown.
#[test]
fn lab_does_not_write_over_the_screen() {
    let mut terminal = Terminal::start(command(&["demo"]), 120, 40);
    terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("26 ok"));
    let written = terminal.written();
    let (_, log) = written.split_once("the log of the lab is in ").unwrap();
    let log = log.split_whitespace().next().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
    // A packet to an address without a pod: the forwarding programs log it.
    let (node, nobody) = node_of_demo(terminal.child.id());
    let before = terminal.screen();
    assert_eq!(traffic::ping(&node, nobody.into(), 1).unwrap(), 0);
    drop(node);
    let logged = || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("no such pod")
    };
    assert!(wait_until(LIMIT, logged), "nothing in {log}");
    terminal.type_keys("?");
    terminal.wait_for_screen("help", SOON, |it| it.contains("any key closes this"));
    terminal.type_keys("x");
    terminal.wait_for_screen("the screen", SOON, |it| it.contains("26 interfaces"));
    assert_eq!(terminal.screen().lines().count(), before.lines().count());
    assert!(!terminal.written().contains("no such pod"));
    terminal.type_keys("q");
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    let written = terminal.written();
    let (_, after) = written.rsplit_once("\u{1b}[?1049l").expect("it was left");
    assert!(after.contains("no such pod"), "{after}");
    assert!(!std::path::Path::new(&log).exists());
}

/// A lab that fails leaves its log in a file; one that worked leaves no file.
#[test]
fn log_of_a_failed_lab_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let demo = |most: Option<u64>| {
        let mut demo = command(&["demo", "--quiet", "--", "true"]);
        demo.env("TMPDIR", directory.path())
            .env("NETVIZ_LOG", "debug");
        let limit = move || {
            let set = |most| setrlimit(Resource::RLIMIT_NOFILE, most, most);
            Ok(most.map_or(Ok(()), set)?)
        };
        // SAFETY: one system call.
        unsafe { demo.pre_exec(limit) };
        let mut terminal = Terminal::start(demo, 120, 40);
        let code = terminal.wait_for_exit(LIMIT).code();
        (code, terminal.written())
    };
    let files = || std::fs::read_dir(directory.path()).unwrap().count();
    let (code, written) = demo(None);
    assert_eq!((code, files()), (Some(0), 0), "{written}");
    // Too few files may be opened for ten network namespaces.
    let (code, written) = demo(Some(30));
    assert_eq!((code, files()), (Some(2), 1), "{written}");
    let (error, path) = written
        .rsplit_once("; the log of the lab is in ")
        .expect("its path");
    let error = error.lines().last().unwrap();
    assert!(
        error.starts_with("netviz: cannot create the lab: "),
        "{error}"
    );
    let log = std::fs::read_to_string(path.trim()).unwrap();
    assert!(log.ends_with(&format!("{error}\n")), "{log}");
}

/// Returns the network of a demo's first node, and a free address of its pods' range.
fn node_of_demo(demo: u32) -> (NetNs, Ipv4Addr) {
    let read = |path: &str| std::fs::read_to_string(format!("/proc/{demo}/{path}")).unwrap();
    let children = read(&format!("task/{demo}/children"));
    let variables = children.split_whitespace().find_map(|child| {
        let variables = std::fs::read_to_string(format!("/proc/{child}/environ")).ok()?;
        let mut variables = variables.split('\0');
        let nodes = variables.find_map(|it| it.strip_prefix("NETVIZ_NETNS="))?;
        nodes.split(',').next()?.parse().ok()
    });
    let node = NetNs::of_process(variables.expect("the nodes of the command")).unwrap();
    (node, Ipv4Addr::new(10, 10, 2, 9))
}

#[test]
fn verify_and_audit_run_in_a_pane() {
    let lab = lab();
    let mut terminal = live(&lab, (160, 50), &[]);
    terminal.type_keys("/t6ggh\rgjv");
    terminal.wait_for_screen("the sender", SOON, |it| it.contains("select the receiver"));
    terminal.type_keys("\u{1b}");
    terminal.wait_for_screen("still no receiver", SOON, |it| {
        !it.contains("select the receiver")
    });
    // Both pods are visible without the filter.
    terminal.type_keys("\u{1b}");
    terminal.wait_for_screen("all rows", SOON, |it| it.contains("fmhwc"));
    terminal.type_keys("v/fmhwc\rgjv");
    terminal.wait_for_screen("verified", LIMIT, |it| {
        it.contains("VERIFIED") && it.contains("exit code 0")
    });
    // The command, and the same on the clipboard, in base64.
    terminal.type_keys("y");
    terminal.wait_for_screen("copied", SOON, |it| {
        it.contains("copied: netviz verify --netns=")
    });
    assert!(
        terminal
            .written()
            .contains("\u{1b}]52;c;bmV0dml6IHZlcmlmeS")
    );
    terminal.type_keys("\u{1b}");
    terminal.wait_for_screen("closed", SOON, |it| !it.contains("VERIFIED"));
    terminal.type_keys("a");
    terminal.wait_for_screen("audited", LIMIT, |it| {
        it.contains("netviz audit --netns=") && it.contains("exit code ")
    });
    // A command that runs ends with the screen.
    terminal.type_keys("v\u{1b}gjjv");
    leave(terminal);
    let detached = wait_until(LIMIT, || Attachments::of(&lab).netviz() == 0);
    assert!(detached, "{:?}", Attachments::of(&lab));
    lab.down().unwrap();
}

#[test]
fn suspended_screen_continues() {
    let lab = lab();
    let netviz = binary();
    let script = "set -m; \"$0\"; echo stopped $?; read -r line; fg; echo ended $?";
    let mut shell = Command::new("bash");
    shell
        .args(["--norc", "-c", script])
        .arg(netviz)
        .env("NETVIZ_NETNS", nodes(&lab))
        .env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(shell, 100, 30);
    terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("26 ok"));
    terminal.type_keys("\u{1a}");
    // 128 and the number of SIGTSTP.
    terminal.wait_for_screen("the shell", SOON, |it| it.contains("stopped 148"));
    assert_eq!(terminal.complaints(), [""; 0]);
    terminal.type_keys("\n");
    terminal.wait_for_screen("the screen", SOON, |it| {
        it.contains("26 ok") && !it.contains("stopped")
    });
    terminal.type_keys("?");
    terminal.wait_for_screen("keys work", SOON, |it| it.contains("any key closes this"));
    terminal.type_keys("xq");
    terminal.wait_for_screen("the end", LIMIT, |it| it.contains("ended 0"));
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    assert_eq!(terminal.complaints(), [""; 0]);
    lab.down().unwrap();
}

/// Ctrl-L draws everything again, whatever another program wrote over it.
#[test]
fn repaint_draws_everything() {
    let lab = lab();
    let mut terminal = live(&lab, (80, 24), &[]);
    let before = terminal.length();
    terminal.type_keys("\u{c}");
    let rest = |terminal: &Terminal| terminal.written().split_off(before);
    let repainted = wait_until(SOON, || {
        let rest = rest(&terminal);
        rest.contains("\u{1b}[J") && rest.contains("q quit")
    });
    assert!(repainted, "{:?}", rest(&terminal));
    // So does a stop from outside, after which a shell has used the terminal.
    let before = terminal.length();
    let rest = |terminal: &Terminal| terminal.written().split_off(before);
    let process = Pid::from_raw(terminal.child.id().cast_signed());
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        kill(process, signal).unwrap();
    }
    let repainted = wait_until(SOON, || {
        let rest = rest(&terminal);
        rest.contains("\u{1b}[J") && rest.contains("q quit")
    });
    assert!(repainted, "{:?}", rest(&terminal));
    leave(terminal);
    lab.down().unwrap();
}

/// With 200 interfaces, detaching may take seconds: the terminal does not wait for it, and a message says
/// why netviz still runs.
#[test]
fn terminal_is_back_before_the_doors_are_detached() {
    let namespace = pairs(100).unwrap();
    let netviz = command(&["--netns", &namespace.name()]);
    let mut terminal = Terminal::start(netviz, 100, 30);
    terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("  200 ok"));
    terminal.type_keys("q");
    let back = terminal.wait_for_text("\u{1b}[?1049l", SOON);
    assert!(back < Duration::from_secs(1), "{back:?}");
    let quit = Instant::now();
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    let is_said = terminal
        .written()
        .contains("netviz: detaching 200 interfaces");
    assert!(is_said || quit.elapsed() < Duration::from_secs(2));
    assert_eq!(terminal.complaints(), [""; 0]);
}

#[test]
fn characters_follow_the_option_and_the_locale() {
    let lab = lab();
    for (args, locale, ascii) in [
        (&["--ascii"][..], "C.UTF-8", true),
        (&[], "C", true),
        (&["doors"], "de_DE.ISO-8859-1", true),
        (&[], "en_US.UTF-8", false),
    ] {
        let mut netviz = command_for(&lab, args);
        netviz.env("LC_ALL", locale);
        let terminal = Terminal::start(netviz, 120, 40);
        terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("26 ok"));
        let screen = terminal.screen();
        assert_eq!(screen.is_ascii(), ascii, "{args:?} {locale}: {screen}");
        leave(terminal);
    }
    lab.down().unwrap();
}
