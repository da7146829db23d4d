//! Invariant 3 in the lab: counts at both ends of each veth pair, in each routing mode, compared
//! with the sender's number, the kernel's statistics and tcpdump.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use netviz::{
    attach::{AttachMode, AttachOptions},
    lab::{Attach, Lab, Mode, Options, Pod, UDP_PORT, traffic},
    model::{Counts, Direction, Door, DoorId, Role, Sample, Side},
    sys::netlink::Netlink,
};
use netviz_tests::{
    bpf::skip,
    cli::{observation::Observation, wait::settle},
    netns::{
        send::HEADERS,
        stats::{self, LinkStats},
        tcpdump::Tcpdump,
    },
};

const SENT: u16 = 40;
const SIZE: usize = 200;
const ARRIVAL: Duration = Duration::from_secs(5);

/// A lab with netviz at all doors.
struct Watched {
    lab: Lab,
    netviz: Observation,
}

/// Counts of every hook and statistics of every link.
type Measure = BTreeMap<DoorId, ([Counts; 2], LinkStats)>;

impl Watched {
    fn new(mode: Mode, attach: Attach) -> Self {
        let options = Options {
            mode,
            attach,
            ..Options::default()
        };
        let lab = Lab::up(&options).unwrap();
        let nodes = lab.nodes().iter().map(|node| node.pid.to_string());
        let clsact = attach == Attach::Clsact;
        let options = AttachOptions {
            fast: false,
            mode: clsact.then_some(AttachMode::Clsact),
        };
        let netviz = Observation::start(nodes.collect(), options).unwrap();
        Self { lab, netviz }
    }

    /// Returns a pod, another pod of its node, and one of the other node.
    fn pods(&self) -> [&Pod; 3] {
        let pods = self.lab.pods();
        let a = &pods[0];
        let b = pods[1..].iter().find(|pod| pod.node == a.node).unwrap();
        let c = pods.iter().find(|pod| pod.node != a.node).unwrap();
        [a, b, c]
    }

    fn measure(&mut self) -> Measure {
        let sample = self.netviz.sample();
        let mut links = BTreeMap::new();
        for paths in self.netviz.found.entrances.values() {
            let namespace = paths[0].open().unwrap();
            let mut netlink = Netlink::open_in(&namespace).unwrap();
            for (index, stats) in stats::links(&mut netlink).unwrap() {
                links.insert(DoorId::new(namespace.id(), index), stats);
            }
        }
        let doors = sample.doors.keys();
        doors
            .map(|id| (*id, (both(&sample, *id), links[id])))
            .collect()
    }

    /// Returns the changes that `SENT` datagrams and their replies cause.
    fn exchange(&mut self, from: &Pod, to: &Pod) -> Measure {
        let before = self.measure();
        let namespace = self.lab.netns(from).unwrap();
        let to = SocketAddr::new(to.address.into(), UDP_PORT);
        // Each reply is awaited: when this returns, the last one has crossed its last door.
        let answered = traffic::udp(&namespace, to, SENT, SIZE).unwrap();
        assert_eq!(answered, SENT);
        let now = self.measure();
        let change = now.into_iter().map(|(id, (counts, links))| {
            let (counts_before, links_before) = before[&id];
            let counts = [0, 1].map(|hook: usize| minus(counts[hook], counts_before[hook]));
            (id, (counts, links - links_before))
        });
        change.collect()
    }

    fn door(&self, pod: &Pod, interface: &str) -> Door {
        let index = if interface == "eth0" {
            pod.eth0.index
        } else {
            pod.interface.index
        };
        let namespace = if interface == "eth0" {
            self.lab.netns(pod)
        } else {
            let mut nodes = self.lab.nodes().iter();
            self.lab
                .netns(nodes.find(|node| node.name == pod.node).unwrap())
        };
        let id = DoorId::new(namespace.unwrap().id(), index);
        self.netviz.found.cluster.door(id).unwrap().clone()
    }
}

fn both(sample: &Sample, id: DoorId) -> [Counts; 2] {
    let door = &sample.doors[&id];
    [door.ingress, door.egress].map(|counts| counts.expect("a counted door"))
}

fn minus(now: Counts, before: Counts) -> Counts {
    Counts {
        packets: now.packets - before.packets,
        segments: now.segments - before.segments,
        bytes: now.bytes - before.bytes,
    }
}

/// Returns the counts of all sent datagrams.
fn all() -> Counts {
    Counts {
        packets: SENT.into(),
        segments: SENT.into(),
        bytes: u64::from(SENT) * (SIZE as u64 + HEADERS),
    }
}

/// Returns the link's expected statistics: equal to the hook's counts, except for known
/// differences.
fn expected_stats(door: &Door, counts: [Counts; 2]) -> LinkStats {
    let [ingress, egress] = counts;
    let mut link = LinkStats {
        rx_packets: ingress.packets,
        rx_bytes: ingress.bytes,
        tx_packets: egress.packets,
        tx_bytes: egress.bytes,
        tx_dropped: 0,
    };
    if door.interface == "cilium_host" {
        // cil_from_host redirects at egress, before the link counts.
        (link.tx_packets, link.tx_bytes) = (0, 0);
    }
    if door.role == Role::Overlay {
        // The tunnel device does not count the bytes in place of the Ethernet header.
        link.rx_bytes -= 14 * ingress.packets;
        link.tx_bytes -= 14 * egress.packets;
    }
    link
}

fn check_exchange(watched: &mut Watched, what: &str, from: &Pod, to: &Pod) {
    let mode = watched.lab.options().mode;
    let change = watched.exchange(from, to);
    // Past the egress hook of the receiver's veth pair: bpf_redirect_peer.
    let to_pod = if mode.bypasses_stack() {
        Counts::default()
    } else {
        all()
    };
    for pod in [from, to] {
        let own = watched.door(pod, "eth0");
        let node = watched.door(pod, "lxc");
        assert_eq!(
            change[&own.id].0,
            [all(), all()],
            "{what}: eth0 of {}",
            pod.name
        );
        assert_eq!(
            change[&node.id].0,
            [all(), to_pod],
            "{what}: lxc of {}",
            pod.name
        );
    }
    for door in &watched.netviz.found.cluster.doors {
        let (counts, link) = change[&door.id];
        let mut expected = expected_stats(door, counts);
        let is_silent = skip::is_before((6, 7)) && link.rx_packets == 0;
        if mode.bypasses_stack() && door.side == Side::Pod && is_silent {
            // Before Linux 6.7, unless it was backported, links do not count what bpf_redirect_peer
            // delivers; the hook's counts are compared above.
            (expected.rx_packets, expected.rx_bytes) = (0, 0);
        }
        assert_eq!(
            link,
            expected,
            "{what}: {} on node {}",
            door.label(),
            door.node
        );
    }
}

fn check_mode(mode: Mode, attach: Attach) {
    let mut watched = Watched::new(mode, attach);
    let [a, b, c] = watched.pods().map(Clone::clone);
    check_exchange(&mut watched, &format!("{mode} on one node"), &a, &b);
    check_exchange(&mut watched, &format!("{mode} across nodes"), &a, &c);
    watched.lab.down().unwrap();
}

#[test]
fn vxlan() {
    check_mode(Mode::Vxlan, Attach::Auto);
}

#[test]
fn vxlan_host_routing() {
    check_mode(Mode::VxlanHostRouting, Attach::Auto);
}

#[test]
fn native() {
    check_mode(Mode::Native, Attach::Auto);
}

#[test]
fn native_host_routing() {
    check_mode(Mode::NativeHostRouting, Attach::Auto);
}

#[test]
fn native_endpoint_routes() {
    check_mode(Mode::NativeEndpointRoutes, Attach::Auto);
}

/// As on kernels without tcx.
#[test]
fn vxlan_in_clsact() {
    check_mode(Mode::Vxlan, Attach::Clsact);
}

/// Each node has an lxc 11 and an lxc 13; the traffic crosses only one of the two.
#[test]
fn equal_ifindexes_of_two_nodes_are_kept_apart() {
    let mut watched = Watched::new(Mode::Vxlan, Attach::Auto);
    let [a, b, _] = watched.pods().map(Clone::clone);
    let change = watched.exchange(&a, &b);
    let mut twins = 0;
    for pod in [&a, &b] {
        let own = watched.door(pod, "lxc").id;
        for (id, (counts, _)) in &change {
            let door = watched.netviz.found.cluster.door(*id).unwrap();
            if id.ifindex == own.ifindex && *id != own && door.role == Role::Pod {
                let of_these = door.id.netns == watched.door(pod, "eth0").id.netns;
                assert!(of_these || counts[0].packets == 0, "{}", door.label());
                twins += usize::from(!of_these);
            }
        }
    }
    assert!(
        twins > 0,
        "no index exists twice, so the test proves nothing"
    );
}

/// tcpdump at each door of a path, in both directions, counts as many packets as netviz.
#[test]
fn tcpdump_counts_the_same() {
    if skip::without_programs(&["tcpdump", "nsenter"]) {
        return;
    }
    for mode in [Mode::Vxlan, Mode::VxlanHostRouting] {
        let mut watched = Watched::new(mode, Attach::Auto);
        let [a, b, c] = watched.pods().map(Clone::clone);
        for (from, to) in [(&a, &b), (&a, &c)] {
            compare_with_tcpdump(&mut watched, mode, from, to);
        }
    }
}

fn compare_with_tcpdump(watched: &mut Watched, mode: Mode, from: &Pod, to: &Pod) {
    let nodes = watched.lab.nodes();
    let node_of = |pod: &Pod| nodes.iter().find(|node| node.name == pod.node).unwrap();
    let mut doors = Vec::new();
    for pod in [from, to] {
        let node = node_of(pod);
        doors.push((pod.pid, pod.eth0.clone()));
        doors.push((node.pid, pod.interface.clone()));
        if from.node != to.node {
            doors.push((node.pid, node.cilium_vxlan.clone()));
            doors.push((node.pid, node.eth0.clone()));
        }
    }
    let mut taps = Vec::new();
    for (pid, door) in &doors {
        for direction in [Direction::Ingress, Direction::Egress] {
            let tap = Tcpdump::start(*pid, &door.name, direction, "udp").unwrap();
            taps.push((*pid, door.clone(), direction, tap));
        }
    }
    let change = watched.exchange(from, to);
    for (pid, door, direction, tap) in taps {
        let namespace = netviz::sys::netns::NetNs::of_process(pid).unwrap();
        let hook = usize::from(direction == Direction::Egress);
        let counted = change[&DoorId::new(namespace.id(), door.index)].0[hook].packets;
        let seen = settle(ARRIVAL, &counted, || tap.packets());
        assert_eq!(
            seen, counted,
            "{mode}: {} {direction}, process {pid}",
            door.name
        );
    }
}
