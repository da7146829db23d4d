//! `netviz verify --passive` on the lab, in each routing mode: it follows existing traffic and
//! sends nothing.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use aya::programs::LinkOrder;
use netviz::{
    lab::{Attach, Lab, Mode, Node, Options, Pod, TCP_PORT, UDP_PORT, traffic},
    model::Direction,
    sys::netns::NetNs,
};
use netviz_tests::{
    bpf::{
        attachments::Attachments,
        descriptors::HeldObjects,
        foreign_program::{ForeignProgram, Verdict},
        skip,
    },
    cli::{
        fault_table::{Row, is_emulated},
        netviz::{Running, command_for},
        verify::{VerifyOutput, parse},
        wait::{notify_limit, wait_until},
    },
    netns::send,
};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// Observation time when traffic is sparse.
const LONG: &str = "4s";

struct LabFixture {
    lab: Lab,
}

/// Stops the senders on drop, also when a check fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl LabFixture {
    fn up(mode: Mode, ipv6: bool) -> Self {
        let options = Options {
            mode,
            ipv6,
            attach: Attach::Auto,
            ..Options::default()
        };
        Self {
            lab: Lab::up(&options).unwrap(),
        }
    }

    /// Returns a pod, another pod of its node, and one of the other node.
    fn pods(&self) -> [&Pod; 3] {
        let pods = self.lab.pods();
        let a = &pods[0];
        let b = pods[1..].iter().find(|pod| pod.node == a.node).unwrap();
        let c = pods.iter().find(|pod| pod.node != a.node).unwrap();
        [a, b, c]
    }

    fn node(&self, pod: &Pod) -> &Node {
        let mut nodes = self.lab.nodes().iter();
        nodes.find(|node| node.name == pod.node).unwrap()
    }

    fn netns(&self, pod: &Pod) -> NetNs {
        self.lab.netns(pod).unwrap()
    }

    /// Runs verify while `send` is repeated.
    fn passive(&self, args: &[&str], send: impl Fn() + Sync) -> VerifyOutput {
        let window = if is_emulated() { LONG } else { "600ms" };
        self.passive_for(window, args, send)
    }

    fn passive_for(&self, window: &str, args: &[&str], send: impl Fn() + Sync) -> VerifyOutput {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    send();
                }
            });
            let all = [
                &[
                    "verify",
                    "--passive",
                    "--for",
                    window,
                    "--fast-attach",
                    "-o",
                    "json",
                ],
                args,
            ];
            let _over = Over(&over);
            let output = command_for(&self.lab, &all.concat()).output();
            parse(&output.expect("netviz starts"))
        })
    }
}

/// Sends one packet and waits for its reply; few enough that netviz does not sample.
fn ping(netns: &NetNs, to: IpAddr) {
    traffic::ping(netns, to, 1).unwrap();
    thread::sleep(Duration::from_millis(2));
}

fn expect(result: &VerifyOutput, verdict: &str, code: i32) {
    assert_eq!(
        (result.verdict(), result.code),
        (verdict, Some(code)),
        "{} {:#}",
        result.stderr,
        result.json
    );
}

fn number(result: &VerifyOutput, name: &str) -> u64 {
    result.json[name].as_u64().unwrap_or_default()
}

/// Checks that each door has as many packets as were sent.
fn check_complete(result: &VerifyOutput) {
    expect(result, "verified", 0);
    let (sent, delivered) = (number(result, "sent"), number(result, "delivered"));
    assert!(sent > 0 && sent == delivered, "{:#}", result.json);
    let returned = result.json["traffic"]["returned"].as_u64();
    assert_eq!(
        returned,
        result.json["replied"].as_u64(),
        "{:#}",
        result.json
    );
    for row in result.json["request"].as_array().unwrap() {
        let skipped = row["skipped_by"].is_string();
        assert!(skipped || row["seen"].as_u64() == Some(sent), "{row:#}");
    }
}

/// One test for each mode.
macro_rules! in_each_mode {
    ($check:ident) => {
        mod $check {
            use super::*;

            #[test]
            fn vxlan() {
                super::$check(Mode::Vxlan);
            }

            #[test]
            fn vxlan_host_routing() {
                super::$check(Mode::VxlanHostRouting);
            }

            #[test]
            fn native() {
                super::$check(Mode::Native);
            }

            #[test]
            fn native_host_routing() {
                super::$check(Mode::NativeHostRouting);
            }

            #[test]
            fn native_endpoint_routes() {
                super::$check(Mode::NativeEndpointRoutes);
            }
        }
    };
}

in_each_mode!(existing_traffic_is_followed);
in_each_mode!(dropped_packets_are_lost_at_their_door);

/// Resolves neighbours and does other slow first steps.
fn warm(netns: &NetNs, to: &Pod) {
    let answered = || traffic::ping(netns, to.address.into(), 1).unwrap() == 1;
    assert!(wait_until(Duration::from_secs(20), answered));
}

fn existing_traffic_is_followed(mode: Mode) {
    let fixture = LabFixture::up(mode, true);
    let [a, b, c] = fixture.pods();
    let [from, same, other] = [a, b, c].map(|pod| pod.address.to_string());
    let netns = fixture.netns(a);
    warm(&netns, b);
    warm(&netns, c);
    echoes(&fixture, &netns, [&from, &other], c);
    echoes(&fixture, &netns, [&from, &same], b);
    streams(&fixture, &netns, [&from, &other], c);
    check_ipv6(&fixture, &netns, a, c);
    // Independent of the mode: packets are identified by fields that no door changes, and no
    // traffic is no packet.
    if mode == Mode::VxlanHostRouting {
        check_reversed(&fixture, &netns, [&other, &from], c);
        datagrams(&fixture, &netns, [&from, &other], c);
        check_no_traffic(&fixture, &netns, [&from, &other], c);
    }
}

fn echoes(fixture: &LabFixture, netns: &NetNs, ends: [&str; 2], to: &Pod) {
    let result = fixture.passive(&ends, || {
        ping(netns, to.address.into());
    });
    check_complete(&result);
    assert!(result.json["probes"]["protocol"].is_null());
    assert_eq!(result.json["traffic"]["followed_one_in"], 1);
}

/// With A and B swapped, the directions are swapped.
fn check_reversed(fixture: &LabFixture, netns: &NetNs, ends: [&str; 2], to: &Pod) {
    let result = fixture.passive(&[ends[0], ends[1], "--proto", "icmp"], || {
        ping(netns, to.address.into());
    });
    check_complete(&result);
}

/// Identical datagrams, except for fields outside the hash: distinguished by their order.
fn datagrams(fixture: &LabFixture, netns: &NetNs, ends: [&str; 2], to: &Pod) {
    let port = UDP_PORT.to_string();
    let args = [ends[0], ends[1], "--proto", "udp", "--port", &port];
    let result = fixture.passive(&args, || {
        traffic::udp(netns, (to.address, UDP_PORT).into(), 1, 700).unwrap();
    });
    check_complete(&result);
}

/// In super-packets that are split and merged.
fn streams(fixture: &LabFixture, netns: &NetNs, ends: [&str; 2], to: &Pod) {
    let result = fixture.passive(&[ends[0], ends[1], "--proto", "tcp"], || {
        let to = SocketAddr::from((to.address, TCP_PORT));
        traffic::tcp(netns, to, 400_000).unwrap();
    });
    check_complete(&result);
    let all = result.json["traffic"]["request_packets"].as_u64();
    assert!(all > result.json["sent"].as_u64(), "{:#}", result.json);
}

fn check_ipv6(fixture: &LabFixture, netns: &NetNs, a: &Pod, c: &Pod) {
    let (from, to) = (a.address6.to_string(), c.address6.to_string());
    let result = fixture.passive(&[&from, &to], || {
        ping(netns, c.address6.into());
    });
    check_complete(&result);
}

fn check_no_traffic(fixture: &LabFixture, netns: &NetNs, ends: [&str; 2], to: &Pod) {
    let result = fixture.passive(&[ends[0], ends[1], "--port", "9"], || {
        traffic::udp(netns, (to.address, UDP_PORT).into(), 1, 700).unwrap();
    });
    expect(&result, "unclear", 2);
    let result = fixture.passive(&ends, || thread::sleep(Duration::from_millis(5)));
    expect(&result, "unclear", 2);
    let unclear = result.json["unclear"].as_array().unwrap();
    assert!(
        unclear.len() == 1 && unclear[0]["text"].as_str().unwrap().contains("--for"),
        "{unclear:?}"
    );
    assert_eq!(result.json["sent"], 0);
}

/// A foreign program drops packets to the other node; then only replies.
fn dropped_packets_are_lost_at_their_door(mode: Mode) {
    // With clsact, no filter runs after the lab's own.
    if skip::without_tcx() {
        return;
    }
    let fixture = LabFixture::up(mode, false);
    let [a, _, c] = fixture.pods();
    let ends = [a, c].map(|pod| pod.address.to_string());
    let ends = [ends[0].as_str(), &ends[1]];
    let netns = fixture.netns(a);
    warm(&netns, c);
    let far = fixture.lab.netns(fixture.node(c)).unwrap();
    let shot = |device: &str| {
        let first = LinkOrder::first();
        ForeignProgram::tcx(&far, device, Direction::Ingress, Verdict::Shot, first).unwrap()
    };
    let send = || {
        // Unanswered: without waiting.
        netns
            .run(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                let _ = socket.send_to(&[7; 99], (c.address, UDP_PORT));
            })
            .unwrap();
        thread::sleep(Duration::from_millis(5));
    };
    let foreign = shot("eth0");
    let result = fixture.passive(&ends, send);
    expect(&result, "lost", 1);
    assert_eq!(
        result.lost_after().as_deref(),
        Some("▼ eth0 of the request")
    );
    assert!(
        result.causes().contains("foreign_shot"),
        "{}",
        result.causes()
    );
    assert_eq!(number(&result, "delivered"), 0);
    drop(foreign);
    let _foreign = shot(&c.interface.name);
    let result = fixture.passive(&ends, send);
    expect(&result, "lost", 1);
    let last = format!("▼ {} of the reply", c.interface.name);
    assert_eq!(result.lost_after(), Some(last), "{:#}", result.json);
    assert_eq!(number(&result, "delivered"), number(&result, "sent"));
}

/// The traffic of others, as fast as one thread can send, does not affect the pair's packets.
#[test]
fn heavy_traffic_of_others_is_not_reported() {
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, b, c] = fixture.pods();
    let (netns, others) = (fixture.netns(a), fixture.netns(b));
    let _sink = send::Sink::open(&fixture.netns(c)).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                sent += send::datagrams(&others, c.address, 1_000, 60).unwrap();
            }
            sent
        });
        let ends = Over(&over);
        let (from, to) = (a.address.to_string(), c.address.to_string());
        let result = fixture.passive(&[&from, &to], || {
            ping(&netns, c.address.into());
        });
        drop(ends);
        check_complete(&result);
        assert_eq!(result.json["traffic"]["followed_one_in"], 1);
        let all = result.json["traffic"]["request_packets"].as_u64().unwrap();
        assert!(all < others.join().unwrap(), "{all}");
    });
}

/// netviz samples the pair's own traffic, with the same packets at each door, and counts all.
#[test]
fn heavy_traffic_of_the_pair_is_sampled() {
    if is_emulated() && skip::because("an emulated processor cannot send heavy traffic") {
        return;
    }
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, _, c] = fixture.pods();
    let netns = fixture.netns(a);
    let mut sink = send::Sink::open(&fixture.netns(c)).unwrap();
    let (from, to) = (a.address.to_string(), c.address.to_string());
    // However little processor time the sender gets.
    let result = fixture.passive_for(LONG, &[&from, &to], || {
        send::datagrams(&netns, c.address, 1_000, 60).unwrap();
    });
    let received = sink.received();
    let traffic = &result.json["traffic"];
    assert!(
        traffic["followed_one_in"].as_u64() > Some(1),
        "{:#}",
        result.json
    );
    let all = traffic["request_packets"].as_u64().unwrap();
    assert!(
        all > 4_000 && all > number(&result, "sent"),
        "{:#}",
        result.json
    );
    // A queue on the path may be too short; then netviz reports that.
    match result.verdict() {
        "verified" => check_complete(&result),
        "lost" => assert!(number(&result, "delivered") > 0, "{:#}", result.json),
        other => panic!("{other} {:#}, {received} received", result.json),
    }
    for row in result.json["request"].as_array().unwrap() {
        assert!(row["packets"].as_u64() > Some(1_000), "{row:#}");
    }
}

/// Names of a service: packets are recognised until their address is translated.
#[test]
fn translated_traffic_is_unclear() {
    if skip::without_tcx() {
        return;
    }
    let fixture = LabFixture::up(Mode::Vxlan, false);
    let [a, ..] = fixture.pods();
    let unassigned = Ipv4Addr::new(10, 96, 0, 99);
    let netns = fixture.netns(a);
    let far = fixture.lab.netns(fixture.node(a)).unwrap();
    let lxc = &a.interface.name;
    let first = LinkOrder::first();
    let _shot = ForeignProgram::tcx(&far, lxc, Direction::Ingress, Verdict::Shot, first).unwrap();
    let (from, to) = (a.address.to_string(), unassigned.to_string());
    let result = fixture.passive(&[&from, &to], || {
        netns
            .run(|| {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                let _ = socket.send_to(&[7; 99], (unassigned, 53));
            })
            .unwrap();
        thread::sleep(Duration::from_millis(5));
    });
    expect(&result, "unclear", 2);
    assert!(
        result.json["unclear"].to_string().contains("translated"),
        "{:#}",
        result.json
    );
}

/// Ctrl-C ends the observation without an error: netviz judges what it has.
#[test]
fn ctrl_c_ends_with_a_verdict() {
    let fixture = LabFixture::up(Mode::Native, false);
    let [a, _, c] = fixture.pods();
    let netns = fixture.netns(a);
    let (from, to) = (a.address.to_string(), c.address.to_string());
    let args = [
        "verify",
        &from,
        &to,
        "--passive",
        "--for",
        "1h",
        "--fast-attach",
        "-o",
        "json",
    ];
    let mut command = command_for(&fixture.lab, &args);
    command.env("NETVIZ_LOG", "info");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command);
    let stderr = running.child.stderr.take().unwrap();
    let over = AtomicBool::new(false);
    let mut stdout = Vec::new();
    let sent = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                ping(&netns, c.address.into());
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _over = Over(&over);
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("following from now on")));
        let before = sent.load(Ordering::Relaxed);
        assert!(wait_until(Duration::from_secs(60), || {
            sent.load(Ordering::Relaxed) > before + 200
        }));
        running.signal(Signal::SIGINT);
        let pipe = running.child.stdout.as_mut().unwrap();
        pipe.read_to_end(&mut stdout).unwrap();
    });
    let status = running.child.wait().unwrap();
    check_complete(&parse(&Output {
        status,
        stdout,
        stderr: Vec::new(),
    }));
}

/// However netviz ends, nothing of it remains and no packet is lost.
#[test]
fn every_ending_leaves_nothing_behind() {
    // With clsact, a filter outlives a killed process, and a pod's end that gets a clsact qdisc may
    // lose a packet: `clsact::filters_of_a_running_verify_are_kept`.
    if skip::without_tcx() {
        return;
    }
    let fixture = LabFixture::up(Mode::VxlanHostRouting, false);
    let [a, _, c] = fixture.pods();
    let netns = fixture.netns(a);
    warm(&netns, c);
    let before = Attachments::of(&fixture.lab);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let over = AtomicBool::new(false);
        let traffic = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let (mut sent, mut answered) = (0, 0);
                while !over.load(Ordering::Relaxed) {
                    sent += 10;
                    answered += u64::from(traffic::ping(&netns, c.address.into(), 10).unwrap());
                }
                (sent, answered)
            });
            let ends = Over(&over);
            ended_while_it_follows(&fixture, [a, c], signal);
            drop(ends);
            sender.join().unwrap()
        });
        wait_until(notify_limit(), || {
            Attachments::of(&fixture.lab).netviz() == 0
        });
        let after = Attachments::of(&fixture.lab);
        assert_eq!(after.netviz(), 0, "left behind after {signal}: {after:?}");
        assert_eq!(after.of_others(), before.clone().of_others());
        Row::during(format!("verify --passive, {signal}"), traffic)
            .note("nothing left")
            .check("endings");
    }
}

/// Starts to follow the packets of two pods, and ends netviz by `signal`: none of its programs,
/// maps and links remains.
fn ended_while_it_follows(fixture: &LabFixture, ends: [&Pod; 2], signal: Signal) {
    let [from, to] = ends.map(|pod| pod.address.to_string());
    let args = ["verify", "--passive", &from, &to, "--for", "1h"];
    let mut command = command_for(&fixture.lab, &args);
    command.env("NETVIZ_LOG", "info");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command);
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap());
    let mut lines = stderr.by_ref().lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("following from now on")));
    let held = HeldObjects::by_child(running.child.id());
    // At least both hooks of the doors of both pods.
    let all = held.programs.len() >= 8 && held.links.len() >= 8 && !held.maps.is_empty();
    assert!(all, "{held:?}");
    assert!(Attachments::of(&fixture.lab).netviz() >= 8);
    running.signal(signal);
    let ended = wait_until(LIMIT, || running.child.try_wait().unwrap().is_some());
    assert!(ended, "it does not exit on {signal}");
    held.assert_gone(signal.as_str());
}

#[test]
fn invalid_options_are_refused_in_one_line() {
    let fixture = LabFixture::up(Mode::Native, false);
    let [a, _, c] = fixture.pods();
    let (from, to) = (a.address.to_string(), c.address.to_string());
    for args in [
        &[&from, &to, "--watch"][..],
        &[&from, &to, "--count", "3"],
        &[&from, "fd00::1"],
    ] {
        let all = [&["verify", "--passive"], args].concat();
        let output = command_for(&fixture.lab, &all).output().unwrap();
        assert_ne!(output.status.code(), Some(0));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.starts_with("error:") || stderr.starts_with("netviz:"),
            "{stderr}"
        );
    }
}

/// A connection that existed before.
#[test]
fn established_connection_is_followed() {
    let fixture = LabFixture::up(Mode::NativeHostRouting, false);
    let [a, _, c] = fixture.pods();
    let netns = fixture.netns(a);
    let to = SocketAddr::from((c.address, TCP_PORT));
    let stream = netns.run(|| TcpStream::connect(to)).unwrap().unwrap();
    stream.set_nodelay(true).unwrap();
    let (from, to) = (a.address.to_string(), c.address.to_string());
    let result = fixture.passive(&[&from, &to], || {
        (&stream).write_all(b"still here").unwrap();
        thread::sleep(Duration::from_millis(3));
    });
    check_complete(&result);
}
