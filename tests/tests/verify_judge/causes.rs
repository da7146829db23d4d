//! The cause of a loss: what the kernel reports comes before what is likely, and facts that explain it
//! before reasons that do not.

use std::{net::IpAddr, time::Duration};

use netviz::{
    audit::{Owner, Process, Way as Attachment},
    model::{CiliumDrop, Direction, DoorId, Role},
    names::policies::{Policy, Selecting, Unread, UnreadReason},
    verify::{
        Cause, DropReason, Dropping, Program, Way,
        lookups::{Device, Hop, Neighbour, RpFilter},
    },
    views::verdict::{causes, remedies},
};

use super::cases::{SENT, Setup};

/// Where the packets of a case end, and the names in it.
struct Case {
    setup: Setup,
    /// The doors of the request.
    doors: Vec<DoorId>,
}

impl Case {
    /// All packets end behind the `k`th door.
    fn lost_behind(k: usize) -> Self {
        let mut setup = Setup::far();
        setup.end_behind(k, 0..SENT);
        Self::of(setup)
    }

    /// All requests arrive, and no reply leaves.
    fn unanswered() -> Self {
        let mut setup = Setup::far();
        setup.keep(|crossing| crossing.way == Way::Request);
        setup.observation.answers.clear();
        Self::of(setup)
    }

    fn of(mut setup: Setup) -> Self {
        let steps = &setup.expectations[0].request;
        let doors: Vec<_> = steps.iter().map(|step| step.door).collect();
        for door in &doors {
            let netns = door.netns.known().unwrap();
            let namespaces = &mut setup.observation.lookups.namespaces;
            let namespace = namespaces.entry(netns).or_default();
            let device = Device {
                up: true,
                carrier: true,
                mtu: Some(1500),
                ..Device::default()
            };
            namespace.devices.insert(door.ifindex, device);
        }
        Self { setup, doors }
    }

    fn device(&mut self, k: usize) -> &mut Device {
        let door = self.doors[k];
        let namespaces = &mut self.setup.observation.lookups.namespaces;
        let namespace = namespaces.get_mut(&door.netns.known().unwrap()).unwrap();
        namespace.devices.get_mut(&door.ifindex).unwrap()
    }

    /// The kernel drops all packets for a reason, at the `k`th door.
    fn dropped(mut self, reason: &str, k: usize) -> Self {
        let dropping = |sequence| Dropping {
            at: Duration::from_secs(9),
            sequence,
            door: Some(self.doors[k]),
            reason: DropReason {
                reason: Some(reason.into()),
                function: Some("a_function".into()),
                device: Some("eth0".into()),
                packets: 1,
                ..DropReason::default()
            },
        };
        self.setup.observation.drops = (0..SENT).map(dropping).collect();
        self
    }

    fn programs(&mut self, k: usize, programs: &[Program]) {
        let step = &self.setup.expectations[0].request[k];
        let programs = programs.to_vec();
        let all = &mut self.setup.observation.lookups.programs;
        all.insert((step.door, step.direction), programs);
    }

    /// The only cause in words.
    #[track_caller]
    fn cause(&self) -> String {
        let verdict = self.setup.judge();
        let mut all = causes(&verdict, &verdict.losses[0]);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

fn program(name: &str, owner: Owner) -> Program {
    Program {
        name: name.into(),
        attachment: Attachment::Tcx,
        owner,
        held_by: vec![Process {
            pid: 703,
            command: "shaper".into(),
        }],
    }
}

#[test]
fn reason_that_explains_itself_silences_guesses() {
    let mut case = Case::lost_behind(4).dropped("NETFILTER_DROP", 4);
    case.programs(4, &[program("qos_shaper", Owner::Other)]);
    assert_eq!(
        case.cause(),
        "netfilter (iptables, nftables) dropped 10 packets on node mycluster-worker2 (NETFILTER_DROP, a_function)"
    );
    // Inside of the tunnel's packets.
    let overlay = Case::of(Setup::far()).doors[5];
    let namespaces = &mut case.setup.observation.lookups.namespaces;
    let namespace = namespaces.get_mut(&overlay.netns.known().unwrap()).unwrap();
    let device = namespace.devices.get_mut(&overlay.ifindex).unwrap();
    device.tunnel_port = Some(8472);
    assert!(
        case.cause()
            .contains("dropped 10 packets of the tunnel (UDP 8472) on node")
    );
}

#[test]
fn device_that_is_down_explains_a_full_queue() {
    let mut case = Case::lost_behind(6).dropped("QDISC_DROP", 6);
    assert!(
        case.cause().contains("a full queue (QDISC_DROP)"),
        "{}",
        case.cause()
    );
    case.device(6).up = false;
    case.device(7).carrier = false;
    assert_eq!(
        case.cause(),
        "lxc:busybox-c8bbbbb84-t6ggh on node mycluster-worker2 is down"
    );
    // The other end, while this one only lacks a carrier.
    case.device(6).up = true;
    case.device(6).carrier = false;
    case.device(7).up = false;
    assert!(case.cause().starts_with("eth0 in pod "), "{}", case.cause());
    assert!(case.cause().ends_with(" is down"), "{}", case.cause());
    case.device(7).up = true;
    assert!(case.cause().ends_with("has no carrier"), "{}", case.cause());
}

#[test]
fn remedy_enters_the_network_namespace() {
    let mut case = Case::lost_behind(6);
    case.device(7).up = false;
    let netns = case.doors[7].netns.known().unwrap();
    let namespaces = &mut case.setup.observation.lookups.namespaces;
    namespaces.get_mut(&netns).unwrap().entrance = Some("/run/netns/it's".into());
    let verdict = case.setup.judge();
    assert_eq!(
        remedies(&verdict, &verdict.losses[0]),
        [Some(
            r"nsenter --net='/run/netns/it'\''s' ip link set eth0 up".to_owned()
        )]
    );
}

#[test]
fn length_is_compared_with_the_mtu_of_both_ends() {
    let mut case = Case::lost_behind(6).dropped("NOT_SPECIFIED", 6);
    case.setup.probes.bytes = Some(1400);
    assert!(case.cause().contains("no reason given"), "{}", case.cause());
    case.device(7).mtu = Some(1000);
    assert!(
        case.cause()
            .starts_with("1400 bytes > MTU 1000 of eth0 in pod ")
    );
    // At the uplink the tunnel's own headers count.
    let mut case = Case::lost_behind(2);
    case.setup.probes.bytes = Some(1400);
    case.device(3).mtu = Some(1450);
    assert_eq!(
        case.cause(),
        "not found: devices, MTUs, routes, neighbours and programs show nothing here"
    );
    case.device(3).mtu = Some(1449);
    assert_eq!(
        case.cause(),
        "1400 bytes + 50 of the tunnel > MTU 1449 of eth0 on node mycluster-worker"
    );
}

#[test]
fn receiver_without_a_route_back() {
    let mut case = Case::unanswered();
    assert!(
        case.cause().starts_with("no process of "),
        "{}",
        case.cause()
    );
    let netns = case.doors[7].netns.known().unwrap();
    let sender = IpAddr::from([10, 10, 1, 164]);
    case.setup.route.from.address = Some(sender);
    let namespaces = &mut case.setup.observation.lookups.namespaces;
    let routes = &mut namespaces.get_mut(&netns).unwrap().routes;
    routes.insert(sender, None);
    assert_eq!(
        case.cause(),
        format!("pod busybox-c8bbbbb84-t6ggh has no route to {sender}")
    );
}

#[test]
fn node_without_a_route_to_the_other_node() {
    let mut case = Case::lost_behind(2).dropped("IP_OUTNOROUTES", 2);
    case.device(2).tunnel_port = Some(8472);
    let other = case.setup.route.to.place.node().unwrap();
    let address = case.setup.cluster.nodes[other].addresses[0].addr();
    let expected = format!("node mycluster-worker has no route to {address}");
    assert_eq!(case.cause(), expected);
}

#[test]
fn neighbour_with_another_mac_address() {
    let mut case = Case::lost_behind(3).dropped("OTHERHOST", 4);
    let (from, to) = (case.doors[3], case.doors[4]);
    let mut doors = case.setup.cluster.doors.iter_mut();
    let right = doors.find(|door| door.id == to).unwrap();
    right.mac = Some("02:00:00:00:00:01".into());
    let address = right.addresses[0].addr();
    let namespaces = &mut case.setup.observation.lookups.namespaces;
    let namespace = namespaces.get_mut(&from.netns.known().unwrap()).unwrap();
    let hop = Hop {
        device: from.ifindex,
        gateway: None,
    };
    namespace.routes.insert(address, Some(hop));
    let neighbour = |mac: &str| Neighbour {
        device: from.ifindex,
        address,
        mac: Some(mac.into()),
    };
    namespace.neighbours = vec![neighbour("02:00:00:00:00:99")];
    assert_eq!(
        case.cause(),
        format!(
            "node mycluster-worker has the MAC address 02:00:00:00:00:99 for {address} at eth0, but eth0 on node mycluster-worker2 has 02:00:00:00:00:01"
        )
    );
    // At cilium_host, entries of pods have the address of cilium_net: Cilium's program sets the right one.
    let mut doors = case.setup.cluster.doors.iter_mut();
    let own = doors.find(|door| door.id == from).unwrap();
    let role = std::mem::replace(&mut own.role, Role::CiliumHost);
    assert!(case.cause().contains("OTHERHOST"), "{}", case.cause());
    let mut doors = case.setup.cluster.doors.iter_mut();
    doors.find(|door| door.id == from).unwrap().role = role;
    let namespaces = &mut case.setup.observation.lookups.namespaces;
    let namespace = namespaces.get_mut(&from.netns.known().unwrap()).unwrap();
    namespace.neighbours = vec![neighbour("02:00:00:00:00:01")];
    assert!(case.cause().contains("OTHERHOST"), "{}", case.cause());
}

/// Cilium counts what it drops, and its programs end the chain.
#[test]
fn counters_of_cilium_decide_between_programs() {
    let mut case = Case::lost_behind(5).dropped("TC_INGRESS", 5);
    let cilium = program("cil_from_overlay", Owner::Cilium);
    let foreign = program("qos_shaper", Owner::Other);
    let never = program("behind_cilium", Owner::Other);
    case.programs(5, &[foreign, cilium, never]);
    let place = "at ▼ cilium_vxlan on node mycluster-worker2";
    assert_eq!(
        case.cause(),
        format!(
            "qos_shaper (tcx, pid 703) or cil_from_overlay (tcx, Cilium's) dropped them {place}"
        )
    );
    let node = case.setup.route.to.place.node().unwrap();
    let counted = |packets| CiliumDrop {
        reason: "policy denied".into(),
        direction: Some(Direction::Ingress),
        packets,
        by_policy: true,
    };
    let netns = case.setup.route.to.place.netns().unwrap();
    let policy = Policy {
        kind: "CiliumNetworkPolicy".into(),
        namespace: Some("default".into()),
        name: "no-entry".into(),
    };
    let observation = &mut case.setup.observation;
    let selecting = Selecting {
        policies: vec![policy],
        unread: Vec::new(),
    };
    let policies = &mut observation.lookups.policies;
    policies.insert((netns, Direction::Ingress), selecting);
    for few in [Vec::new(), vec![counted(u64::from(SENT) - 1)]] {
        case.setup.observation.cilium.insert(node, few);
        assert_eq!(
            case.cause(),
            format!("qos_shaper (tcx, pid 703) dropped them {place}")
        );
    }
    case.setup
        .observation
        .cilium
        .insert(node, vec![counted(12)]);
    assert_eq!(
        case.cause(),
        "Cilium dropped them: policy denied, ingress (12 counted on node mycluster-worker2)"
    );
    let verdict = case.setup.judge();
    assert_eq!(
        remedies(&verdict, &verdict.losses[0]),
        [Some(
            "policies that select the pod: CiliumNetworkPolicy default/no-entry".to_owned()
        )]
    );
    // The sender's policies are those of its egress.
    let sender = case.setup.route.from.place.netns().unwrap();
    let unread = |resource: &str| Unread {
        resource: resource.into(),
        reason: UnreadReason::Forbidden,
    };
    let nothing = Selecting {
        policies: Vec::new(),
        unread: vec![unread("networkpolicies"), unread("ciliumnetworkpolicies")],
    };
    let observation = &mut case.setup.observation;
    let policies = &mut observation.lookups.policies;
    policies.insert((sender, Direction::Egress), nothing);
    observation.cilium.get_mut(&node).unwrap()[0].direction = Some(Direction::Egress);
    let verdict = case.setup.judge();
    let remedies = remedies(&verdict, &verdict.losses[0]);
    let remedy = remedies[0].as_deref().unwrap();
    assert!(
        remedy.ends_with(
            "; not allowed to list networkpolicies, ciliumnetworkpolicies (docs/rbac.yaml)"
        ),
        "{remedy}"
    );
}

/// Where the kernel gives no reason, its settings and its routes decide.
#[test]
fn strict_reverse_path_filter_is_the_cause_if_the_route_back_differs() {
    let (strict, loose) = (RpFilter::of(0, 1), RpFilter::of(1, 2));
    assert_eq!((strict, loose), (RpFilter::Strict, RpFilter::Loose));
    assert_eq!(
        [RpFilter::of(1, 0), RpFilter::of(0, 0)],
        [RpFilter::Strict, RpFilter::Off]
    );
    let text = |filter, device| {
        let mut case = Case::unanswered();
        let last = case.doors.len() - 1;
        let door = case.doors[last];
        case.device(last).rp_filter = filter;
        let source = IpAddr::from([10, 10, 1, 164]);
        case.setup.route.from.address = Some(source);
        let namespaces = &mut case.setup.observation.lookups.namespaces;
        let namespace = namespaces.get_mut(&door.netns.known().unwrap()).unwrap();
        let device = if device == 0 { door.ifindex } else { device };
        namespace.routes.insert(
            source,
            Some(Hop {
                device,
                gateway: None,
            }),
        );
        case.cause()
    };
    let caused = |filter, device| text(filter, device).starts_with("rp_filter of eth0 in pod ");
    assert!(caused(strict, 77), "{}", text(strict, 77));
    for (filter, device) in [(strict, 0), (loose, 77), (RpFilter::Off, 77)] {
        assert!(!caused(filter, device), "{}", text(filter, device));
    }
}

#[test]
fn xdp_program_of_the_next_interface_is_a_suspect() {
    let mut case = Case::lost_behind(0);
    let xdp = Program {
        attachment: Attachment::Xdp,
        ..program("xdp_filter", Owner::Other)
    };
    case.programs(1, &[xdp, program("cil_from_container", Owner::Cilium)]);
    assert_eq!(
        case.cause(),
        "xdp_filter (xdp, pid 703) dropped or redirected them at ▼ lxc:busybox-c8bbbbb84-fmhwc on node mycluster-worker"
    );
    // In front of the stack the kernel gives no reason, but the function.
    let mut case = case.dropped("NOT_SPECIFIED", 1);
    for drop in &mut case.setup.observation.drops {
        drop.reason.function = Some("do_xdp_generic".into());
    }
    assert!(
        case.cause().contains(") dropped them at ▼"),
        "{}",
        case.cause()
    );
    let case = case.dropped("XDP", 1);
    assert!(
        case.cause().contains(") dropped them at ▼"),
        "{}",
        case.cause()
    );
}

#[test]
fn error_of_a_router_is_the_cause_without_a_better_one() {
    let router = Some(IpAddr::from([10, 10, 1, 55]));
    let mut case = Case::lost_behind(3);
    let answer = || {
        let error = "host unreachable".to_owned();
        netviz::verify::Answer::Unreachable(Duration::from_micros(70), error, router)
    };
    case.setup.observation.answers = (0..SENT).map(|sequence| (sequence, answer())).collect();
    assert_eq!(case.cause(), "host unreachable (reported by 10.10.1.55)");
    case.device(4).up = false;
    assert!(matches!(
        case.setup.judge().losses[0].causes[..],
        [Cause::LinkDown { .. }]
    ));
}
