//! `--watch`: outages with their length, a pod that is created again, and what stays attached.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use netviz::{lab::Mode, views::verdict::watch::json::schema};
use netviz_tests::{
    bpf::{attachments::Attachments, descriptors::HeldObjects},
    builders::api_server::ApiServer,
    cli::{
        netviz::{Running, command, command_for},
        schema::complaints,
        terminal::Terminal,
        wait::{extended, notify_limit, wait_until},
    },
    netns::{
        net_faults::set_down,
        plain_cluster::{Network, PlainCluster, pod_address},
    },
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::fixture::LabFixture;

/// Four packets in each 200 ms: one every 50 ms.
const QUICK: [&str; 9] = [
    "--watch",
    "200ms",
    "--count",
    "4",
    "--interval",
    "50ms",
    "--timeout",
    "200ms",
    "--fast-attach",
];
/// The longest time between two packets: the rest of a round, its timeout, and as much again for a
/// busy machine.
const BOUND: Duration = Duration::from_millis(1_000);
const LIMIT: Duration = Duration::from_secs(30);

/// A running `netviz verify --watch -o jsonl` and its lines.
struct Watching {
    running: Running,
    lines: Receiver<Value>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        command.args(QUICK).args(["-o", "jsonl"]);
        let mut running = Running::start(command.stdout(Stdio::piped()));
        let stdout = running.child.stdout.take().unwrap();
        let (sender, lines) = channel();
        // Ends with the program.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("JSON");
                assert_eq!(complaints(&schema(), &line), [""; 0], "{line:#}");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { running, lines }
    }

    /// Waits for the next event of this kind.
    fn next(&self, event: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(extended(LIMIT));
            let line = line.unwrap_or_else(|error| panic!("no {event}: {error}"));
            if line["event"]["code"] == event {
                return line["event"].clone();
            }
        }
    }

    /// Waits for the next verdict with this word.
    fn verdict(&self, word: &str) -> Value {
        loop {
            let line = self.next("verdict");
            if line["verdict"]["verdict"] == word {
                return line;
            }
        }
    }

    /// Sends a signal; returns the last line and the exit code.
    fn end(mut self, signal: Signal) -> (Value, Option<i32>) {
        self.running.signal(signal);
        let summary = self.next("summary")["summary"].clone();
        (summary, self.running.child.wait().unwrap().code())
    }
}

fn at(value: &Value) -> Timestamp {
    value
        .as_str()
        .and_then(|it| it.parse().ok())
        .expect("a time")
}

/// Checks that an outage lasted from `begin` to `end`, but for the time between two packets.
fn assert_outage(outage: &Value, begin: (Instant, Timestamp), end: Instant) {
    let (seconds, real) = (outage["seconds"].as_f64().unwrap(), end - begin.0);
    let bound = extended(BOUND).as_secs_f64();
    let off = (seconds - real.as_secs_f64()).abs();
    assert!(off < bound, "{seconds} s, really {real:?}: {outage:#}");
    let off = at(&outage["begin"]).duration_since(begin.1);
    assert!(off.as_secs_f64().abs() < bound, "{off:?}: {outage:#}");
    assert!(at(&outage["end"]) > at(&outage["begin"]), "{outage:#}");
    assert!(outage["lost"].as_u64() <= outage["sent"].as_u64());
}

/// While the receiver's lxc is down, packets are lost. The same programs stay attached all the time,
/// and nothing is left behind.
#[test]
fn outage_is_reported_with_its_length() {
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let before = Attachments::of(&fixture.lab);
    let [a, _, c] = fixture.pods();
    let (from, to) = (a.address.to_string(), c.address.to_string());
    let watching = Watching::start(command_for(&fixture.lab, &["verify", &from, &to]));
    let pid = watching.running.child.id();
    watching.verdict("verified");
    let held = HeldObjects::by_child(pid);
    assert!(!held.programs.is_empty());
    let begin = (Instant::now(), Timestamp::now());
    let (node, lxc) = (fixture.node(c), &c.interface);
    set_down(&mut fixture.netlink(node), lxc.index).unwrap();
    let lost = watching.verdict("lost");
    assert!(lost.to_string().contains("\"link_down\""), "{lost:#}");
    fixture.netlink(node).set_up(lxc.index).unwrap();
    let end = Instant::now();
    let outage = &watching.next("outage")["outage"];
    assert_outage(outage, begin, end);
    let cause = outage["cause"].as_str().unwrap_or_default();
    assert!(cause.contains(&lxc.name), "{outage:#}");
    watching.verdict("verified");
    let still = HeldObjects::by_child(pid);
    assert_eq!(
        (&still.links, &still.programs),
        (&held.links, &held.programs)
    );
    let (summary, code) = watching.end(Signal::SIGINT);
    assert_eq!(code, Some(1));
    assert_eq!(
        (&summary["worst"], &summary["outages"]),
        (&json!("lost"), &json!(1))
    );
    assert!(summary["availability"].as_f64() < Some(1.0), "{summary:#}");
    assert_eq!(summary["latest_outages"][0]["lost"], outage["lost"]);
    held.assert_gone("SIGINT");
    assert_eq!(
        Attachments::of(&fixture.lab).of_others(),
        before.of_others()
    );
}

#[test]
fn nothing_is_left_after_sigkill() {
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, _, c] = fixture.pods();
    let (from, to) = (a.address.to_string(), c.address.to_string());
    let mut watching = Watching::start(command_for(&fixture.lab, &["verify", &from, &to]));
    watching.verdict("verified");
    let held = HeldObjects::by_child(watching.running.child.id());
    watching.running.signal(Signal::SIGKILL);
    watching.running.child.wait().unwrap();
    if !held.links.is_empty() {
        held.assert_gone("SIGKILL");
        let clean = wait_until(notify_limit(), || {
            Attachments::of(&fixture.lab).netviz() == 0
        });
        assert!(clean, "{:?}", Attachments::of(&fixture.lab));
    }
}

/// Returns a server that names the second pod of each node.
fn api() -> ApiServer {
    let server = ApiServer::start("verify-watch", 2100).unwrap();
    for node in 0..2 {
        let (name, own) = (format!("node-{node}"), format!("172.18.0.{}", 2 + node));
        let address = pod_address(Network::Routed, node, 1).to_string();
        let mut state = server.state();
        state.put(
            "nodes",
            json!({
                "metadata": {"name": name},
                "status": {"addresses": [{"type": "InternalIP", "address": own}]},
            }),
        );
        state.put(
            "pods",
            json!({
                "metadata": {"namespace": "shop", "name": format!("web-{node}"), "uid": name},
                "spec": {"nodeName": name},
                "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"},
            }),
        );
    }
    server
}

/// Both ends, one after the other, as when a StatefulSet restarts them.
#[test]
fn pod_that_is_created_again_is_the_same_pod() {
    let mut cluster = PlainCluster::new(Network::Routed).unwrap();
    let server = api();
    let config = server.kubeconfig("{token: very-secret}");
    let config = server.write("config", &config).unwrap();
    let mut verify = command(&["verify", "shop/web-0", "shop/web-1", "--kubeconfig"]);
    verify.arg(config).env("NETVIZ_NETNS", cluster.names());
    let watching = Watching::start(verify);
    let first = watching.verdict("verified");
    assert_eq!(first["verdict"]["from"]["pod"], "shop/web-0");
    for node in [0, 1] {
        let begin = (Instant::now(), Timestamp::now());
        cluster.remove_pod(node, 1).unwrap();
        let waiting = watching.next("waiting");
        let reason = waiting["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("web-{node}")), "{reason}");
        cluster.create_pod(Network::Routed, node, 1).unwrap();
        let end = Instant::now();
        let outage = &watching.next("outage")["outage"];
        assert_outage(outage, begin, end);
    }
    let (summary, code) = watching.end(Signal::SIGTERM);
    assert_eq!((code, &summary["outages"]), (Some(1), &json!(2)));
}

/// A line per change and a summary in a pipe; nothing on standard error.
#[test]
fn lines_and_summary_in_a_pipe() {
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, b, _] = fixture.pods();
    let (from, to) = (a.address.to_string(), b.address.to_string());
    let mut verify = command_for(&fixture.lab, &["verify", &from, &to, "--for", "1s"]);
    let output = verify.args(QUICK).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [head, first, rounds, outages, path] = lines[..] else {
        panic!("{text}");
    };
    assert!(
        head.contains("4 x ICMP echo, 84 bytes, every 0.2 s"),
        "{head}"
    );
    assert!(first.contains("  VERIFIED  delivered 4 of 4"), "{first}");
    assert!(rounds.contains(": 100 % of "), "{rounds}");
    assert_eq!((outages, path), ("no outage", "the path did not change"));
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

/// The screen shows the path and the outage, a key ends it, and the summary is behind it.
#[test]
fn screen_at_a_terminal() {
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, _, c] = fixture.pods();
    let (from, to) = (a.address.to_string(), c.address.to_string());
    let mut verify = command_for(&fixture.lab, &["verify", &from, &to]);
    verify.args(QUICK);
    let mut terminal = Terminal::start(verify, 100, 40);
    let wait = |terminal: &Terminal, part: &str| {
        terminal.wait_for_screen(part, LIMIT, |screen| screen.contains(part));
    };
    wait(&terminal, "VERIFIED");
    wait(&terminal, "▲ cilium_vxlan");
    let (node, lxc) = (fixture.node(c), c.interface.index);
    set_down(&mut fixture.netlink(node), lxc).unwrap();
    wait(&terminal, " outage");
    wait(&terminal, ", since ");
    fixture.netlink(node).set_up(lxc).unwrap();
    // On a loaded machine, a late packet may be an outage of its own.
    terminal.wait_for_screen("the end", LIMIT, |screen| {
        screen.contains(" outage") && !screen.contains(", since ")
    });
    terminal.resize(80, 6);
    terminal.type_keys("q");
    let status = terminal.wait_for_exit(LIMIT);
    assert_eq!(status.code(), Some(1));
    assert_eq!(terminal.complaints(), [""; 0]);
    let written = terminal.written();
    let (_, after) = written.rsplit_once("\u{1b}[?1049l").unwrap();
    assert!(after.contains(" outage"), "{after:?}");
}

/// At a terminal, one line of standard error shows what is done, and is gone at the end.
#[test]
fn progress_at_a_terminal_only() {
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, b, _] = fixture.pods();
    let (from, to) = (a.address.to_string(), b.address.to_string());
    let verify = || {
        let mut verify = command_for(&fixture.lab, &["verify", &from, &to]);
        verify.args(["--count", "8", "--interval", "60ms"]);
        verify
    };
    let mut terminal = Terminal::start(verify(), 100, 40);
    let status = terminal.wait_for_exit(LIMIT);
    assert!(status.success());
    let (written, screen) = (terminal.written(), terminal.screen());
    for part in ["attaching to ", " interfaces", "sent 4 of 8"] {
        assert!(written.contains(part), "{written:?}");
    }
    for part in ["attaching", "sent"] {
        assert!(!screen.contains(part), "{screen}");
    }
    assert!(!screen.starts_with([' ', '\n']), "{screen}");
    let piped = verify().output().unwrap();
    assert_eq!(String::from_utf8(piped.stderr).unwrap(), "");
}
