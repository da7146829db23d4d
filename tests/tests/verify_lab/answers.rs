//! Replies, refusals, and receivers that are not where their address is.

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use netviz::{
    lab::{Mode, Place, Pod, traffic},
    sys::netlink::NewRoute,
};
use netviz_tests::cli::verify::{VerifyOutput, run, verify};

use super::fixture::{LabFixture, arrived, expect};

/// No process listens there.
const CLOSED: &str = "9";
/// An address of the node's pods that no interface has: the lab's programs leave it to the stack.
fn free_address(pod: &Pod) -> String {
    let [x, y, z, _] = pod.address.octets();
    format!("{x}.{y}.{z}.251")
}

/// The kernel sends six refusals at once and then one a second: no packet is lost.
pub(super) fn closed_udp_port(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, b, _] = fixture.pods().map(|pod| pod.address.to_string());
    let closed = [&a, &b, "--proto", "udp", "--port", CLOSED, "--fast-attach"];
    let result = expect(run(&fixture.lab, &closed), "verified");
    let (delivered, replied) = arrived(&result);
    assert_eq!(delivered, Some(10), "{:#}", result.json);
    assert!((1..10).contains(&replied.unwrap()), "{:#}", result.json);
    let notes = result.json["notes"].to_string();
    let note = "refused 10 of 10: port unreachable";
    assert!(notes.contains(note), "{notes}");
    assert!(notes.contains("the kernel limits them"), "{notes}");
}

/// A's own service: packets leave A, are translated on the node, and come back.
pub(super) fn hairpin(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, b, _] = fixture.pods();
    let own = a.address.to_string();
    let (node, service) = (fixture.node(a), free_address(a));
    let iptables = |args: &[&str]| in_netns(&fixture, node, "iptables", args);
    let to_a = ["-d", &service, "-j", "DNAT", "--to-destination", &own];
    iptables(&[&["-t", "nat", "-A", "PREROUTING"], &to_a[..]].concat());
    let from_a = ["-s", &own, "-d", &own, "-j", "MASQUERADE"];
    iptables(&[&["-t", "nat", "-A", "POSTROUTING"], &from_a[..]].concat());
    for (sender, note) in [(a, "itself"), (b, "was delivered to")] {
        let result = verify(&fixture.lab, &[&sender.address.to_string(), &service]);
        let result = expect(result, "verified");
        assert_eq!(arrived(&result), (Some(4), Some(4)));
        assert!(!result.crossed("request").is_empty(), "{:#}", result.json);
        let notes = result.json["notes"].to_string();
        assert!(notes.contains(note), "{notes}");
    }
}

/// The address of a virtual machine, or an anycast address: on no interface but the loopback device.
pub(super) fn address_on_loopback(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, b, _] = fixture.pods();
    let virtual_address = free_address(b);
    in_netns(&fixture, b, "ip", &["link", "set", "lo", "up"]);
    let add = ["addr", "add", &virtual_address, "dev", "lo"];
    in_netns(&fixture, b, "ip", &add);
    let mut netlink = fixture.netlink(fixture.node(b));
    let (address, index) = (virtual_address.parse().unwrap(), b.interface.index);
    netlink.add_route(&NewRoute::host(address, index)).unwrap();
    netlink.add_neighbour(index, address, b.eth0.mac).unwrap();
    let from = a.address.to_string();
    check_receiver(&verify(&fixture.lab, &[&from, &virtual_address]), b);
    let passive = ["--passive", "--for", "2s", "--fast-attach"];
    let args = [&[from.as_str(), &virtual_address], &passive[..]].concat();
    let (netns, over) = (fixture.lab.netns(a).unwrap(), AtomicBool::new(false));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                traffic::ping(&netns, address, 10).unwrap();
            }
        });
        let result = run(&fixture.lab, &args);
        over.store(true, Ordering::Relaxed);
        result
    });
    check_receiver(&result, b);
}

fn check_receiver(result: &VerifyOutput, pod: &Pod) {
    assert_eq!(result.verdict(), "verified", "{:#}", result.json);
    let to = result.json["to"]["pod"].as_str().unwrap_or_default();
    assert!(to.ends_with(&pod.name), "{:#}", result.json["to"]);
}

fn in_netns(fixture: &LabFixture, place: &impl Place, program: &str, args: &[&str]) {
    let netns = fixture.lab.netns(place).unwrap();
    let output = netns.run(|| Command::new(program).args(args).output());
    let output = output.unwrap().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
}
