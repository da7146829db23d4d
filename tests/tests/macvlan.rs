//! Pods with macvlan interfaces of their node's uplink: what crosses their doors is counted exactly, and
//! the mode decides how they reach each other.

use std::{
    io::{BufRead as _, BufReader},
    net::Ipv4Addr,
    process::Stdio,
};

use netlink_packet_route::link::LinkAttribute;
use netviz::sys::netlink::Mac;
use netviz_tests::{
    cli::{
        netviz::{Running, command},
        verify::{VerifyOutput, parse},
    },
    netns::{
        TestNetns,
        links::{MacVlanMode, set_hairpin},
        plain_cluster::{Network, POD, PlainCluster, UPLINK, pod_address},
        send::{Sink, datagrams},
    },
};
use serde_json::Value;

const SENT: u64 = 500;

fn address(pod: usize) -> Ipv4Addr {
    pod_address(Network::Macvlan(MacVlanMode::Bridge), 0, pod)
}

fn cluster(mode: MacVlanMode) -> PlainCluster {
    PlainCluster::new(Network::Macvlan(mode)).unwrap()
}

fn verify(cluster: &PlainCluster, timeout: &str) -> VerifyOutput {
    let [from, to] = [0, 1].map(|pod| address(pod).to_string());
    let args = [
        "verify",
        "-o",
        "json",
        "--fast-attach",
        "-c",
        "4",
        "--timeout",
        timeout,
    ];
    let mut command = command(&[&args[..], &[&from, &to]].concat());
    parse(
        &command
            .env("NETVIZ_NETNS", cluster.names())
            .output()
            .unwrap(),
    )
}

/// Returns the packets at both hooks of an interface.
fn counted(snapshot: &Value, place: &TestNetns, index: u32) -> [u64; 2] {
    let mut doors = snapshot["doors"].as_array().unwrap().iter();
    let netns = place.netns().id().0;
    let door = doors.find(|door| door["netns"] == netns && door["ifindex"] == index);
    ["ingress", "egress"].map(|hook| door.unwrap()[hook]["packets"].as_u64().unwrap())
}

/// Returns the hardware address of a pod's macvlan.
fn mac(pod: &TestNetns) -> Mac {
    let links = pod.netlink().unwrap().links().unwrap();
    let own = links.into_iter().find(|link| link.header.index == POD);
    let mut attributes = own.unwrap().attributes.into_iter();
    let mac = attributes.find_map(|attribute| match attribute {
        LinkAttribute::Address(mac) => Mac::try_from(mac).ok(),
        _ => None,
    });
    mac.unwrap()
}

#[test]
fn what_is_sent_is_received_and_counted() {
    let cluster = cluster(MacVlanMode::Bridge);
    let [from, to] = &cluster.pods[0];
    // Without ARP, nothing else is sent.
    let mac = mac(to);
    let mut netlink = from.netlink().unwrap();
    netlink.add_neighbour(POD, address(1).into(), mac).unwrap();
    let mut netviz = command(&["doors", "--for", "3s", "-o", "json"]);
    netviz
        .env("NETVIZ_NETNS", cluster.names())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running::start(&mut netviz);
    let stderr = running.child.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    let begun = lines.any(|line| line.unwrap().contains("counting at "));
    assert!(begun, "it ended early");
    let mut sink = Sink::open(to.netns()).unwrap();
    assert_eq!(
        datagrams(from.netns(), address(1), SENT, 100).unwrap(),
        SENT
    );
    assert_eq!(sink.received(), SENT);
    let stdout = running.child.stdout.take().unwrap();
    let snapshot: Value = serde_json::from_reader(stdout).unwrap();
    assert_eq!(counted(&snapshot, from, POD), [0, SENT]);
    assert_eq!(counted(&snapshot, to, POD), [SENT, 0]);
    // The kernel hands it to the other one as if it came in at the device, and nothing goes out.
    assert_eq!(counted(&snapshot, &cluster.nodes[0], UPLINK), [SENT, 0]);
}

/// Frames to another macvlan go out, and come back if the switch is a hairpin.
#[test]
fn vepa_needs_a_switch_that_sends_frames_back() {
    let cluster = cluster(MacVlanMode::Vepa);
    expect_cause(
        &verify(&cluster, "300ms"),
        "vepa",
        "does not send them back (hairpin)",
    );
    set_hairpin(&mut cluster.wire.netlink().unwrap(), POD).unwrap();
    // The ARP request that was not answered before is repeated after a second.
    let result = verify(&cluster, "5s");
    assert_eq!(
        result.verdict(),
        "verified",
        "{} {:#}",
        result.stderr,
        result.json
    );
    let out = ["▲ eth0", "▲ eth0", "▼ veth-node0"];
    let back = ["▲ veth-node0", "▼ eth0", "▼ eth0"];
    assert_eq!(result.crossed("request"), [out, back].concat());
    assert_eq!(result.crossed("reply"), [out, back].concat());
}

/// They do not reach each other, whatever the switch does.
#[test]
fn private_macvlans_of_one_device_are_told_apart() {
    let cluster = cluster(MacVlanMode::Private);
    set_hairpin(&mut cluster.wire.netlink().unwrap(), POD).unwrap();
    expect_cause(
        &verify(&cluster, "300ms"),
        "private",
        "does not reach the others of eth0 on node ",
    );
}

#[track_caller]
fn expect_cause(result: &VerifyOutput, mode: &str, part: &str) {
    assert_eq!(result.code, Some(1), "{} {:#}", result.stderr, result.json);
    let causes = result.json["losses"][0]["causes"].as_array().unwrap();
    let [cause] = causes.as_slice() else {
        panic!("{causes:#?}");
    };
    assert_eq!(cause["code"], "macvlan_mode", "{cause:#}");
    assert_eq!(cause["mode"], mode);
    let text = cause["text"].as_str().unwrap();
    assert!(text.starts_with("eth0 in a pod of node "), "{text}");
    assert!(text.contains(part), "{text}");
    let next = cause["next"].as_str().unwrap();
    assert!(next.ends_with(" ip -d link show eth0"), "{next}");
}

#[test]
fn audit_does_not_call_them_pairs() {
    let cluster = cluster(MacVlanMode::Bridge);
    let mut audit = command(&["audit"]);
    let output = audit.env("NETVIZ_NETNS", cluster.names()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("2 macvlan interfaces of pods"), "{text}");
    assert!(!text.contains("veth pair"), "{text}");
}
