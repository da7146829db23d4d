//! Flows as plain data, for views, without a kernel.

use std::net::IpAddr;

use netviz::{
    model::{
        Counts, Direction, Directory, DoorFlows, DoorId, Flow, FlowCounts, FlowKey, FlowMemory,
        OtherNode, OutsideFlows, Pod, ServiceEntry, Snapshot, TcpFlags, Transport, TunnelKey,
    },
    sys::netns::NetNsId,
};

use super::snapshot_builder::{cluster, taken_at};

/// TCP's number.
pub const TCP: u8 = 6;
/// UDP's number.
pub const UDP: u8 = 17;

/// Parses an address.
///
/// # Panics
/// If the text is invalid.
#[must_use]
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Returns a flow with ports, `packets` of 100 bytes and as many per second, which began 12 s before
/// [`taken_at`].
#[must_use]
pub fn flow(direction: Direction, from: (&str, u16), to: (&str, u16), packets: u64) -> Flow {
    let now = u64::try_from(taken_at().as_millisecond()).expect("after 1970");
    Flow {
        direction,
        key: FlowKey {
            source: ip(from.0),
            destination: ip(to.0),
            protocol: TCP,
            transport: Transport::Ports {
                source: from.1,
                destination: to.1,
            },
            tunnel: None,
            fragment: false,
        },
        outer: None,
        counts: FlowCounts {
            counts: counts(packets),
            first_seen_ms: now - 12_000,
            last_seen_ms: now - 400,
            tcp_flags: TcpFlags(2 | 16 | 8),
            retransmitted: 0,
        },
        packets_per_second: Some(packets as f64),
        bytes_per_second: Some(100.0 * packets as f64),
    }
}

/// Returns `packets` of 100 bytes.
#[must_use]
pub fn counts(packets: u64) -> Counts {
    Counts {
        packets,
        segments: packets,
        bytes: 100 * packets,
    }
}

/// Returns the same flow under another protocol.
#[must_use]
pub fn with_protocol(mut flow: Flow, protocol: u8, transport: Transport) -> Flow {
    flow.key.protocol = protocol;
    flow.key.transport = transport;
    flow.counts.tcp_flags = TcpFlags(0);
    flow
}

/// Returns the same flow in a tunnel.
#[must_use]
pub fn in_tunnel(mut flow: Flow, id: u32, encapsulated: bool) -> Flow {
    flow.key.tunnel = Some(TunnelKey { id, encapsulated });
    flow
}

/// Has a door count flows.
///
/// # Panics
/// If there is no such door.
pub fn count_flows(snapshot: &mut Snapshot, door: (u64, u32), flows: Vec<Flow>) -> &mut DoorFlows {
    let id = DoorId::new(NetNsId(door.0), door.1);
    let mut doors = snapshot.doors.iter_mut();
    let door = doors.find(|door| door.id == id).expect("no such door");
    let now = u64::try_from(taken_at().as_millisecond()).expect("after 1970");
    door.flows.insert(DoorFlows {
        since_ms: now - 30_000,
        flows,
        ..DoorFlows::default()
    })
}

/// Returns two nodes of two pods each. Pod 0 of node 1 asks a service, behind which is pod 1 of node 2,
/// sends pings to pod 0 of node 2, and speaks with an unknown address. A pod on a node elsewhere asks
/// pod 1 of node 1. The tunnel and the uplink of node 1 see the packets between the nodes.
#[must_use]
pub fn talking() -> Snapshot {
    use Direction::{Egress, Ingress};
    let mut snapshot = cluster(2, 2, true).snapshot();
    let names: Vec<_> = snapshot
        .doors
        .iter()
        .filter_map(|it| it.pod.clone())
        .collect();
    assert_eq!(names.len(), 8);
    let echo = |kind| Transport::Icmp {
        kind,
        code: 0,
        id: 7,
    };
    let service = ("10.96.0.10", 80);
    let (web, backend) = (("10.1.0.1", 40_000), ("10.2.0.2", 8080));
    let (ping, pong) = (("10.1.0.1", 0), ("10.2.0.1", 0));
    let icmp = |direction, from, to, packets, kind| {
        with_protocol(flow(direction, from, to, packets), 1, echo(kind))
    };
    let mut lossy = flow(Egress, web, ("203.0.113.9", 443), 50);
    lossy.counts.retransmitted = 3;
    let web_flows = vec![
        flow(Egress, web, service, 1_000),
        flow(Ingress, service, web, 2_000),
        icmp(Egress, ping, pong, 10, 8),
        icmp(Ingress, pong, ping, 9, 0),
        lossy,
    ];
    let outside = count_flows(&mut snapshot, (1_001, 10), web_flows);
    outside.egress.evicted = counts(120);
    outside.ingress.unparsed = counts(3);
    count_flows(
        &mut snapshot,
        (2_002, 12),
        vec![
            flow(Ingress, web, backend, 1_000),
            flow(Egress, backend, web, 2_000),
        ],
    );
    count_flows(
        &mut snapshot,
        (2_001, 10),
        vec![
            icmp(Ingress, ping, pong, 10, 8),
            icmp(Egress, pong, ping, 10, 0),
        ],
    );
    // From elsewhere, only its receiver sees it.
    let elsewhere = ("10.3.0.5", 50_000);
    count_flows(
        &mut snapshot,
        (1_002, 12),
        vec![
            flow(Ingress, elsewhere, ("10.1.0.2", 5432), 70),
            flow(Egress, ("10.1.0.2", 5432), elsewhere, 60),
            with_protocol(
                flow(Egress, ("10.1.0.2", 0), ("224.0.0.251", 0), 4),
                UDP,
                Transport::Ports {
                    source: 5353,
                    destination: 5353,
                },
            ),
        ],
    );
    let inner = flow(Egress, web, backend, 1_000);
    count_flows(
        &mut snapshot,
        (1_000, 4),
        vec![in_tunnel(inner, 33_129, false)],
    );
    count_flows(
        &mut snapshot,
        (1_000, 5),
        vec![in_tunnel(inner, 33_129, true)],
    );
    snapshot.directory = Some(directory());
    snapshot.flow_memory = Some(FlowMemory {
        room: 65_536,
        table_bytes: 16 << 20,
    });
    snapshot
}

fn directory() -> Directory {
    Directory {
        pods: vec![Pod {
            node: "worker3".into(),
            namespace: Some("shop".into()),
            name: "client-0".into(),
            addresses: vec![ip("10.3.0.5")],
            ..Pod::default()
        }],
        nodes: vec![OtherNode {
            name: "worker3".into(),
            addresses: vec![ip("172.18.0.9")],
        }],
        services: vec![ServiceEntry {
            namespace: Some("shop".into()),
            name: "api".into(),
            addresses: vec![ip("10.96.0.10")],
            ports: vec![80],
            backends: vec!["10.2.0.2:8080".parse().expect("a socket address")],
            selector: Vec::new(),
        }],
    }
}

/// Returns packets in no flow.
#[must_use]
pub fn outside(evicted: u64, unparsed: u64, unread: u64) -> OutsideFlows {
    OutsideFlows {
        evicted: counts(evicted),
        unparsed: counts(unparsed),
        unread: counts(unread),
    }
}
