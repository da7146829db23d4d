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
    cli::{verify::asked, wait::wait_until},
    netns::{reordering_link::ReorderingLink, send, stats},
};

use super::site::{Site, arrived, expect};

/// Packets per second of others.
const CROWD: u64 = 100_000;
/// On a machine with other load.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Packets of others per system call.
const BURST: u64 = 64;

pub(super) fn doubled_and_swapped(mode: Mode) {
    if skip::without_tcx() {
        return;
    }
    let site = Site::up(mode, false);
    doubled(&site);
    swapped(&site);
    let said = expect(site.across(&[]), "verified");
    assert_eq!(said.repeated("request"), 0, "{:#}", said.json);
}

/// Each packet arrives twice, and none is lost.
fn doubled(site: &Site) {
    let [own, far] = site.nodes();
    let clone = Verdict::Clone(far.wire.index);
    let _foreign = ForeignProgram::tcx(
        &site.lab.wire().unwrap(),
        &own.wire.name,
        Direction::Ingress,
        clone,
        LinkOrder::first(),
    )
    .unwrap();
    let said = expect(site.across(&[]), "verified");
    assert_eq!(arrived(&said), (Some(4), Some(4)));
    // Again at each door after the clone.
    let row = said.row("request", "▼ eth0").unwrap();
    let again = row["repeated"].as_u64();
    assert!(again >= Some(4), "{:#}", said.json);
    assert!(said.json["notes"].to_string().contains("again"));
}

/// Every two packets are swapped, and none is lost.
fn swapped(site: &Site) {
    let [own, far] = site.nodes();
    let wire = site.lab.wire().unwrap();
    let _foreign = ForeignProgram::tcx(
        &wire,
        &own.wire.name,
        Direction::Ingress,
        Verdict::Shot,
        LinkOrder::first(),
    )
    .unwrap();
    let _relay = ReorderingLink::start(&wire, own.wire.index, far.wire.index).unwrap();
    let said = expect(site.across(&[]), "verified");
    assert_eq!(arrived(&said), (Some(4), Some(4)));
    let notes = said.json["notes"].to_string();
    let words = format!("2 of 4 arrived at {} ▲", far.wire.name);
    assert!(notes.contains(&words), "{notes}");
}

/// No probe is missed, and no foreign packet is taken for one: on the path with most doors, and on
/// the one with fewest, which has the highest packet rate.
pub(super) fn others_beside(mode: Mode) {
    let site = Site::up(mode, false);
    let [a, b, c] = site.pods();
    cut_early(&site, a);
    beside(&site, a, b);
    beside(&site, a, c);
}

/// Sends both the foreign packets and the probes from one pod to another.
fn beside(site: &Site, from: &Pod, to: &Pod) {
    // Receives and does not reply.
    let sink = site.lab.netns(to).unwrap();
    let sink = sink.run(|| UdpSocket::bind((to.address, UDP_PORT - 1)).unwrap());
    let sink = sink.unwrap();
    let address = sink.local_addr().unwrap();
    let netns = site.lab.netns(from).unwrap();
    // The node's end of the pair, which all others follow.
    let mut netlink = site.netlink(site.node(from));
    let mut crossed = || stats::links(&mut netlink).unwrap()[&from.interface.index].rx_packets;
    let (said, rate) = thread::scope(|scope| {
        let over = Over::default();
        let told = Arc::clone(&over.0);
        scope.spawn(move || netns.run(|| crowd(address, &told)).unwrap().unwrap());
        let quiet = crossed();
        let begun = wait_until(ARRIVAL, || crossed() > quiet + BURST);
        assert!(begun, "the others do not send");
        let (before, begin) = (crossed(), Instant::now());
        let (from, to) = (from.address.to_string(), to.address.to_string());
        let manner = ["--fast-attach", "--count", "20", "--interval", "5ms"];
        let said = asked(&site.lab, &[&[from.as_str(), &to], &manner[..]].concat());
        let during = crossed() - before;
        (said, during as f64 / begin.elapsed().as_secs_f64())
    });
    let (mode, node) = (site.mode, &to.node);
    println!("{mode}: others sent {rate:.0} packets/s to {node}");
    let said = expect(said, "verified");
    assert_eq!(arrived(&said), (Some(20), Some(20)));
    for way in ["request", "reply"] {
        assert_eq!(said.repeated(way), 0, "{:#}", said.json);
        for row in said.json[way].as_array().into_iter().flatten() {
            let skipped = !row["skipped_by"].is_null();
            assert!(skipped || row["seen"] == 20, "{row:#}");
        }
    }
    let notes = said.json["notes"].to_string();
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
fn crowd(to: SocketAddr, stop: &AtomicBool) -> io::Result<()> {
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
        let due = Duration::from_secs_f64(number as f64 / CROWD as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    Ok(())
}

/// Makes the kernel split large buffers before the device, not after its peer: each packet crosses
/// every door but the first separately.
fn cut_early(site: &Site, pod: &Pod) {
    let mut message = LinkMessage::default();
    message.header.index = pod.eth0.index;
    message.attributes = vec![LinkAttribute::GsoMaxSegs(1)];
    let mut netlink = site.netlink(pod);
    let changed = netlink.change(RouteNetlinkMessage::SetLink(message));
    changed.expect("a device takes what it sends in single segments");
}
