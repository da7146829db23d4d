//! Duplicated and reordered packets, and packets of others.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aya::programs::LinkOrder;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netviz::{
    lab::{Mode, Pod, UDP_PORT},
    model::Direction,
};
use netviz_ebpf::crossing::{MAGIC, Marker};
use netviz_tests::{
    bpf::{
        foreign_program::{ForeignProgram, Verdict},
        skip,
    },
    cli::{verify::run, wait::wait_until},
    netns::{reordering_link::ReorderingLink, send, stats},
};

use super::fixture::{LabFixture, arrived, expect};

/// Packets per second of others.
const RATE: u64 = 100_000;
/// On a machine with other load.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Packets of others per system call.
const BURST: u64 = 64;

pub(super) fn duplicates_and_reordering(mode: Mode) {
    if skip::without_tcx() {
        return;
    }
    let fixture = LabFixture::up(mode, false);
    check_duplicates(&fixture);
    check_reordering(&fixture);
    let result = expect(fixture.across(&[]), "verified");
    assert_eq!(result.repeated("request"), 0, "{:#}", result.json);
}

/// Each packet arrives twice, and none is lost.
fn check_duplicates(fixture: &LabFixture) {
    let [own, far] = fixture.nodes();
    let clone = Verdict::Clone(far.wire.index);
    let _foreign = ForeignProgram::tcx(
        &fixture.lab.wire().unwrap(),
        &own.wire.name,
        Direction::Ingress,
        clone,
        LinkOrder::first(),
    )
    .unwrap();
    let result = expect(fixture.across(&[]), "verified");
    assert_eq!(arrived(&result), (Some(4), Some(4)));
    // Again at each door after the clone.
    let row = result.row("request", "▼ eth0").unwrap();
    let again = row["repeated"].as_u64();
    assert!(again >= Some(4), "{:#}", result.json);
    assert!(result.json["notes"].to_string().contains("again"));
}

/// Every two packets are swapped, and none is lost.
fn check_reordering(fixture: &LabFixture) {
    let [own, far] = fixture.nodes();
    let wire = fixture.lab.wire().unwrap();
    let _foreign = ForeignProgram::tcx(
        &wire,
        &own.wire.name,
        Direction::Ingress,
        Verdict::Shot,
        LinkOrder::first(),
    )
    .unwrap();
    let _relay = ReorderingLink::start(&wire, own.wire.index, far.wire.index).unwrap();
    let result = expect(fixture.across(&[]), "verified");
    assert_eq!(arrived(&result), (Some(4), Some(4)));
    let notes = result.json["notes"].to_string();
    let note = format!("2 of 4 arrived at {} ▲", far.wire.name);
    assert!(notes.contains(&note), "{notes}");
}

/// No probe is missed, and no foreign packet is taken for one: on the path with most doors, and on
/// the one with fewest, which has the highest packet rate.
pub(super) fn foreign_traffic(mode: Mode) {
    let fixture = LabFixture::up(mode, false);
    let [a, b, c] = fixture.pods();
    disable_segmentation_offload(&fixture, a);
    check_beside_others(&fixture, a, b);
    check_beside_others(&fixture, a, c);
}

/// Sends both the foreign packets and the probes from one pod to another.
fn check_beside_others(fixture: &LabFixture, from: &Pod, to: &Pod) {
    // Receives and does not reply.
    let sink = fixture.lab.netns(to).unwrap();
    let sink = sink.run(|| UdpSocket::bind((to.address, UDP_PORT - 1)).unwrap());
    let sink = sink.unwrap();
    let address = sink.local_addr().unwrap();
    let netns = fixture.lab.netns(from).unwrap();
    // The node's end of the pair, which all others follow.
    let mut netlink = fixture.netlink(fixture.node(from));
    let mut crossed = || stats::links(&mut netlink).unwrap()[&from.interface.index].rx_packets;
    let (result, rate) = thread::scope(|scope| {
        let over = Over::default();
        let stop = Arc::clone(&over.0);
        scope.spawn(move || netns.run(|| send_others(address, &stop)).unwrap().unwrap());
        let quiet = crossed();
        let begun = wait_until(ARRIVAL, || crossed() > quiet + BURST);
        assert!(begun, "no foreign packets are sent");
        let (before, begin) = (crossed(), Instant::now());
        let (from, to) = (from.address.to_string(), to.address.to_string());
        let behaviour = ["--fast-attach", "--count", "20", "--interval", "5ms"];
        let result = run(
            &fixture.lab,
            &[&[from.as_str(), &to], &behaviour[..]].concat(),
        );
        let during = crossed() - before;
        (result, during as f64 / begin.elapsed().as_secs_f64())
    });
    let (mode, node) = (fixture.mode, &to.node);
    println!("{mode}: others sent {rate:.0} packets/s to {node}");
    let result = expect(result, "verified");
    assert_eq!(arrived(&result), (Some(20), Some(20)));
    for way in ["request", "reply"] {
        assert_eq!(result.repeated(way), 0, "{:#}", result.json);
        for row in result.json[way].as_array().into_iter().flatten() {
            let skipped = !row["skipped_by"].is_null();
            assert!(skipped || row["seen"] == 20, "{row:#}");
        }
    }
    let notes = result.json["notes"].to_string();
    assert!(!notes.contains("missed"), "{notes}");
    assert!(rate > 0.0);
}

/// Stops the foreign traffic on drop.
#[derive(Default)]
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends datagrams as long as probes, half of them with the marker of another run.
fn send_others(to: SocketAddr, stop: &AtomicBool) -> io::Result<()> {
    let marker = Marker {
        magic: MAGIC,
        cookie: [1; 16],
        ..Marker::default()
    };
    let marked = [&[0; 24][..], &marker.bytes()].concat();
    let datagrams = [marked.clone(), vec![0x6e; marked.len()]].concat();
    let burst = datagrams.repeat(BURST as usize / 2);
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect(to)?;
    send::cut_into(&socket, marked.len())?;
    let begin = Instant::now();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        // Datagrams that do not fit are lost; those are foreign.
        socket.send(&burst).ok();
        number += BURST;
        let due = Duration::from_secs_f64(number as f64 / RATE as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    Ok(())
}

/// Makes the kernel split large buffers before the device, not after its peer: each packet crosses
/// every door but the first separately.
fn disable_segmentation_offload(fixture: &LabFixture, pod: &Pod) {
    let mut message = LinkMessage::default();
    message.header.index = pod.eth0.index;
    message.attributes = vec![LinkAttribute::GsoMaxSegs(1)];
    let mut netlink = fixture.netlink(pod);
    let changed = netlink.change(RouteNetlinkMessage::SetLink(message));
    changed.expect("the device gets single segments");
}
