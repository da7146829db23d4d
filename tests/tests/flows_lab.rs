//! `netviz flows` in a lab: the real binary, on the kernel.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::Ipv4Addr,
    process::Stdio,
    time::Duration,
};

use netviz::{
    lab::{Lab, Options},
    sys::netns::NetNs,
    views::flows,
};
use netviz_tests::{
    cli::{
        netviz::{Running, command_for},
        schema::complaints,
        terminal::Terminal,
    },
    netns::send::{HEADERS, PORT, Sink, datagrams},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(15);

fn lab() -> Lab {
    Lab::up(&Options::default()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Runs `netviz flows` with these options for some seconds, and `traffic` while flows are counted.
fn flows_during(lab: &Lab, args: &[&str], traffic: impl FnOnce()) -> Value {
    let fixed = ["flows", "--for", "3s", "-o", "json"];
    let mut netviz = command_for(lab, &[&fixed[..], args].concat());
    netviz.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut netviz);
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("netviz: counting at "), "{line}");
    traffic();
    let mut out = String::new();
    running
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    let mut more = String::new();
    stderr.read_to_string(&mut more).unwrap();
    assert_eq!(
        (running.child.wait().unwrap().code(), more.as_str()),
        (Some(0), "")
    );
    serde_json::from_str(&out).unwrap()
}

/// Two pods on different nodes; one sends datagrams to the other, which answers none.
struct Talkers {
    from: Ipv4Addr,
    to: Ipv4Addr,
    netns: NetNs,
    _sink: Sink,
}

impl Talkers {
    fn of(lab: &Lab) -> Self {
        let [from, to] = [&lab.pods()[0], lab.pods().last().unwrap()];
        Self {
            from: from.address,
            to: to.address,
            netns: lab.netns(from).unwrap(),
            _sink: Sink::open(&lab.netns(to).unwrap()).unwrap(),
        }
    }

    /// Sends datagrams of 300 bytes.
    fn send(&self, packets: u64) {
        datagrams(&self.netns, self.to, packets, 300).unwrap();
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

const FIGURES: [&str; 3] = ["packets", "segments", "bytes"];

/// At each hook of each interface, flows and what is in none add up to the counters.
fn check_sums(report: &Value) {
    for door in list(&report["doors"]) {
        for direction in ["ingress", "egress"] {
            for figure in FIGURES {
                let own = list(&door["flows"]).iter();
                let own = own.filter(|flow| flow["direction"] == direction);
                let flows: u64 = own.map(|flow| number(&flow[figure])).sum();
                let rest = ["evicted", "unparsed", "unread"];
                let rest: u64 = rest
                    .iter()
                    .map(|it| number(&door[direction][it][figure]))
                    .sum();
                let total = number(&door[format!("{direction}_total")][figure]);
                assert_eq!(flows + rest, total, "{figure} of {direction}: {door:#}");
            }
        }
    }
}

#[test]
fn flows_of_every_interface_add_up_to_its_counters() {
    let lab = lab();
    let talkers = Talkers::of(&lab);
    let report = flows_during(&lab, &["--device", "*"], || {
        talkers.send(200);
    });
    assert_eq!(complaints(&flows::schema(), &report), [""; 0]);
    assert_eq!(list(&report["doors"]).len(), 26);
    assert_eq!(list(&report["uncounted"]).len(), 0);
    check_sums(&report);
    let is_sent = |flow: &&Value| {
        flow["destination"] == talkers.to.to_string()
            && flow["transport"]["ports"]["destination"] == PORT
    };
    // At the pods' own interfaces, both ends of the veth pairs, the tunnel and the uplinks.
    let flows = list(&report["doors"])
        .iter()
        .flat_map(|door| list(&door["flows"]));
    let sent: Vec<_> = flows.filter(is_sent).collect();
    assert!(sent.len() >= 7, "{} {report:#}", sent.len());
    for flow in sent {
        assert_eq!(number(&flow["packets"]), 200, "{flow:#}");
        assert_eq!(flow["source"], talkers.from.to_string());
        assert_eq!(flow["protocol"], 17);
        assert_eq!(flow["source_owner"]["kind"], "pod", "{flow:#}");
        assert_eq!(flow["destination_owner"]["kind"], "pod", "{flow:#}");
    }
}

#[test]
fn pairs_have_what_was_sent_once() {
    let lab = lab();
    let talkers = Talkers::of(&lab);
    let report = flows_during(&lab, &["--by", "pair", "proto:udp"], || {
        talkers.send(150);
    });
    assert_eq!(complaints(&flows::pairs_schema(), &report), [""; 0]);
    let sum = list(&report["pairs"])
        .iter()
        .flat_map(|pair| [&pair["a_to_b"], &pair["b_to_a"]]);
    let sum: Vec<_> = sum
        .filter(|counts| counts["bytes"] == 150 * (300 + HEADERS))
        .collect();
    assert_eq!(sum.len(), 1, "{report:#}");
    assert_eq!(number(&sum[0]["packets"]), 150);
    assert_eq!(sum[0]["counted_at"], "sender");
}

/// Only the interfaces that are asked for count flows.
#[test]
fn filter_and_selection_are_applied() {
    let lab = lab();
    let talkers = Talkers::of(&lab);
    let pod = talkers.from.to_string();
    let report = flows_during(&lab, &["--pod", &pod, &format!("port:{PORT}")], || {
        talkers.send(20);
    });
    let doors = list(&report["doors"]);
    assert_eq!(doors.len(), 1, "{report:#}");
    assert_eq!(doors[0]["interface"], "eth0");
    let flows = list(&doors[0]["flows"]);
    assert!(!flows.is_empty(), "{report:#}");
    for flow in flows {
        let ports = &flow["transport"]["ports"];
        assert!(
            ports["source"] == PORT || ports["destination"] == PORT,
            "{flow:#}"
        );
    }
}

#[test]
fn flows_are_refreshed_on_a_terminal() {
    let lab = lab();
    let talkers = Talkers::of(&lab);
    let netviz = command_for(&lab, &["flows", "--watch", "200ms"]);
    let mut terminal = Terminal::start(netviz, 160, 40);
    terminal.wait_for_screen("the page", LIMIT, |it| it.contains("flows by bytes"));
    terminal.wait_for_screen("counting", LIMIT, |it| !it.contains("attaching"));
    let port = format!(":{PORT}");
    // The programs are exchanged in a moment.
    terminal.wait_for_screen("the flow", SOON, |it| {
        talkers.send(10);
        it.contains(&port)
    });
    terminal.type_keys("/proto:udp\r");
    terminal.wait_for_screen("the filter", SOON, |it| it.contains("/proto:udp"));
    terminal.type_keys("b");
    terminal.wait_for_screen("pairs", SOON, |it| it.contains("pairs by bytes"));
    terminal.type_keys("q");
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    assert_eq!(terminal.complaints(), [""; 0]);
}

#[test]
fn flows_of_a_pod_in_the_live_screen() {
    let lab = lab();
    let talkers = Talkers::of(&lab);
    let mut terminal = Terminal::start(command_for(&lab, &["--watch", "200ms"]), 160, 50);
    terminal.wait_for_screen("all doors", LIMIT, |it| it.contains("26 ok"));
    terminal.type_keys(&format!("/{}\rgjf", talkers.from));
    terminal.wait_for_screen("the pane", SOON, |it| it.contains("counting flows"));
    let port = format!(":{PORT}");
    // The programs are exchanged in a moment.
    terminal.wait_for_screen("the interface", SOON, |it| {
        talkers.send(1);
        it.contains(&port)
    });
    terminal.type_keys("\u{1b}");
    terminal.wait_for_screen("the details", SOON, |it| !it.contains("counting flows"));
    terminal.type_keys("q");
    assert_eq!(terminal.wait_for_exit(LIMIT).code(), Some(0));
    assert_eq!(terminal.complaints(), [""; 0]);
}
