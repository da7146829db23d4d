//! netviz counts packets that are dropped after its hook (a full queue, a peer that is down), and
//! counts packets that the kernel merges or splits by the documented rules.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkFlags, LinkMessage},
    tc::{TcAttribute, TcHandle, TcHeader, TcMessage, TcOption},
};
use netviz::model::Counts;
use netviz_tests::{
    bpf::skip,
    cli::{
        fault_table::{Row, many},
        wait::{settle, wait_until},
    },
    netns::{
        TestNetns,
        send::{self, HEADERS, Sink},
    },
};

use crate::pair::{ARRIVAL, Pair};

const SCENARIO: &str = "queues";

/// A token bucket of 10 kB/s with room for two packets, by the kernel's ABI (`TCA_TBF_PARMS`).
fn slow_down(namespace: &TestNetns, index: u32) -> io::Result<()> {
    const PARAMETERS: u16 = 1;
    const BURST: u16 = 6;
    const ETHERNET: u8 = 1;
    const RATE: u32 = 10_000;
    // Two `tc_ratespec`, then limit, buffer and MTU; a buffer of 0.2 s in the kernel's ticks of 64
    // ns.
    let mut parameters = Vec::new();
    parameters.extend([0, ETHERNET, 0, 0, 0, 0, 0, 0]);
    parameters.extend(RATE.to_ne_bytes());
    parameters.extend([0; 12]);
    for number in [3_000_u32, 200_000_000 / 64, 0] {
        parameters.extend(number.to_ne_bytes());
    }
    let option = |kind, bytes| TcOption::Other(netlink_packet_core::DefaultNla::new(kind, bytes));
    let mut message = TcMessage::default();
    message.header = TcHeader {
        index: index.cast_signed(),
        parent: TcHandle::ROOT,
        ..TcHeader::default()
    };
    message.attributes = vec![
        TcAttribute::Kind("tbf".into()),
        TcAttribute::Options(vec![
            option(PARAMETERS, parameters),
            option(BURST, 2_000_u32.to_ne_bytes().to_vec()),
        ]),
    ];
    namespace
        .netlink()?
        .create(RouteNetlinkMessage::NewQueueDiscipline(message))
}

/// Egress counts a packet before the queue; the other end counts those that arrive.
#[test]
fn full_queue() {
    let mut pair = Pair::new(1_500);
    slow_down(&pair.namespaces[0], pair.ends[0].index).unwrap();
    let (sent, size) = (many(1_000).max(30), 1_000 + HEADERS);
    let _sink = Sink::open(pair.namespaces[1].netns()).unwrap();
    send::datagrams(
        pair.namespaces[0].netns(),
        pair.ends[1].address,
        sent,
        1_000,
    )
    .unwrap();
    let [offered, _] = pair.passed();
    assert_eq!(offered.packets, sent);
    let through = |pair: &Pair| pair.links()[0].tx_packets;
    assert!(
        through(&pair) < sent,
        "no packet was dropped, so the test proves nothing"
    );
    // Packets in the queue may arrive during the reading.
    let mut seen = (pair.passed(), pair.links());
    let same = wait_until(ARRIVAL, || {
        let before = pair.links();
        seen = (pair.passed(), pair.links());
        let ([_, came], [near, far]) = seen;
        before == seen.1 && [near.tx_packets, far.rx_packets] == [came.packets; 2]
    });
    assert!(same, "{seen:?}");
    let ([offered, came], [near, far]) = seen;
    Row::new("tbf, full", sent, far.rx_packets, offered.packets)
        .note(format!(
            "offered; {} arrived, counted at the other end",
            came.packets
        ))
        .print(SCENARIO);
    assert_eq!((offered.packets, offered.bytes), (sent, sent * size));
    assert!(
        came.packets > 0,
        "no packet arrived, so the test proves nothing"
    );
    let through = (came.packets, came.packets * size);
    assert_eq!((came.packets, came.bytes), through);
    assert_eq!((far.rx_packets, far.rx_bytes), through);
    assert_eq!((near.tx_packets, near.tx_bytes), through);
}

#[test]
fn peer_that_is_down() {
    let mut pair = Pair::new(1_500);
    let mut message = LinkMessage::default();
    message.header.index = pair.ends[1].index;
    message.header.change_mask = LinkFlags::Up;
    let mut far = pair.namespaces[1].netlink().unwrap();
    far.change(RouteNetlinkMessage::SetLink(message)).unwrap();
    let sent = many(10_000);
    send::datagrams(pair.namespaces[0].netns(), pair.ends[1].address, sent, 100).unwrap();
    let ([offered, came], [near, far]) = (pair.passed(), pair.links());
    Row::new(
        "the other end is down",
        sent,
        far.rx_packets,
        offered.packets,
    )
    .note(format!(
        "offered; {} arrived, the link counts {} sent",
        came.packets, near.tx_packets
    ))
    .print(SCENARIO);
    let size = 100 + HEADERS;
    assert_eq!((offered.packets, offered.bytes), (sent, sent * size));
    assert_eq!((near.tx_packets, far.rx_packets), (0, 0));
    assert_eq!(came, Counts::default());
}

/// `ETHTOOL_S*` of one feature.
fn feature(namespace: &TestNetns, name: &str, command: u32, on: bool) -> io::Result<()> {
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    namespace.run(|| {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let mut value = [command, u32::from(on)];
        // SAFETY: plain numbers and bytes.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        // Passed as a number, because a pointer could not leave this thread.
        request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
        // SAFETY: the kernel reads the two numbers during the call.
        match unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// Headers of each segment before its payload: Ethernet, IPv4, and TCP with a timestamp. A merged
/// packet has them once.
const TCP_HEADERS: u64 = 14 + 20 + 32;

/// Returns the bytes of the same packets without merging.
fn bytes_as_segments(counts: Counts) -> u64 {
    counts.bytes + (counts.segments - counts.packets) * TCP_HEADERS
}

/// GRO at the receiver merges segments: netviz counts as many segments as the link counts packets,
/// and as many bytes. A link that uses NAPI counts them without their Ethernet headers, at both
/// ends.
#[test]
fn segments_merged_by_gro() {
    if skip::before((5, 13), "veth interfaces put nothing together") {
        return;
    }
    const SGSO: u32 = 0x24;
    const STSO: u32 = 0x1f;
    const SGRO: u32 = 0x2c;
    let mut pair = Pair::new(1_500);
    let name = &pair.ends[0].name;
    for command in [STSO, SGSO] {
        feature(&pair.namespaces[0], name, command, false).unwrap();
    }
    feature(&pair.namespaces[1], &pair.ends[1].name, SGRO, true).unwrap();
    let bulk = usize::try_from(many(64 << 20)).unwrap();
    let listener = pair.namespaces[1]
        .run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, send::PORT)))
        .unwrap();
    let to = (pair.ends[1].address, send::PORT);
    let mut sender = pair.namespaces[0].run(|| TcpStream::connect(to)).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut buffer = vec![0; 1 << 20];
            let mut received = 0;
            while received < bulk {
                received += receiver.read(&mut buffer).unwrap();
            }
        });
        let part = vec![0x6e; 1 << 16];
        let mut left = bulk;
        while left > 0 {
            let length = left.min(part.len());
            sender.write_all(&part[..length]).unwrap();
            left -= length;
        }
        reader.join().unwrap();
    });
    let segments = |pair: &mut Pair| pair.passed()[1].segments;
    let link = pair.links()[1].rx_packets;
    settle(ARRIVAL, &link, || segments(&mut pair));
    let ([near, far], [out, came]) = (pair.links(), pair.passed());
    Row::new(
        "tcp, merged by GRO",
        out.segments - near.tx_dropped,
        far.rx_packets,
        came.segments,
    )
    .note(format!(
        "{} segments in {} packets at the hook",
        came.segments, came.packets
    ))
    .check(SCENARIO);
    assert_eq!(out.segments, near.tx_packets + near.tx_dropped);
    assert!(
        came.packets < came.segments,
        "no packet was merged, so the test proves nothing"
    );
    assert_eq!(far.rx_bytes, bytes_as_segments(came) - 14 * came.segments);
    if near.tx_dropped == 0 {
        assert_eq!(near.tx_bytes, far.rx_bytes);
        assert_eq!(bytes_as_segments(out), bytes_as_segments(came));
    }
}
