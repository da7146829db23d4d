//! The kernel's reasons for dropped packets: each test causes one of them.

use std::{collections::BTreeSet, net::UdpSocket, time::Duration};

use aya::programs::LinkOrder;
use netviz::{
    lab::{Attach, Lab, Mode, Node, Options, Pod},
    model::Direction,
    sys::{
        btf::{Btf, VMLINUX},
        netlink::{Netlink, NewRoute},
        symbols::Symbols,
    },
    verify::collect::kernel_drops::Drops,
};
use netviz_ebpf::crossing::{MAGIC, Marker};
use netviz_tests::{
    bpf::{
        foreign_program::{ForeignProgram, Verdict},
        frames::packets,
        skip,
    },
    cli::{
        fault_table::many,
        verify::{VerifyOutput, run, verify},
        wait::wait_until,
    },
    netns::{TestNetns, add_pair_to, send},
};
use serde_json::Value;

fn up(mode: Mode) -> Lab {
    let options = Options {
        mode,
        attach: Attach::Auto,
        ..Options::default()
    };
    Lab::up(&options).unwrap()
}

/// Returns a pod, and a pod of the other node with its node.
fn ends(lab: &Lab) -> (&Pod, &Pod, &Node) {
    let a = &lab.pods()[0];
    let c = lab.pods().iter().find(|pod| pod.node != a.node).unwrap();
    let far = lab.nodes().iter().find(|node| node.name == c.node).unwrap();
    (a, c, far)
}

fn across(lab: &Lab) -> VerifyOutput {
    let (a, c, _) = ends(lab);
    verify(lab, &[&a.address.to_string(), &c.address.to_string()])
}

/// Skips if the kernel has no drop reasons. With BTF it must have them: any other error lets a test
/// run and fail.
fn skip_without_reasons() -> bool {
    if skip::without_file(VMLINUX) {
        return true;
    }
    let has_words = !Btf::of_kernel()
        .unwrap()
        .names("skb_drop_reason")
        .is_empty();
    !has_words && skip::because("this kernel gives no drop reasons")
}

#[test]
fn drops_are_received_where_the_kernel_describes_them() {
    if skip_without_reasons() {
        return;
    }
    let drops = Drops::start(&[0; 16]).unwrap();
    // Its number is 1 on Linux 6.1, and 2 since SKB_CONSUMED precedes it.
    let unspecified = [1, 2].map(|number| drops.word(number));
    let unspecified = unspecified.iter().flatten();
    assert_eq!(
        unspecified.filter(|word| word.contains("NOT_SPEC")).count(),
        1
    );
}

/// Twice as many as fit into the ring buffer.
const MANY: u32 = 3_000;

/// Sends marked datagrams to a closed port.
fn send_to_closed_port(namespace: &TestNetns, cookie: [u8; 16], mut sent: impl FnMut(u32) + Send) {
    namespace.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for sequence in 0..MANY {
            let marker = Marker {
                magic: MAGIC,
                cookie,
                flow: [0; 4],
                sequence: sequence.to_be_bytes(),
            };
            socket.send_to(&marker.bytes(), "127.0.0.1:9").unwrap();
            sent(sequence);
        }
    });
}

/// Drops that do not fit into the ring buffer are counted, and later ones fit after it has been
/// read.
#[test]
fn lost_drop_events_are_counted() {
    if skip_without_reasons() {
        return;
    }
    let namespace = TestNetns::new().unwrap();
    namespace.netlink().unwrap().set_up(1).unwrap();
    let cookie = [7; 16];
    let mut drops = Drops::start(&cookie).unwrap();
    let mut received = Vec::new();
    send_to_closed_port(&namespace, cookie, |sequence| {
        if sequence % 500 == 499 {
            received.extend(drops.take());
        }
    });
    assert_eq!((received.len() as u32, drops.lost()), (MANY, 0));
    send_to_closed_port(&namespace, cookie, |_| {});
    let (received, lost) = (drops.take().len() as u64, drops.lost());
    assert!(lost > 0, "{received} received");
    assert_eq!(received + lost, u64::from(MANY));
}

/// Ethernet pads short frames, and devices append trailers: the marker is at the end of the packet, by its
/// IP header.
#[test]
fn dropped_packets_are_found_in_longer_frames() {
    if skip_without_reasons() || skip::without_tcx() {
        return;
    }
    let [near, far] = [TestNetns::new().unwrap(), TestNetns::new().unwrap()];
    let mut netlink = near.netlink().unwrap();
    add_pair_to(&mut netlink, 10, far.netns()).unwrap();
    netlink.set_up(10).unwrap();
    far.netlink().unwrap().set_up(11).unwrap();
    let (direction, first) = (Direction::Ingress, LinkOrder::first());
    let _foreign =
        ForeignProgram::tcx(far.netns(), "veth11", direction, Verdict::Shot, first).unwrap();
    let cookie = [9; 16];
    let mut sent = Vec::new();
    for trailer in [&[][..], &[0; 6], &[0x6e; 41]] {
        for kind in 0..packets::ending_with(&[]).len() {
            let wrappings = packets::with_trailer(&packets::ending_with(&[])[kind].1, &[]).len();
            for wrapping in 0..wrappings {
                let marker = Marker {
                    magic: MAGIC,
                    cookie,
                    flow: [0; 4],
                    sequence: (sent.len() as u32).to_be_bytes(),
                };
                let (name, packet) = packets::ending_with(&marker.bytes()).swap_remove(kind);
                let (wrapped, frame) =
                    packets::with_trailer(&packet, trailer).swap_remove(wrapping);
                sent.push((format!("{name} {wrapped}, {} more", trailer.len()), frame));
            }
        }
    }
    let mut drops = Drops::start(&cookie).unwrap();
    let frames = sent.iter().map(|(_, frame)| &frame[..]);
    let accepted = send::frames(near.netns(), 10, frames).unwrap();
    assert!(accepted.iter().all(|accepted| *accepted));
    let mut found = BTreeSet::new();
    wait_until(Duration::from_secs(5), || {
        found.extend(drops.take().iter().map(|dropped| dropped.sequence));
        found.len() == sent.len()
    });
    let missing = sent
        .iter()
        .zip(0..)
        .filter(|(_, number)| !found.contains(number));
    let missing: Vec<_> = missing.map(|((name, _), _)| name).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

fn reason(result: &VerifyOutput) -> &Value {
    assert_eq!(result.verdict(), "lost", "{:#}", result.json);
    &result.json["losses"][0]["drop_reason"]
}

fn shot(lab: &Lab, node: &Node, device: &str, direction: Direction) -> ForeignProgram {
    let netns = lab.netns(node).unwrap();
    ForeignProgram::tcx(&netns, device, direction, Verdict::Shot, LinkOrder::first()).unwrap()
}

#[test]
fn drop_by_a_program_at_a_hook() {
    if skip_without_reasons() || skip::without_tcx() {
        return;
    }
    let lab = up(Mode::Vxlan);
    let (_, c, far) = ends(&lab);
    for (device, direction, word) in [
        ("eth0", Direction::Ingress, "TC_INGRESS"),
        (c.interface.name.as_str(), Direction::Egress, "TC_EGRESS"),
    ] {
        let _foreign = shot(&lab, far, device, direction);
        let result = across(&lab);
        let reason = reason(&result);
        assert_eq!(reason["reason"], word, "{reason:#}");
        assert_eq!(reason["packets"], 4, "{reason:#}");
        assert_eq!(reason["device"], device, "{reason:#}");
        assert_eq!(reason["place"], far.name.as_str(), "{reason:#}");
        assert!(
            result.causes().contains("foreign_shot (tcx, pid "),
            "{}",
            result.causes()
        );
    }
}

/// Each of more drops than fit into the ring buffer has its reason.
#[test]
fn each_of_many_drops_has_its_reason() {
    if skip_without_reasons() || skip::without_tcx() {
        return;
    }
    let lab = up(Mode::Vxlan);
    let (_, c, far) = ends(&lab);
    let _foreign = shot(&lab, far, "eth0", Direction::Ingress);
    let count = many(1_000);
    let senders = lab.pods().iter().filter(|pod| pod.node != c.node);
    let tests: Vec<_> = senders
        .map(|pod| {
            let (from, to) = (pod.address, c.address);
            format!("- {{from: {from}, to: {to}, count: {count}}}\n")
        })
        .collect();
    assert!(tests.len() > 1, "{tests:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("tests:\n{}", tests.concat())).unwrap();
    let path = file.path().to_str().unwrap();
    let quick = ["--fast-attach", "--interval", "1ms", "--timeout", "300ms"];
    let result = run(&lab, &[&["-f", path], &quick[..]].concat());
    let verdicts = result.json.as_array().expect(&result.stderr);
    assert_eq!(verdicts.len(), tests.len());
    for verdict in verdicts {
        let reason = &verdict["losses"][0]["drop_reason"];
        assert_eq!(reason["packets"], count, "{:#}", verdict["losses"]);
        assert!(!verdict["notes"].to_string().contains("drop_events_lost"));
    }
}

/// The node has an outdated neighbour address.
#[test]
fn drop_of_a_wrong_mac_address() {
    if skip_without_reasons() {
        return;
    }
    let lab = up(Mode::Native);
    let (_, c, far) = ends(&lab);
    let mut netlink = Netlink::open_in(&lab.netns(far).unwrap()).unwrap();
    let address = c.address.into();
    netlink
        .add_route(&NewRoute::host(address, c.interface.index))
        .unwrap();
    let mut mac = c.eth0.mac;
    mac[5] ^= 0x55;
    netlink
        .add_neighbour(c.interface.index, address, mac)
        .unwrap();
    let result = across(&lab);
    let reason = reason(&result);
    assert_eq!(reason["reason"], "OTHERHOST", "{:#}", result.json);
    assert_eq!(reason["device"], "eth0", "{reason:#}");
    let place = reason["place"].as_str().unwrap();
    assert!(place.starts_with("pod "), "{reason:#}");
    assert!(result.causes().contains("MAC"), "{}", result.causes());
}

/// Delivered packets have no drop reason, although they are also freed in the kernel.
#[test]
fn delivered_packets_have_no_drop() {
    if skip_without_reasons() {
        return;
    }
    let lab = up(Mode::Vxlan);
    let result = across(&lab);
    assert_eq!(result.verdict(), "verified", "{:#}", result.json);
    assert_eq!(result.json["losses"], Value::Array(Vec::new()));
}

/// The kernel's names for the reasons in the glossary, so that it explains existing ones.
#[test]
fn reasons_and_fields_are_read_from_the_kernel() {
    if skip::without_file(VMLINUX) {
        return;
    }
    let btf = Btf::of_kernel().unwrap();
    assert_eq!(btf.offset("list_head", "prev"), Some(8));
    assert_eq!(btf.offset("sk_buff", "no such field"), None);
    assert_eq!(btf.offset("no such structure", "len"), None);
    let len = btf.offset("sk_buff", "len").unwrap();
    assert_eq!(btf.offset("sk_buff", "data_len"), Some(len + 4));
    // Behind another type (`possible_net_t`), and in an unnamed structure.
    assert!(btf.offset("net_device", "nd_net.net").is_some());
    assert!(btf.offset("sk_buff", "dev").is_some());
    let reasons = btf.names("skb_drop_reason");
    if !reasons.is_empty() {
        let names: BTreeSet<_> = reasons.values().collect();
        assert_eq!(names.len(), reasons.len());
        assert!(names.iter().any(|name| name.ends_with("_NO_SOCKET")));
    }
}

/// Arbitrary file contents are parsed or refused.
#[test]
fn broken_description_is_refused() {
    if skip::without_file(VMLINUX) {
        return;
    }
    let all = std::fs::read(VMLINUX).unwrap();
    assert!(Btf::parse(Vec::new()).is_none());
    let mut random = fastrand::Rng::with_seed(17);
    for _ in 0..20 {
        let mut broken = all.clone();
        broken.truncate(random.usize(..all.len()));
        for _ in 0..random.usize(..50) {
            let at = random.usize(..broken.len().max(1));
            if let Some(byte) = broken.get_mut(at) {
                *byte = random.u8(..);
            }
        }
        if let Some(btf) = Btf::parse(broken) {
            let _ = btf.offset("sk_buff", "len");
            let _ = btf.names("skb_drop_reason");
        }
    }
}

#[test]
fn kernel_functions_have_names() {
    let shown = std::fs::read_to_string("/proc/kallsyms").unwrap();
    let line = shown.lines().find(|line| line.ends_with(" T ip_rcv"));
    let Some(line) = line else {
        skip::because("the kernel shows no symbols");
        return;
    };
    let start = u64::from_str_radix(&line[..16], 16).unwrap();
    if start == 0 && skip::because("the kernel hides its addresses") {
        return;
    }
    let names = Symbols::open().names(&[start + 4, 5]);
    assert_eq!(names.get(&(start + 4)).map(String::as_str), Some("ip_rcv"));
    assert_eq!(names.get(&5), None);
}
