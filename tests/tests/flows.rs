//! Flows on the real kernel: switched on and off under traffic, and every packet in one place.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use netviz::{
    attach::{AttachMode, AttachOptions},
    count::FlowDoors,
    model::{Counts, Direction, DoorFlows, Flow, Transport},
};
use netviz_tests::{
    bpf::{frames::flows, skip},
    cli::{
        fault_table::many,
        observation::Observation,
        wait::{settle, wait_until},
    },
    netns::{
        End, TestNetns, delete_group, join,
        send::{self, PORT, Sink},
        set_group,
        steady_traffic::SteadyTraffic,
        traffic_fixture::TrafficFixture,
    },
};

const ARRIVAL: Duration = Duration::from_secs(20);
const ROOM: u32 = 65_536;

/// Two namespaces, a pair, and netviz at both ends.
struct Pair {
    namespaces: [TestNetns; 2],
    ends: [End; 2],
    netviz: Observation,
}

impl Pair {
    fn new() -> Self {
        let namespaces = [TestNetns::new().unwrap(), TestNetns::new().unwrap()];
        let ends = join(&namespaces[0], &namespaces[1], 1).unwrap();
        let names = namespaces.iter().map(TestNetns::name).collect();
        let netviz = Observation::start(names, AttachOptions::default()).unwrap();
        Self {
            namespaces,
            ends,
            netviz,
        }
    }

    fn flows(&mut self, end: usize) -> Option<DoorFlows> {
        let id = self.namespaces[end].netns().id();
        self.netviz.flows(id, self.ends[end].index)
    }

    /// Checks that each packet of both ends is in exactly one place, once all have crossed.
    fn check(&mut self) -> [DoorFlows; 2] {
        [0, 1].map(|end| {
            let flows = self.flows(end).unwrap();
            let id = self.namespaces[end].netns().id();
            let counts = self.netviz.counts(id, self.ends[end].index);
            for (direction, counts) in [Direction::Ingress, Direction::Egress].iter().zip(counts) {
                assert_eq!(sum(&flows, *direction), counts, "{direction} of end {end}");
                assert_eq!(flows.outside(*direction).unread, Counts::default());
            }
            flows
        })
    }
}

/// All packets of a hook but the unread ones.
fn sum(flows: &DoorFlows, direction: Direction) -> Counts {
    let outside = flows.outside(direction);
    let flows = flows.flows.iter().filter(|it| it.direction == direction);
    flows.fold(outside.evicted + outside.unparsed, |sum, flow| {
        sum + flow.counts.counts
    })
}

fn flow(flows: &DoorFlows, direction: Direction, source: u16, destination: u16) -> Option<&Flow> {
    let ports = Transport::Ports {
        source,
        destination,
    };
    let mut flows = flows.flows.iter();
    flows.find(|it| it.direction == direction && it.key.transport == ports)
}

/// A switch replaces the program at its place; each packet meets one of the two.
#[test]
fn switching_under_traffic_loses_and_doubles_no_count() {
    for (mode, lacks) in [
        (AttachMode::Tcx, skip::without_tcx()),
        (AttachMode::Clsact, false),
    ] {
        if lacks {
            continue;
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            let fixture = TrafficFixture::new();
            let mut netviz = fixture.observe(direction, mode);
            let (namespace, end) = fixture.place(direction);
            let (id, index) = (namespace.netns().id(), end.index);
            let traffic =
                SteadyTraffic::start(&fixture.sender, &fixture.receiver, &fixture.ends[1]);
            for _ in 0..many(50) {
                for doors in [FlowDoors::All, FlowDoors::None] {
                    netviz.count_flows(doors, ROOM).unwrap();
                    if let Some(flows) = netviz.flows(id, index) {
                        let [ingress, egress] = netviz.counts(id, index);
                        assert!(sum(&flows, Direction::Ingress).packets <= ingress.packets);
                        assert!(sum(&flows, Direction::Egress).packets <= egress.packets);
                    }
                }
            }
            let (sent, received) = traffic.stop();
            assert_eq!(sent, received);
            let counted = settle(ARRIVAL, &sent, || fixture.counted(&mut netviz, direction));
            assert_eq!(counted, sent, "{mode:?}, {direction}");
        }
    }
}

/// Datagrams and TCP with large segments, at both hooks of both ends.
#[test]
fn flows_add_up_to_the_counters() {
    let mut pair = Pair::new();
    pair.netviz.count_flows(FlowDoors::All, ROOM).unwrap();
    let (near, far) = (pair.namespaces[0].netns(), pair.namespaces[1].netns());
    let mut sink = Sink::open(far).unwrap();
    let sent = send::datagrams(near, pair.ends[1].address, 500, 100).unwrap();
    assert_eq!(settle(ARRIVAL, &sent, || sink.received()), sent);
    let address = pair.ends[1].address;
    let listener = far
        .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)))
        .unwrap()
        .unwrap();
    let stream = near.run(|| TcpStream::connect((address, 80))).unwrap();
    let mut stream = stream.unwrap();
    let port = stream.local_addr().unwrap().port();
    let reader = thread::spawn(move || {
        let (mut accepted, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        accepted.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    stream.write_all(&vec![7; 4 << 20]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), 4 << 20);
    // The last acknowledgements cross after the data.
    assert!(stream.read(&mut [0; 1]).unwrap() == 0);
    drop(stream);
    let mut quiet = [Counts::default(); 2];
    wait_until(ARRIVAL, || {
        let id = pair.namespaces[0].netns().id();
        let now = pair.netviz.counts(id, pair.ends[0].index);
        let is_quiet = now == quiet;
        quiet = now;
        thread::sleep(Duration::from_millis(100));
        is_quiet
    });
    let [near, far] = pair.check();
    for (flows, to, back) in [
        (&near, Direction::Egress, Direction::Ingress),
        (&far, Direction::Ingress, Direction::Egress),
    ] {
        let tcp = flow(flows, to, port, 80).expect("the connection");
        assert!(tcp.counts.counts.bytes > 4 << 20, "{tcp:?}");
        // SYN, FIN, ACK.
        assert_eq!(tcp.counts.tcp_flags.0 & 0x13, 0x13, "{tcp:?}");
        assert_eq!(tcp.key.destination, IpAddr::V4(address));
        assert!(tcp.counts.first_seen_ms <= tcp.counts.last_seen_ms);
        assert!(tcp.counts.first_seen_ms + 60_000 > flows.since_ms);
        assert!(flow(flows, back, 80, port).is_some());
        let datagrams = flows.flows.iter().find(|it| {
            matches!(
                it.key.transport,
                Transport::Ports {
                    destination: PORT,
                    ..
                }
            ) && it.direction == to
        });
        let datagrams = datagrams.expect("the datagrams").counts.counts;
        assert_eq!((datagrams.packets, datagrams.bytes), (500, 500 * 142));
    }
}

/// Each frame is a new flow: the table and the memory stay as they are, and nothing is lost.
#[test]
fn flood_of_new_flows_adds_up() {
    const SMALL: u32 = 4_096;
    let mut pair = Pair::new();
    pair.netviz.count_flows(FlowDoors::All, SMALL).unwrap();
    let frames: Vec<_> = (1..=50_000).map(flows::numbered).collect();
    for round in 0..many(10) {
        let near = pair.namespaces[0].netns();
        let sent = frames.iter().map(|frame| &frame[..]);
        send::frames(near, pair.ends[0].index, sent).unwrap();
        if round % 3 == 2 {
            let flows = pair.flows(0).unwrap();
            assert!(flows.flows.len() <= SMALL as usize);
        }
    }
    let expected = frames.len() as u64 * many(10);
    let id = pair.namespaces[0].netns().id();
    let index = pair.ends[0].index;
    settle(ARRIVAL, &expected, || {
        pair.netviz.counts(id, index)[1].packets
    });
    let [near, _] = pair.check();
    assert_eq!(sum(&near, Direction::Egress).packets, expected);
    assert!(near.egress.evicted.packets > expected / 2);
    assert!(!near.flows.is_empty());
}

/// A table that does not fit into memory is an error, and the counters go on.
#[test]
fn table_without_memory_is_an_error() {
    let mut pair = Pair::new();
    let error = pair.netviz.count_flows(FlowDoors::All, u32::MAX);
    let error = error.expect_err("a table of a terabyte").to_string();
    assert!(
        error.contains("memory") || error.contains("large"),
        "{error}"
    );
    let near = pair.namespaces[0].netns();
    let _sink = Sink::open(pair.namespaces[1].netns()).unwrap();
    send::datagrams(near, pair.ends[1].address, 10, 100).unwrap();
    let id = near.id();
    let counted = || pair.netviz.counts(id, pair.ends[0].index)[1].packets;
    assert_eq!(settle(ARRIVAL, &10, counted), 10);
    assert!(pair.flows(0).is_none());
}

/// The flows of a door end with it.
#[test]
fn flows_of_a_removed_door_end() {
    let mut pair = Pair::new();
    pair.netviz.count_flows(FlowDoors::All, ROOM).unwrap();
    let near = pair.namespaces[0].netns();
    let _sink = Sink::open(pair.namespaces[1].netns()).unwrap();
    send::datagrams(near, pair.ends[1].address, 10, 100).unwrap();
    assert!(pair.flows(0).is_some_and(|flows| !flows.flows.is_empty()));
    let mut netlink = pair.namespaces[0].netlink().unwrap();
    set_group(&mut netlink, pair.ends[0].index, 9).unwrap();
    delete_group(&mut netlink, 9).unwrap();
    let ended = pair.netviz.until(ARRIVAL, |tracer, sample| {
        let mut doors = sample.doors.keys();
        doors.all(|id| tracer.flows(*id, sample).is_none())
    });
    // The records are dropped at the next reading.
    assert!(ended.unwrap() || pair.flows(0).is_none());
}
