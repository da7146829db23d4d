//! Handmade verdicts, one of each kind.

use std::net::IpAddr;

use netviz::{
    audit::{Owner, Process, Way as Attachment},
    model::{CiliumDrop, Direction, DoorId, MacvlanMode, NetNsId, Role, Side, Snapshot, Untrusted},
    names::policies::{Policy, Unread, UnreadReason},
    verify::{
        BackendShare, Cause, CrossingRow, Detour, Doubt, DropReason, HiddenReason, Hop, Interface,
        Kind, Location, Loss, ModeSource, Note, Probes, Program, Protocol, RowNote, SCHEMA,
        TestResult, Traffic, Tunnel, Verdict, Way,
    },
};

use super::{
    random::Random,
    snapshot_builder::{SnapshotBuilder, end, net},
};

/// A pod name as deployments generate it.
pub const A: &str = "networking101/busybox-c8bbbbb84-fmhwc";
/// On the other node.
pub const B: &str = "networking101/busybox-c8bbbbb84-t6ggh";
/// On the same node.
pub const C: &str = "networking101/netshoot-7d996d7884-gcxrm";
const NODE: &str = "mycluster-worker2";
const OTHER: &str = "mycluster-worker";
const LXC_A: &str = "lxc174c023046ff";
const LXC_B: &str = "lxc4a891387ff1a";
const LXC_C: &str = "lxce84a702bb02c";

/// Returns a door that all ten packets crossed; `door` is `>` (ingress) or `<`, and an interface.
fn row(node: &str, pod: Option<&str>, door: &str) -> CrossingRow {
    let (sign, interface) = door.split_once(' ').unwrap_or(("<", door));
    let inside = pod.is_some() && interface == "eth0";
    CrossingRow {
        door: door_id(node, inside.then_some(pod).flatten(), interface),
        node: node.into(),
        pod: pod.map(Into::into),
        side: if inside { Side::Pod } else { Side::Node },
        interface: interface.into(),
        role: match interface {
            "eth0" if pod.is_none() => Role::Uplink,
            "cilium_vxlan" => Role::Overlay,
            "cilium_host" | "cilium_net" => Role::CiliumHost,
            _ => Role::Pod,
        },
        programs: Some(Vec::new()),
        direction: if sign == ">" {
            Direction::Ingress
        } else {
            Direction::Egress
        },
        expected: true,
        seen: Some(10),
        of: None,
        repeated: 0,
        skipped_by: None,
        median_microseconds: Some(2.4),
        worst_microseconds: Some(3.9),
        tunnel: None,
        outer: false,
        packets: None,
        note: None,
    }
}

/// The identity of a door of [`building`].
fn door_id(node: &str, pod: Option<&str>, interface: &str) -> Option<DoorId> {
    let netns = if node == NODE { 2000 } else { 1000 };
    let (inside, ifindex) = match (pod, interface) {
        (Some(A), _) => (1, 10),
        (Some(B), _) => (1, 8),
        (Some(C), _) => (2, 12),
        (Some(_), _) => return None,
        (None, LXC_A) => (0, 11),
        (None, LXC_B) => (0, 9),
        (None, LXC_C) => (0, 13),
        (None, "cilium_net") => (0, 2),
        (None, "cilium_host") => (0, 3),
        (None, "cilium_vxlan") => (0, 4),
        (None, "eth0") => (0, 5),
        (None, _) => return None,
    };
    Some(DoorId::new(NetNsId(netns + inside), ifindex))
}

/// The doors around the paths of the verdicts, and a pod more on each node.
#[must_use]
pub fn building() -> Snapshot {
    let mut builder = SnapshotBuilder::default();
    for (name, netns, address) in [
        (OTHER, 1000, "172.18.0.2/16"),
        (NODE, 2000, "172.18.0.4/16"),
    ] {
        let node = builder.node(name, netns, &[address]);
        let (far, near) = (end(netns, 2, "cilium_net"), end(netns, 3, "cilium_host"));
        builder.pair(node, Role::CiliumHost, Side::Node, &far, &near);
        let vxlan = end(netns, 4, "cilium_vxlan");
        builder.door(node, Side::Node, Role::Overlay, &vxlan).kind = Some("vxlan".into());
        let eth0 = end(netns, 5, "eth0");
        let eth0 = builder.door(node, Side::Node, Role::Uplink, &eth0);
        eth0.addresses = vec![net(address)];
        let (far, near) = (
            end(netns + 9, 30, "eth0"),
            end(netns, 31, "lxc0123456789ab"),
        );
        builder.pod(node, "idle", "10.10.9.9/32", &far, &near);
    }
    let pods = [
        (1, A, "10.10.1.164/32", 2000, 1, 10, LXC_A),
        (0, B, "10.10.2.117/32", 1000, 1, 8, LXC_B),
        (1, C, "10.10.1.155/32", 2000, 2, 12, LXC_C),
    ];
    for (node, pod, address, netns, inside, index, lxc) in pods {
        let (far, near) = (
            end(netns + inside, index, "eth0"),
            end(netns, index + 1, lxc),
        );
        builder.pod(node, pod, address, &far, &near);
    }
    builder.snapshot()
}

fn keyed(mut row: CrossingRow, node: &str) -> CrossingRow {
    row.tunnel = Some(Tunnel {
        identity: 10429,
        node: Some(node.into()),
    });
    row
}

fn outer(mut row: CrossingRow) -> CrossingRow {
    row.outer = true;
    row
}

fn first(mut row: CrossingRow) -> CrossingRow {
    (row.median_microseconds, row.worst_microseconds) = (None, None);
    row
}

fn seen(row: &mut CrossingRow, seen: u32) {
    row.seen = Some(seen);
    if seen == 0 {
        (row.median_microseconds, row.worst_microseconds) = (None, None);
    }
}

fn request() -> Vec<CrossingRow> {
    vec![
        first(row(NODE, Some(A), "< eth0")),
        row(NODE, Some(A), &format!("> {LXC_A}")),
        keyed(row(NODE, None, "< cilium_vxlan"), OTHER),
        outer(row(NODE, None, "< eth0")),
        outer(row(OTHER, None, "> eth0")),
        keyed(row(OTHER, None, "> cilium_vxlan"), NODE),
        row(OTHER, Some(B), &format!("< {LXC_B}")),
        row(OTHER, Some(B), "> eth0"),
    ]
}

/// Returns the same doors in the opposite direction.
fn reversed(there: &[CrossingRow]) -> Vec<CrossingRow> {
    let turned = |row: &CrossingRow| CrossingRow {
        direction: match row.direction {
            Direction::Ingress => Direction::Egress,
            Direction::Egress => Direction::Ingress,
        },
        tunnel: row.tunnel.as_ref().map(|tunnel| Tunnel {
            identity: 10429,
            node: tunnel.node.clone(),
        }),
        ..row.clone()
    };
    there.iter().rev().map(turned).collect()
}

fn pod(name: &str, node: &str, address: &str) -> Hop {
    Hop {
        node: Some(node.into()),
        pod: Some(name.into()),
        name: name.into(),
        address: Some(address.into()),
    }
}

/// Across nodes through the tunnel, verified.
#[must_use]
pub fn cross_node() -> Verdict {
    let request = request();
    Verdict {
        schema: SCHEMA.into(),
        verdict: Kind::Verified,
        test: None,
        from: pod(A, NODE, "10.10.1.164"),
        to: pod(B, OTHER, "10.10.2.117"),
        mode: Some("vxlan, legacy host routing".into()),
        mode_source: Some(ModeSource::Agent),
        probes: Probes {
            protocol: Some(Protocol::Icmp),
            port: None,
            bytes: Some(84),
        },
        traffic: None,
        sent: 10,
        delivered: 10,
        replied: 10,
        round_trip_microseconds: Some(41.3),
        round_trip_worst_microseconds: Some(63.0),
        reply: reversed(&request),
        request,
        losses: Vec::new(),
        detours: Vec::new(),
        unclear: Vec::new(),
        notes: vec![Note::HostNotCrossed],
    }
}

/// Both pods on one node, legacy host routing.
#[must_use]
pub fn same_node() -> Verdict {
    let mut verdict = cross_node();
    verdict.to = pod(C, NODE, "10.10.1.155");
    verdict.request = vec![
        first(row(NODE, Some(A), "< eth0")),
        row(NODE, Some(A), &format!("> {LXC_A}")),
        row(NODE, Some(C), "< lxce84a702bb02c"),
        row(NODE, Some(C), "> eth0"),
    ];
    verdict.reply = reversed(&verdict.request);
    verdict.notes.clear();
    verdict
}

/// Both pods on one node, BPF host routing: one door is bypassed.
#[must_use]
pub fn host_routing() -> Verdict {
    let mut verdict = same_node();
    verdict.mode = Some("vxlan, BPF host routing".into());
    verdict.mode_source = Some(ModeSource::Inferred);
    for (rows, skipped) in [(&mut verdict.request, 2), (&mut verdict.reply, 2)] {
        seen(&mut rows[skipped], 0);
        rows[skipped].skipped_by = Some("bpf_redirect_peer".into());
    }
    verdict
}

/// A policy at B, on the other node.
#[must_use]
pub fn lost_by_policy() -> Verdict {
    let mut verdict = cross_node();
    verdict.verdict = Kind::Lost;
    (verdict.delivered, verdict.replied) = (0, 0);
    verdict.round_trip_microseconds = None;
    verdict.round_trip_worst_microseconds = None;
    for row in &mut verdict.request[6..] {
        seen(row, 0);
    }
    verdict.reply.clear();
    verdict.notes.clear();
    verdict.losses = vec![Loss {
        way: Way::Request,
        packets: 10,
        of: 10,
        first: Some(0),
        last: Some(9),
        after: Some(5),
        before: Some(6),
        circle: Vec::new(),
        drop_reason: None,
        causes: vec![Cause::CiliumDrops {
            node: OTHER.into(),
            drops: vec![CiliumDrop {
                reason: "policy denied".into(),
                direction: Some(Direction::Ingress),
                packets: 10,
                by_policy: true,
            }],
            policies: Vec::new(),
            unread: Vec::new(),
        }],
    }];
    verdict
}

/// Three of ten replies are lost between the nodes.
#[must_use]
pub fn lost_reply() -> Verdict {
    let mut verdict = cross_node();
    verdict.verdict = Kind::Lost;
    verdict.replied = 7;
    for row in &mut verdict.reply[4..] {
        seen(row, 7);
    }
    verdict.losses = vec![Loss {
        way: Way::Reply,
        packets: 3,
        of: 10,
        first: Some(2),
        last: Some(8),
        after: Some(3),
        before: Some(4),
        circle: Vec::new(),
        drop_reason: Some(queue_full()),
        causes: vec![Cause::KernelDrop {
            drop: queue_full(),
            location: Some(Location {
                node: OTHER.into(),
                pod: None,
                side: Side::Node,
                netns: None,
            }),
            tunnel_port: None,
        }],
    }];
    verdict
}

fn queue_full() -> DropReason {
    DropReason {
        reason: Some("QDISC_DROP".into()),
        function: Some("__dev_queue_xmit".into()),
        device: Some("eth0".into()),
        place: Some(OTHER.into()),
        packets: 3,
    }
}

/// No pod has the address any more: the packets loop between two doors until the TTL expires.
#[must_use]
pub fn circle() -> Verdict {
    let mut verdict = lost_by_policy();
    verdict.request.truncate(6);
    for door in ["> cilium_net", "> cilium_host", "< cilium_host"] {
        let mut row = row(OTHER, None, door);
        row.expected = false;
        row.repeated = if door == "> cilium_host" { 0 } else { 610 };
        verdict.request.push(row);
    }
    verdict.losses[0].after = Some(8);
    verdict.losses[0].before = None;
    verdict.losses[0].circle = vec![6, 8];
    verdict.losses[0].causes = vec![Cause::Circle];
    verdict
}

/// Delivered through cilium_host, although a redirect was expected.
#[must_use]
pub fn detour() -> Verdict {
    let mut verdict = cross_node();
    verdict.verdict = Kind::Detour;
    let mut other = row(OTHER, None, "< cilium_host");
    other.expected = false;
    verdict.request.insert(6, other);
    seen(&mut verdict.request[2], 0);
    verdict.detours = vec![Detour::Doors {
        way: Way::Request,
        crossed: vec![6],
        passed_by: vec![2],
        packets: 10,
        of: 10,
    }];
    verdict.notes.clear();
    verdict
}

/// One door that netviz cannot observe.
#[must_use]
pub fn hidden() -> Verdict {
    let mut verdict = cross_node();
    verdict.verdict = Kind::Unclear;
    let row = &mut verdict.request[6];
    row.seen = None;
    let reason = HiddenReason::NotAttached {
        error: "another program holds the hook; see netviz audit".into(),
    };
    row.note = Some(RowNote::Hidden {
        reason: reason.clone(),
    });
    verdict.unclear = vec![Doubt::Hidden {
        way: Way::Request,
        rows: vec![6],
        reason,
    }];
    verdict
}

/// To a service; the pod behind it has another name.
#[must_use]
pub fn service() -> Verdict {
    let mut verdict = cross_node();
    verdict.to.name = "networking101/web:80".into();
    verdict.probes = Probes {
        protocol: Some(Protocol::Tcp),
        port: Some(80),
        bytes: Some(60),
    };
    verdict
}

/// To an external address: nothing is observed after the uplink.
#[must_use]
pub fn external() -> Verdict {
    let mut verdict = cross_node();
    verdict.to = Hop {
        name: "192.0.2.7".into(),
        address: Some("192.0.2.7".into()),
        ..Hop::default()
    };
    verdict.probes.protocol = Some(Protocol::Udp);
    verdict.probes.port = Some(53);
    verdict.request = vec![
        first(row(NODE, Some(A), "< eth0")),
        row(NODE, Some(A), &format!("> {LXC_A}")),
        row(NODE, None, "< eth0"),
    ];
    verdict.reply = reversed(&verdict.request);
    verdict.notes = vec![Note::DoorsNotWatched { doors: 12 }];
    verdict
}

/// Passive: a sample of heavy traffic.
#[must_use]
pub fn passive() -> Verdict {
    let mut verdict = cross_node();
    verdict.probes = Probes {
        protocol: None,
        port: Some(80),
        bytes: None,
    };
    verdict.traffic = Some(Traffic {
        seconds: 10.0,
        protocol: Some(Protocol::Tcp),
        request_packets: 79_872,
        reply_packets: 40_100,
        followed_one_in: 64,
        returned: 7,
    });
    verdict.replied = 7;
    verdict.round_trip_microseconds = None;
    verdict.round_trip_worst_microseconds = None;
    for row in &mut verdict.request {
        row.packets = Some(79_872);
    }
    for row in &mut verdict.reply {
        row.seen = Some(7);
        row.packets = Some(40_100);
    }
    verdict
}

/// Passive: no traffic.
#[must_use]
pub fn passive_nothing() -> Verdict {
    let mut verdict = passive();
    verdict.verdict = Kind::Unclear;
    (verdict.sent, verdict.delivered, verdict.replied) = (0, 0, 0);
    verdict.traffic = Some(Traffic {
        seconds: 10.0,
        followed_one_in: 1,
        ..Traffic::default()
    });
    verdict.probes.port = None;
    for row in &mut verdict.request {
        seen(row, 0);
        row.packets = Some(0);
    }
    verdict.reply.clear();
    verdict.unclear = vec![Doubt::NothingFound];
    verdict.notes.clear();
    verdict
}

/// Returns all of them by name.
#[must_use]
pub fn all() -> Vec<(&'static str, Verdict)> {
    vec![
        ("cross_node", cross_node()),
        ("same_node", same_node()),
        ("host_routing", host_routing()),
        ("lost_by_policy", lost_by_policy()),
        ("lost_reply", lost_reply()),
        ("circle", circle()),
        ("detour", detour()),
        ("hidden", hidden()),
        ("service", service()),
        ("external", external()),
        ("passive", passive()),
        ("passive_nothing", passive_nothing()),
    ]
}

/// Returns any verdict that the types allow.
#[must_use]
pub fn arbitrary(random: &mut Random) -> Verdict {
    let kinds = [Kind::Verified, Kind::Detour, Kind::Lost, Kind::Unclear];
    let mut verdict = cross_node();
    verdict.verdict = kinds[usize::try_from(random.below(4)).unwrap_or(0)];
    verdict.sent = number(random);
    verdict.delivered = number(random);
    verdict.replied = number(random);
    verdict.test = maybe(random, test_result);
    verdict.from = hop(random);
    verdict.to = hop(random);
    verdict.mode = maybe(random, Random::text);
    verdict.probes.protocol = maybe(random, protocol);
    verdict.traffic = random.once_in(2).then(|| traffic(random));
    verdict.round_trip_microseconds = maybe(random, time);
    verdict.round_trip_worst_microseconds = maybe(random, time);
    verdict.request = many(random, crossing);
    verdict.reply = many(random, crossing);
    verdict.losses = many(random, loss);
    verdict.detours = many(random, detour_fact);
    verdict.unclear = many(random, doubt);
    verdict.notes = many(random, note);
    verdict
}

fn maybe<T>(random: &mut Random, of: fn(&mut Random) -> T) -> Option<T> {
    (!random.once_in(3)).then(|| of(random))
}

fn many<T>(random: &mut Random, of: fn(&mut Random) -> T) -> Vec<T> {
    (0..random.below(6)).map(|_| of(random)).collect()
}

fn number(random: &mut Random) -> u32 {
    match random.below(4) {
        0 => 0,
        1 => u32::MAX,
        _ => u32::try_from(random.below(20)).unwrap_or(0),
    }
}

fn time(random: &mut Random) -> f64 {
    let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, f64::MIN_POSITIVE];
    match random.below(2) {
        0 => odd[usize::try_from(random.below(6)).unwrap_or(0)],
        _ => f64::from(number(random)) / 7.0,
    }
}

fn name(random: &mut Random) -> Untrusted {
    random.text().into()
}

fn hop(random: &mut Random) -> Hop {
    Hop {
        node: maybe(random, name),
        pod: maybe(random, name),
        name: name(random),
        address: maybe(random, Random::text),
    }
}

fn test_result(random: &mut Random) -> TestResult {
    let why = maybe(random, Random::text);
    TestResult {
        name: maybe(random, name),
        passed: why.is_none(),
        why,
    }
}

fn crossing(random: &mut Random) -> CrossingRow {
    CrossingRow {
        door: (random.below(4) > 0).then(|| {
            let (netns, index) = (1000 + 1000 * random.below(2), 2 + random.below(12));
            DoorId::new(
                NetNsId(netns + random.below(3)),
                u32::try_from(index).unwrap_or(2),
            )
        }),
        node: name(random),
        pod: maybe(random, name),
        side: if random.once_in(2) {
            Side::Pod
        } else {
            Side::Node
        },
        interface: name(random),
        role: if random.once_in(2) {
            Role::Pod
        } else {
            Role::Other
        },
        programs: maybe(random, |random| vec![name(random)]),
        direction: if random.once_in(2) {
            Direction::Ingress
        } else {
            Direction::Egress
        },
        expected: random.once_in(2),
        seen: maybe(random, number),
        of: maybe(random, number),
        repeated: number(random),
        skipped_by: maybe(random, Random::text),
        median_microseconds: maybe(random, time),
        worst_microseconds: maybe(random, time),
        tunnel: random.once_in(2).then(|| Tunnel {
            identity: number(random),
            node: maybe(random, name),
        }),
        outer: random.once_in(2),
        packets: maybe(random, |random| u64::from(number(random))),
        note: maybe(random, row_note),
    }
}

fn traffic(random: &mut Random) -> Traffic {
    Traffic {
        seconds: f64::from(number(random)) / 7.0,
        protocol: maybe(random, protocol),
        request_packets: u64::from(number(random)),
        reply_packets: u64::from(number(random)),
        followed_one_in: u64::from(number(random)),
        returned: number(random),
    }
}

fn drop_reason(random: &mut Random) -> DropReason {
    DropReason {
        reason: maybe(random, Random::text),
        function: maybe(random, Random::text),
        device: maybe(random, name),
        place: maybe(random, name),
        packets: number(random),
    }
}

fn place(random: &mut Random) -> usize {
    usize::try_from(random.below(9)).unwrap_or(0)
}

fn way(random: &mut Random) -> Way {
    Way::BOTH[usize::from(random.once_in(2))]
}

fn protocol(random: &mut Random) -> Protocol {
    let all = [Protocol::Icmp, Protocol::Udp, Protocol::Tcp];
    all[usize::try_from(random.below(3)).unwrap_or(0)]
}

fn hidden_reason(random: &mut Random) -> HiddenReason {
    match random.below(3) {
        0 => HiddenReason::NotAttached {
            error: random.text(),
        },
        1 => HiddenReason::Displaced {
            programs: many(random, Random::text),
        },
        _ => HiddenReason::Detached,
    }
}

fn row_note(random: &mut Random) -> RowNote {
    match random.below(3) {
        0 => RowNote::Hidden {
            reason: hidden_reason(random),
        },
        1 => RowNote::Encrypted { by: random.text() },
        _ => RowNote::Besides,
    }
}

fn detour_fact(random: &mut Random) -> Detour {
    match random.below(3) {
        0 => Detour::Doors {
            way: way(random),
            crossed: many(random, place),
            passed_by: many(random, place),
            packets: number(random),
            of: number(random),
        },
        1 => Detour::Tunnel {
            way: way(random),
            row: place(random),
            expected: random.once_in(2),
            packets: number(random),
            of: number(random),
        },
        _ => Detour::Absent {
            device: random.text(),
            node: random.text(),
        },
    }
}

fn doubt(random: &mut Random) -> Doubt {
    match random.below(6) {
        0 => Doubt::NothingFound,
        5 => Doubt::Remote {
            pod: name(random),
            node: name(random),
        },
        1 => Doubt::NoDoors {
            name: random.text(),
        },
        2 => Doubt::ServiceTranslated {
            service: maybe(random, Random::text),
            backends: many(random, Random::text),
            error: maybe(random, Random::text),
        },
        3 => Doubt::Hidden {
            way: way(random),
            rows: many(random, place),
            reason: hidden_reason(random),
        },
        _ => Doubt::MayBeTranslated {
            way: way(random),
            row: place(random),
            name: random.text(),
        },
    }
}

fn note(random: &mut Random) -> Note {
    match random.below(6) {
        5 => Note::DeliveredToBackends {
            shares: many(random, |random| BackendShare {
                pod: random.text(),
                packets: number(random),
            }),
        },
        4 => Note::Chosen {
            asked: random.text(),
            pod: random.text(),
            of: place(random),
        },
        0 => Note::DeliveredTo { pod: random.text() },
        1 => Note::Refused {
            packets: number(random),
            answer: random.text(),
            limited: number(random),
            by_netfilter: random.once_in(2),
        },
        2 => Note::Repeated {
            way: way(random),
            row: place(random),
            times: number(random),
            encrypted: random.once_in(2),
        },
        _ => Note::HostNotCrossed,
    }
}

fn interface(random: &mut Random) -> Interface {
    Interface {
        interface: random.text().into(),
        location: location(random),
    }
}

fn location(random: &mut Random) -> Location {
    Location {
        node: random.text().into(),
        pod: maybe(random, |random| random.text().into()),
        side: [Side::Pod, Side::Node, Side::Host][random.below(3) as usize],
        netns: maybe(random, Random::text),
    }
}

fn program(random: &mut Random) -> Program {
    Program {
        name: random.text().into(),
        attachment: Attachment::Xdp,
        owner: [Owner::Cilium, Owner::Other][random.below(2) as usize],
        held_by: many(random, |random| Process {
            pid: number(random),
            command: random.text().into(),
        }),
    }
}

fn cause(random: &mut Random) -> Cause {
    match random.below(12) {
        10 => Cause::OtherReceiver {
            row: maybe(random, place),
            answered: number(random),
        },
        11 => Cause::OwnAddress,
        0 => Cause::KernelDrop {
            drop: drop_reason(random),
            location: maybe(random, location),
            tunnel_port: None,
        },
        1 => Cause::Error {
            error: random.text(),
            from: None,
        },
        2 => Cause::NoReply { row: place(random) },
        3 => Cause::Programs {
            programs: many(random, program),
            at: interface(random),
            direction: Direction::Ingress,
            dropped: random.once_in(2),
        },
        4 => Cause::LinkDown {
            at: interface(random),
        },
        5 => Cause::TooLong {
            bytes: number(random),
            overhead: number(random),
            mtu: number(random),
            at: interface(random),
        },
        6 => Cause::NoRoute {
            to: IpAddr::from([10, 0, 0, 1]),
            location: location(random),
        },
        7 => Cause::CiliumDrops {
            node: random.text(),
            drops: many(random, |random| CiliumDrop {
                reason: random.text(),
                direction: None,
                packets: 3,
                by_policy: random.once_in(2),
            }),
            policies: many(random, |random| Policy {
                kind: random.text(),
                namespace: maybe(random, |random| random.text().into()),
                name: random.text().into(),
            }),
            unread: many(random, |random| Unread {
                resource: random.text(),
                reason: match random.below(4) {
                    0 => UnreadReason::Forbidden,
                    1 => UnreadReason::NotInstalled,
                    2 => UnreadReason::TooMany,
                    _ => UnreadReason::Failed {
                        error: random.text(),
                    },
                },
            }),
        },
        8 => Cause::WrongNeighbour {
            address: IpAddr::from([10, 0, 0, 1]),
            mac: random.text(),
            at: interface(random),
            right: random.text(),
            neighbour: interface(random),
        },
        12 => Cause::MacvlanMode {
            mode: MacvlanMode::Private,
            at: interface(random),
            lower: interface(random),
        },
        9 => Cause::NoNeighbour {
            address: IpAddr::from([10, 0, 0, 1]),
            at: interface(random),
        },
        _ => Cause::Circle,
    }
}

fn loss(random: &mut Random) -> Loss {
    Loss {
        way: way(random),
        packets: number(random),
        of: number(random),
        first: maybe(random, number),
        last: maybe(random, number),
        after: maybe(random, place),
        before: maybe(random, place),
        circle: many(random, place),
        drop_reason: maybe(random, drop_reason),
        causes: many(random, cause),
    }
}
