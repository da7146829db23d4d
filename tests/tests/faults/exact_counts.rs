//! Invariant 3: netviz's counts equal the kernel's, packet for packet and byte for byte.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use aya::{
    maps::{Map, MapData, PerCpuArray},
    programs::loaded_programs,
};
use netviz::model::{Counts, Direction};
use netviz_ebpf::DoorCounters;
use netviz_tests::{
    bpf::{filters, foreign_program},
    cli::{
        fault_table::{Row, many},
        wait::wait_until,
    },
    netns::send::{self, HEADERS, Sink},
};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::pair::{ARRIVAL, Pair};

const SCENARIO: &str = "exact_counts";

fn exactly(packets: u64, size: u64) -> Counts {
    Counts {
        packets,
        segments: packets,
        bytes: packets * size,
    }
}

/// Returns the processors on which this test may run.
fn processors() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let all = 0..CpuSet::count();
    all.filter(|it| set.is_set(*it).unwrap()).collect()
}

/// Pins this thread, and those that it starts, to one processor.
fn pin_to(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

/// Returns the packets that the first end's egress hook has counted on each processor, from the
/// program's map.
fn egress_by_processor(pair: &Pair) -> Vec<u64> {
    let (namespace, end) = (&pair.namespaces[0], &pair.ends[0]);
    let chain =
        foreign_program::tcx_chain(namespace.netns(), &end.name, Direction::Egress).unwrap();
    let mut netlink = namespace.netlink().unwrap();
    let filters = filters::filters(&mut netlink, end.index, Direction::Egress).unwrap();
    let filters = filters.into_iter().map(|it| (it.name, it.program.unwrap()));
    let mut own = chain.into_iter().chain(filters);
    let (_, id) = own.find(|(name, _)| name.starts_with("netviz_")).unwrap();
    let mut programs = loaded_programs().filter_map(Result::ok);
    let program = programs.find(|it| it.id() == id).unwrap();
    let maps = program.map_ids().unwrap().unwrap();
    let map = Map::from_map_data(MapData::from_id(maps[0]).unwrap()).unwrap();
    let counters = PerCpuArray::<_, DoorCounters>::try_from(map).unwrap();
    let values = counters.get(&0, 0).unwrap();
    values.iter().map(|door| door.egress.packets).collect()
}

/// A per-CPU counter that two CPUs write, or that is read during a write, would lose some of this
/// many packets.
#[test]
fn million_packets_on_several_cpus() {
    let million = many(1_000_000);
    let mut pair = Pair::new(1_500);
    // Nobody reads: a full socket drops packets after the door.
    let _sink = Sink::open(pair.namespaces[1].netns()).unwrap();
    let to = pair.ends[1].address;
    // An emulated machine may have only one.
    let processors = processors();
    let processors = [processors[0], processors[processors.len() - 1]];
    let halves = thread::scope(|scope| {
        let from = pair.namespaces[0].netns();
        processors
            .map(|processor| {
                scope.spawn(move || {
                    pin_to(processor);
                    send::datagrams(from, to, million / 2, 64).unwrap()
                })
            })
            .map(|sender| sender.join().unwrap())
    });
    assert_eq!(halves.iter().sum::<u64>(), million);
    let [near, far] = pair.compare(million);
    if processors[0] != processors[1] {
        let own = egress_by_processor(&pair);
        assert_eq!(processors.map(|processor| own[processor]), halves);
    }
    let dropped = pair.links()[0].tx_dropped;
    let size = 64 + HEADERS;
    assert_eq!(near, [Counts::default(), exactly(million, size)]);
    assert_eq!(far, [exactly(million - dropped, size), Counts::default()]);
    let received = pair.links()[1].rx_packets + dropped;
    Row::new(
        "udp, two flows on two processors",
        million,
        received,
        near[1].packets,
    )
    .note(format!(
        "{dropped} of them dropped by the full queue of the pair"
    ))
    .check(SCENARIO);
}

/// Frames that the kernel's test run does not accept.
#[test]
fn jumbo_frames() {
    let mut pair = Pair::new(9_000);
    let _sink = Sink::open(pair.namespaces[1].netns()).unwrap();
    let size = 9_000 - 28;
    let to = pair.ends[1].address;
    send::datagrams(pair.namespaces[0].netns(), to, 1_000, size).unwrap();
    let [near, far] = pair.compare(1_000);
    let all = exactly(1_000, 9_014);
    assert_eq!([near[1], far[0]], [all, all]);
    let received = pair.links()[1].rx_packets;
    Row::new("udp, frames of 9014 bytes", 1_000, received, far[0].packets).check(SCENARIO);
}

/// A buffer of many datagrams is one packet in the kernel's statistics, and many segments.
#[test]
fn datagrams_that_the_kernel_segments() {
    let mut pair = Pair::new(1_500);
    let _sink = Sink::open(pair.namespaces[1].netns()).unwrap();
    let to = pair.ends[1].address;
    send::segmented(pair.namespaces[0].netns(), to, 200, (20, 1_000)).unwrap();
    let counts = |packets| Counts {
        packets,
        segments: 200 * 20,
        bytes: 200 * 20 * 1_000 + packets * HEADERS,
    };
    let mut arrived = 0;
    wait_until(ARRIVAL, || {
        let [near, far] = pair.links();
        arrived = far.rx_packets + near.tx_dropped;
        arrived == 200 || arrived == 200 * 20
    });
    let (near, far) = if arrived > 200 {
        // Linux 5.10 splits them after the hook, before the interface counts.
        pair.passed().into()
    } else {
        let [near, far] = pair.compare(200);
        (near[1], far[0])
    };
    assert_eq!([near, far], [counts(200), counts(arrived)]);
    let received = pair.links()[1].rx_packets;
    Row::new(
        "udp, split by the kernel (UDP_SEGMENT)",
        arrived,
        received,
        far.packets,
    )
    .note("4000 segments")
    .check(SCENARIO);
}

/// TCP sends super-packets: packets and bytes equal the link's, segments equal those of both
/// sockets.
#[test]
fn tcp_in_bulk() {
    let bulk = usize::try_from(many(1 << 30)).unwrap();
    let mut pair = Pair::new(1_500);
    let listener = pair.namespaces[1]
        .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, send::PORT)))
        .unwrap();
    let to = (pair.ends[1].address, send::PORT);
    let mut sender = pair.namespaces[0].run(|| TcpStream::connect(to)).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let received = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut buffer = vec![0; 1 << 20];
            let mut received = 0;
            while received < bulk {
                received += receiver.read(&mut buffer).unwrap();
            }
            received
        });
        let part = vec![0x6e; 1 << 20];
        let mut left = bulk;
        while left > 0 {
            let length = left.min(part.len());
            sender.write_all(&part[..length]).unwrap();
            left -= length;
        }
        reader.join().unwrap()
    });
    assert_eq!(received, bulk);
    // Still open, and all acknowledged soon: the sockets' numbers must equal the counts.
    let sockets = || {
        let [near, (out, into)] =
            [&sender, &receiver].map(|socket| send::tcp_segments(socket).unwrap());
        // The SYN-ACK was sent before a socket existed that counts it.
        [near, (out + 1, into)]
    };
    let segments = |counts: [[Counts; 2]; 2]| {
        counts.map(|[ingress, egress]| (egress.segments, ingress.segments))
    };
    let mut seen = (sockets(), pair.counts());
    wait_until(ARRIVAL, || {
        seen = (sockets(), pair.counts());
        seen.0 == segments(seen.1)
    });
    assert_eq!(seen.0, segments(seen.1));
    let offered = pair.counts()[0][1].packets;
    let [near, far] = pair.compare(offered);
    assert_eq!(near[1], far[0]);
    assert_eq!(near[0], far[1]);
    assert!(
        near[1].segments > 2 * near[1].packets,
        "no super-packets: {near:?}"
    );
    let link = pair.links()[0];
    let offered = link.tx_packets + link.tx_dropped;
    Row::new(
        "tcp in bulk, with super-packets",
        offered,
        pair.links()[1].rx_packets + link.tx_dropped,
        near[1].packets,
    )
    .note(format!(
        "{bulk} bytes in {} segments, equal to both sockets",
        near[1].segments
    ))
    .check(SCENARIO);
}
