//! Exit codes: 0 good, 1 a finding, 2 could not tell, in every command.

use std::{process::Command, time::Duration};

use aya::programs::LinkOrder;
use netviz::{
    lab::{Lab, Mode, Options, Pod},
    model::Direction,
};
use netviz_tests::{
    bpf::foreign_program::{ForeignProgram, Verdict},
    cli::{
        netviz::{command, command_for},
        terminal::Terminal,
    },
    netns::{TestNetns, add_pair_to, hidden},
};

const LIMIT: Duration = Duration::from_secs(60);
const USAGE: &str = "error: ";
const ERROR: &str = "netviz: ";

/// Checks the exit code, and that an exit with 2 explains itself on stderr and prints nothing else.
fn check(mut command: Command, code: i32) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    let explained = stderr.starts_with(USAGE) || stderr.starts_with(ERROR);
    let printed = !output.stdout.is_empty();
    assert!(code != 2 || explained || printed, "{command:?}: {stderr}");
}

#[test]
fn wrong_input_exits_with_2_in_every_command() {
    let usual = &["--netns", "no-such-node"][..];
    for (args, wrong) in [
        (&[][..], usual),
        (&["doors", "--once"], usual),
        (&["map"], usual),
        (&["audit"], usual),
        (&["audit", "--fail-on", "never"], usual),
        (&["verify", "10.0.0.1", "10.0.0.2"], usual),
        (&["verify", "10.0.0.1", "10.0.0.2", "--passive"], usual),
        (&["verify"], &["-f", "/no/such/file.yaml"]),
        (&["serve"], &["--token-file", "/no/such/file"]),
        (&["demo"], &["--", "/no/such/program"]),
        (&["schema"], &["nothing"]),
        (&["completions"], &["nothing"]),
        (&["man"], &["/proc/no-such-directory"]),
    ] {
        for more in [wrong, &["--frobnicate"]] {
            let args = [args, more].concat();
            check(command(&args), 2);
        }
    }
    check(command(&["doors", "--once", "--include", "[z-a"]), 2);
    check(command(&["verify"]), 2);
    let live = command(usual);
    assert_eq!(
        Terminal::start(live, 100, 30).wait_for_exit(LIMIT).code(),
        Some(2)
    );
}

/// Before a cluster is looked for: the file of tests need not exist.
#[test]
fn format_that_cannot_show_the_result_is_refused_before_anything_is_sent() {
    let netns = &["verify", "--netns", "no-such-node"][..];
    for (args, why) in [
        (
            &["--all-pairs", "-o", "svg"][..],
            "-o svg draws one pair: name A and B, or use text, json",
        ),
        (
            &["-f", "/no/such.yaml", "-o", "mermaid"],
            "-o mermaid draws one pair: name A and B",
        ),
        (
            &["a", "b", "--explain", "-o", "json"],
            "-o json has no explanations: drop --explain",
        ),
        (
            &["a", "b", "--watch", "-o", "junit"],
            "-o junit is one document: drop --watch, or use text",
        ),
    ] {
        let mut command = command(&[netns, args].concat());
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.starts_with(&format!("{ERROR}{why}")), "{stderr}");
        assert_eq!(
            (stderr.lines().count(), output.stdout.len()),
            (1, 0),
            "{stderr}"
        );
    }
}

#[test]
fn result_decides_between_0_1_and_2() {
    for args in [&["--version"][..], &["schema", "audit"]] {
        check(command(args), 0);
    }
    let lab = Lab::up(&Options::default()).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(lab.options().mode, Mode::Vxlan);
    let [a, b] = [0, 1].map(|place: usize| {
        let on_node = |pod: &&Pod| pod.node == lab.nodes()[place].name;
        lab.pods().iter().find(on_node).unwrap().address.to_string()
    });
    let quick = ["verify", &a, &b, "-c", "3", "--timeout", "500ms"];
    let verify = |args: &[&str]| command_for(&lab, &[&quick[..], args].concat());
    let audit = |args: &[&str]| command_for(&lab, &[&["audit"], args].concat());
    check(command_for(&lab, &["doors", "--once"]), 0);
    check(command_for(&lab, &["map"]), 0);
    check(audit(&["--fail-on", "info"]), 0);
    check(verify(&[]), 0);
    check(verify(&["--mode", "native-host-routing"]), 1);
    check(verify(&["--passive", "--for", "100ms"]), 2);

    let node = lab.netns(&lab.nodes()[0]).unwrap();
    let _foreign = ForeignProgram::tcx(
        &node,
        "cilium_host",
        Direction::Egress,
        Verdict::Next,
        LinkOrder::first(),
    );
    check(audit(&["--fail-on", "warning"]), 1);
    check(audit(&["--fail-on", "never"]), 0);
}

/// The far end of a pair is in a namespace that netviz cannot find.
#[test]
fn what_cannot_be_observed_exits_with_2_where_it_is_shown() {
    let node = TestNetns::new().unwrap();
    let far = hidden().unwrap();
    add_pair_to(&mut node.netlink().unwrap(), 11, &far).unwrap();
    let name = node.name();
    let of = |args: &str| {
        let words: Vec<_> = args.split(' ').chain(["--netns", &name]).collect();
        command(&words)
    };
    for (args, code) in [
        ("doors --once --watch 50ms", 2),
        ("doors --watch 50ms -o json", 2),
        ("doors --for 50ms -o csv", 2),
        ("map --for 50ms", 2),
        ("map --for 50ms -o svg", 2),
        // It is not shown, or the reader follows all changes.
        ("doors --once --watch 50ms --device veth11", 0),
        ("map --for 50ms --device veth11", 0),
        ("doors --for 50ms --watch 50ms -o jsonl", 0),
        ("audit", 2),
        ("audit --fail-on warning -o json", 2),
        ("audit -o sarif", 2),
        ("audit --fail-on never", 0),
        ("audit --device veth11", 0),
        // It is a finding as well, which counts for more.
        ("audit --fail-on info", 1),
    ] {
        check(of(args), code);
    }
}

#[test]
fn demo_exits_as_its_command() {
    for (script, code) in [("exit 0", 0), ("exit 1", 1), ("exit 7", 7)] {
        check(
            command(&["demo", "--quiet", "--", "sh", "-c", script]),
            code,
        );
    }
}

#[test]
fn help_lists_the_exit_codes() {
    for args in [
        &["--help"][..],
        &["verify", "-h"],
        &["audit", "-h"],
        &["doors", "-h"],
        &["map", "-h"],
        &["demo", "-h"],
    ] {
        let help = command(args).output().unwrap();
        assert_eq!(help.status.code(), Some(0));
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("\nExit code"), "{args:?}: {help}");
    }
}
