//! The blog's cluster as plain data, for views, without a kernel.

use std::time::Duration;

use ipnet::IpNet;
use netviz::{
    count::LossTracker,
    feed::assemble,
    model::{
        AttachState, Chain, Cluster, Counts, Direction, Door, DoorId, DoorSample, LinkState, Netns,
        Node, Peer, Pod, Reason, Role, Sample, Side, Snapshot, Source, SourceStatus, Status,
    },
    sys::netns::NetNsId,
};

/// Parses an address with prefix length.
///
/// # Panics
/// If the text is invalid.
#[must_use]
pub fn net(text: &str) -> IpNet {
    text.parse().expect("an address with its prefix length")
}

/// A cluster under construction, and the counts of its doors.
#[derive(Default)]
pub struct SnapshotBuilder {
    /// Nodes and doors.
    pub cluster: Cluster,
    /// The earlier reading.
    pub before: Sample,
    /// The later reading.
    pub now: Sample,
}

/// One end of a veth pair.
pub struct End {
    netns: u64,
    ifindex: u32,
    interface: &'static str,
}

/// Returns an interface by namespace, index and name.
#[must_use]
pub fn end(netns: u64, ifindex: u32, interface: &'static str) -> End {
    End {
        netns,
        ifindex,
        interface,
    }
}

impl End {
    fn id(&self) -> DoorId {
        DoorId::new(NetNsId(self.netns), self.ifindex)
    }
}

/// Returns the counts of a hook: packets, segments and bytes.
#[must_use]
pub fn counts(packets: u64, segments: u64, bytes: u64) -> Counts {
    Counts {
        packets,
        segments,
        bytes,
    }
}

impl SnapshotBuilder {
    /// Adds a node.
    pub fn node(&mut self, name: &str, netns: u64, addresses: &[&str]) -> usize {
        self.cluster.nodes.push(Node {
            name: name.into(),
            netns: NetNsId(netns),
            cilium: true,
            addresses: addresses.iter().map(|text| net(text)).collect(),
            ..Node::default()
        });
        self.cluster.nodes.len() - 1
    }

    /// Adds a door that counts, with counts of 0.
    pub fn door(&mut self, node: usize, side: Side, role: Role, end: &End) -> &mut Door {
        let [a, b] = end.ifindex.to_be_bytes()[2..] else {
            unreachable!("an index has four bytes")
        };
        let sample = DoorSample {
            meter: AttachState::Counting,
            ingress: Some(Counts::default()),
            egress: Some(Counts::default()),
            ingress_chain: Some(Chain::default()),
            egress_chain: Some(Chain::default()),
            ..DoorSample::default()
        };
        self.before.doors.insert(end.id(), sample.clone());
        self.now.doors.insert(end.id(), sample);
        self.cluster.doors.push(Door {
            id: end.id(),
            node,
            side,
            role,
            interface: end.interface.into(),
            pod: None,
            namespace: None,
            named_by: None,
            kind: Some("veth".into()),
            peer: None,
            lower: None,
            macvlan: None,
            addresses: Vec::new(),
            mac: Some(format!("02:6e:{:02x}:00:{a:02x}:{b:02x}", end.netns & 0xff)),
            mtu: Some(1500),
            link_state: Some(LinkState::Up),
            netns_cookie: None,
            problem: None,
        });
        self.cluster.doors.last_mut().expect("just added")
    }

    /// Adds a veth pair; its far end comes first, as in the output.
    pub fn pair(&mut self, node: usize, role: Role, far_side: Side, far: &End, near: &End) {
        let peer = |end: &End| {
            Some(Peer {
                id: end.id(),
                interface: Some(end.interface.into()),
            })
        };
        self.door(node, far_side, role, far).peer = peer(near);
        self.door(node, Side::Node, role, near).peer = peer(far);
    }

    /// Adds a pod: its eth0 and the node's lxc device.
    pub fn pod(&mut self, node: usize, name: &str, address: &str, far: &End, near: &End) {
        self.pair(node, Role::Pod, Side::Pod, far, near);
        let [.., eth0, lxc] = &mut self.cluster.doors[..] else {
            unreachable!("just added")
        };
        eth0.pod = Some(name.into());
        lxc.pod = Some(name.into());
        eth0.addresses = vec![net(address)];
    }

    /// Adds a pod with host network.
    pub fn host_network_pod(&mut self, node: usize, name: &str) {
        let home = &self.cluster.nodes[node];
        let pod = Pod {
            node: home.name.clone(),
            namespace: Some("kube-system".into()),
            name: name.into(),
            netns: Some(home.netns),
            sources: vec![Source::Kubelet],
            ..Pod::default()
        };
        self.cluster.pods.push(pod);
    }

    /// Returns the door with that index in that namespace.
    pub fn at(&mut self, netns: u64, ifindex: u32) -> &mut Door {
        let id = DoorId::new(NetNsId(netns), ifindex);
        let mut doors = self.cluster.doors.iter_mut();
        doors.find(|door| door.id == id).expect("no such door")
    }

    /// Returns the later reading of a door.
    pub fn now(&mut self, netns: u64, ifindex: u32) -> &mut DoorSample {
        let id = DoorId::new(NetNsId(netns), ifindex);
        self.now.doors.get_mut(&id).expect("no such door")
    }

    /// Sets both readings of a door: ingress and egress, each before and now.
    pub fn read(&mut self, netns: u64, ifindex: u32, ingress: [Counts; 2], egress: [Counts; 2]) {
        let id = DoorId::new(NetNsId(netns), ifindex);
        let [before, now] =
            [&mut self.before, &mut self.now].map(|sample| sample.doors.get_mut(&id));
        let (before, now) = (before.expect("no such door"), now.expect("no such door"));
        (before.ingress, now.ingress) = (Some(ingress[0]), Some(ingress[1]));
        (before.egress, now.egress) = (Some(egress[0]), Some(egress[1]));
    }

    /// Sets the same counts at both ends of a veth pair, in both directions.
    pub fn flow(&mut self, far: (u64, u32), near: (u64, u32), before: u64, now: u64) {
        let of = |packets| counts(packets, packets, packets * 98);
        let both = [of(before), of(now)];
        self.read(far.0, far.1, both, both);
        self.read(near.0, near.1, both, both);
    }

    /// Returns the snapshot at the later reading, one second after the earlier one.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut ledger = LossTracker::default();
        let pairs = self.cluster.pairs();
        // Two readings at the start, then the interval.
        let mut start = self.before.clone();
        start.at = Duration::ZERO;
        ledger.observe(&pairs, &start, &start);
        let mut before = self.before.clone();
        before.at = Duration::from_secs(1);
        ledger.observe(&pairs, &start, &before);
        let mut now = self.now.clone();
        now.at = Duration::from_secs(2);
        let between = Sample {
            at: Duration::from_millis(1900),
            ..now.clone()
        };
        ledger.observe(&pairs, &before, &between);
        assemble(&self.cluster, Some(&before), &now, &mut ledger, taken_at())
    }
}

/// Time of all snapshots.
#[must_use]
pub fn taken_at() -> jiff::Timestamp {
    "2024-05-06T07:08:09.123456789Z"
        .parse()
        .expect("a constant")
}

const HOST: u64 = 4_026_531_840;
const ONE: u64 = 4_026_532_100;
const TWO: u64 = 4_026_532_200;

/// Returns the blog's cluster with every state of a door: a bypassed lxc, a loss, an unreachable
/// door, one with a foreign program ahead, one that is gone, one that is pending, and hostile
/// names.
#[must_use]
pub fn blog() -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::default();
    let one = builder.node("mycluster-worker", ONE, &["172.18.0.2/16"]);
    builder.pod(
        one,
        "busybox-c8bbbbb84-t6ggh",
        "10.10.2.117/32",
        &end(ONE + 1, 8, "eth0"),
        &end(ONE, 9, "lxc4a891387ff1a"),
    );
    builder.flow((ONE + 1, 8), (ONE, 9), 1_192, 1_204);
    // Packets to this pod bypass the lxc device.
    builder.pod(
        one,
        "netshoot-7d996d7884-fwt8z",
        "10.10.2.121/32",
        &end(ONE + 2, 12, "eth0"),
        &end(ONE, 13, "lxc73d2e1d7cf4f"),
    );
    let packets = |packets| counts(packets, packets, 98 * packets);
    let none = [packets(0); 2];
    let came = [packets(297), packets(300)];
    builder.read(ONE + 2, 12, came, came);
    builder.read(ONE, 13, came, none);
    builder.pair(
        one,
        Role::Health,
        Side::Pod,
        &end(ONE + 3, 6, "eth0"),
        &end(ONE, 7, "lxc_health"),
    );
    builder.at(ONE + 3, 6).addresses = vec![net("10.10.2.250/32")];
    builder.flow((ONE + 3, 6), (ONE, 7), 12, 12);
    builder.pair(
        one,
        Role::CiliumHost,
        Side::Node,
        &end(ONE, 2, "cilium_net"),
        &end(ONE, 3, "cilium_host"),
    );
    builder.at(ONE, 3).addresses = vec![net("10.10.2.205/32")];
    builder.door(one, Side::Node, Role::Overlay, &end(ONE, 4, "cilium_vxlan"));
    builder.at(ONE, 4).kind = Some("vxlan".into());
    let tunnel = [
        counts(1_000, 41_000, 61_000_000),
        counts(1_506, 61_315, 91_234_567),
    ];
    builder.read(ONE, 4, tunnel, tunnel);
    // The peer of eth0 is in an unknown namespace.
    let eth0 = builder.door(one, Side::Node, Role::Uplink, &end(ONE, 5, "eth0"));
    eth0.addresses = vec![net("172.18.0.2/16")];
    let outside = DoorId {
        netns: Netns::Unreached {
            node: NetNsId(ONE),
            nsid: 4,
        },
        ..DoorId::new(NetNsId(ONE), 6)
    };
    eth0.peer = Some(Peer {
        id: outside,
        interface: None,
    });
    let mut wire = eth0.clone();
    wire.peer = Some(Peer {
        id: wire.id,
        interface: Some("eth0".into()),
    });
    wire.id = outside;
    wire.side = Side::Host;
    wire.interface = String::new();
    wire.addresses.clear();
    wire.mac = None;
    wire.mtu = None;
    wire.link_state = None;
    wire.problem = Some(Reason::Unreachable { nsid: 4 });
    builder.cluster.doors.push(wire);
    builder.read(ONE, 5, tunnel, tunnel);
    builder.host_network_pod(one, "kube-proxy-9vd2t");
    builder.host_network_pod(one, "cilium-5r2xk");
    second_node(&mut builder);
    builder.cluster.sources = vec![
        SourceStatus {
            source: Source::Kernel,
            node: None,
            status: Status::OK,
        },
        SourceStatus {
            source: Source::Cilium,
            node: None,
            status: Status::Failed {
                reason: "no socket at /var/run/cilium/cilium.sock".into(),
            },
        },
    ];
    builder
}

fn second_node(builder: &mut SnapshotBuilder) {
    let two = builder.node(
        "mycluster-worker2",
        TWO,
        &["172.18.0.4/16", "fc00:f853:ccd:e793::4/64"],
    );
    // 12 of 20 packets from the lxc device never reach the pod.
    builder.pod(
        two,
        "busybox-c8bbbbb84-fmhwc",
        "10.10.1.164/32",
        &end(TWO + 1, 10, "eth0"),
        &end(TWO, 11, "lxc174c023046ff"),
    );
    let packets = |packets| counts(packets, packets, 98 * packets);
    builder.read(TWO + 1, 10, [packets(0), packets(8)], [packets(0); 2]);
    builder.read(TWO, 11, [packets(0); 2], [packets(0), packets(20)]);
    // Names of 63 bytes; two pods of one deployment differ only at the end.
    for (ifindex, name) in [
        (
            13,
            "a-deployment-with-a-name-that-is-as-long-as-they-get-75f9-x2x4k",
        ),
        (
            15,
            "a-deployment-with-a-name-that-is-as-long-as-they-get-75f9-x2x5k",
        ),
    ] {
        let lxc = if ifindex == 13 {
            "lxce84a702bb02c"
        } else {
            "lxce84a702bb02d"
        };
        builder.pod(
            two,
            name,
            "10.10.1.155/32",
            &end(TWO + u64::from(ifindex), ifindex - 1, "eth0"),
            &end(TWO, ifindex, lxc),
        );
        for netns in [TWO, TWO + u64::from(ifindex)] {
            let ifindex = if netns == TWO { ifindex } else { ifindex - 1 };
            builder.at(netns, ifindex).namespace = Some("networking101".into());
        }
    }
    builder.now(TWO, 13).ingress_chain = Some(Chain {
        ahead: vec!["filter_x".into()],
        behind: vec!["cil_from_contai".into()],
    });
    // Whoever creates a pod chooses its hostname and the names of its interfaces.
    builder.pod(
        two,
        "evil\u{1b}[2J\u{202e}pod\r\nmycluster-worker  10.0.0.1",
        "10.10.1.66/32",
        &end(TWO + 4, 16, "e\u{1b}[31mth0"),
        &end(TWO, 17, "lxc0badc0ffee00"),
    );
    builder.pod(
        two,
        "観測点-データベース-プライマリ-零壱",
        "10.10.1.77/32",
        &end(TWO + 5, 18, "インタフ"),
        &end(TWO, 19, "lxc0123456789ab"),
    );
    builder.flow((TWO + 5, 18), (TWO, 19), 1_234_567_000, 1_234_567_890);
    builder.pod(
        two,
        "new-pod",
        "10.10.1.88/32",
        &end(TWO + 6, 20, "eth0"),
        &end(TWO, 21, "lxcaaaaaaaaaaaa"),
    );
    for place in [(TWO + 6, 20), (TWO, 21)] {
        let sample = builder.now(place.0, place.1);
        *sample = DoorSample::default();
    }
    let eth0 = end(TWO, 9, "eth0");
    builder.pair(
        two,
        Role::Uplink,
        Side::Host,
        &end(HOST, 10, "veth-worker2"),
        &eth0,
    );
    let last = builder.cluster.doors.len() - 1;
    builder.cluster.doors.swap(last - 1, last);
    builder.at(TWO, 9).addresses = vec![net("172.18.0.4/16")];
    builder.flow((HOST, 10), (TWO, 9), 0, 250);
    // A deleted pod.
    builder.pod(
        two,
        "gone-pod",
        "10.10.1.99/32",
        &end(TWO + 7, 22, "eth0"),
        &end(TWO, 23, "lxcbbbbbbbbbbbb"),
    );
    for place in [(TWO + 7, 22), (TWO, 23)] {
        let sample = builder.now(place.0, place.1);
        sample.meter = AttachState::Gone;
        sample.ingress = Some(packets(77));
        sample.egress = Some(packets(78));
    }
}

/// Returns a cluster with `nodes` nodes of `pods` pods each, with or without a tunnel.
#[must_use]
pub fn cluster(nodes: u64, pods: u32, tunnel: bool) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::default();
    for node in 1..=nodes {
        let netns = node * 1_000;
        let place = builder.node(&format!("worker{node}"), netns, &["172.18.0.2/16"]);
        let (net, host) = (end(netns, 2, "cilium_net"), end(netns, 3, "cilium_host"));
        builder.pair(place, Role::CiliumHost, Side::Node, &net, &host);
        if tunnel {
            let vxlan = end(netns, 4, "cilium_vxlan");
            builder.door(place, Side::Node, Role::Overlay, &vxlan).kind = Some("vxlan".into());
        }
        let eth0 = end(netns, 5, "eth0");
        builder
            .door(place, Side::Node, Role::Uplink, &eth0)
            .addresses = vec![self::net(&format!("172.18.0.{}/16", node + 1))];
        for pod in 0..pods {
            let index = 10 + 2 * pod;
            builder.pod(
                place,
                &format!("shop-{pod}-7d996d7884-{node}{pod:04}"),
                &format!("10.{node}.0.{}/32", pod + 1),
                &end(netns + 1 + u64::from(pod), index, "eth0"),
                &end(netns, index + 1, "lxc0123456789ab"),
            );
        }
    }
    builder
}

/// Returns a random cluster: sizes, names, counts and states.
#[must_use]
pub fn any(random: &mut super::random::Random) -> Snapshot {
    let (nodes, tunnel) = (1 + random.below(4), random.below(2) == 0);
    let pods = u32::try_from(random.below(9)).unwrap_or(0);
    let mut builder = cluster(nodes, pods, tunnel);
    let names = [
        "a",
        "観測点-データベース",
        "shop-…",
        "e\u{301}\u{200d}x",
        &"n".repeat(130),
        "x y  z",
    ];
    let mut pick = |many: usize| usize::try_from(random.below(many as u64)).unwrap_or(0);
    for door in &mut builder.cluster.doors {
        match pick(8) {
            0 => door.pod = door.pod.is_some().then(|| names[pick(names.len())].into()),
            1 => door.interface = names[pick(names.len())].into(),
            2 => {
                door.problem = Some(Reason::Displaced {
                    direction: Direction::Egress,
                    programs: vec![names[4].into(); pick(3)],
                })
            }
            3 => door.addresses = vec![net("fd00:1234:5678:9abc:def0:1234:5678:9abc/128"); pick(4)],
            4 => door.peer = None,
            5 => door.mac = None,
            _ => {}
        }
    }
    for node in 0..builder.cluster.nodes.len() {
        for _ in 0..pick(6) {
            builder.host_network_pod(node, names[pick(names.len())]);
        }
    }
    for sample in builder.now.doors.values_mut() {
        let packets = [0, 1, 12, 99_999_999_999][pick(4)];
        match pick(4) {
            0 => *sample = DoorSample::default(),
            1 => sample.ingress = Some(counts(packets, packets, packets)),
            2 => sample.egress = Some(counts(packets, packets, packets)),
            _ => {}
        }
    }
    builder.snapshot()
}
