//! `netviz verify` on the laboratory, in each routing mode: whole paths, and packets that are ended,
//! sent elsewhere or doubled at a door that the test chose.

use aya::programs::LinkOrder;
use netviz::{
    lab::{Attach, Lab, Mode, Node, Options, Pod},
    model::Direction,
    sys::netlink::{Netlink, NewRoute},
};
use netviz_tests::{
    foreign::{Foreign, Verdict},
    verdicts::{Said, verify},
};

struct Site {
    lab: Lab,
    mode: Mode,
}

impl Site {
    fn up(mode: Mode, ipv6: bool) -> Self {
        let options = Options {
            mode,
            ipv6,
            attach: Attach::Auto,
            ..Options::default()
        };
        let lab = Lab::up(&options).unwrap();
        Self { lab, mode }
    }

    /// A pod, another one of its node, and one of the other node.
    fn pods(&self) -> [&Pod; 3] {
        let pods = self.lab.pods();
        let a = &pods[0];
        let b = pods[1..].iter().find(|pod| pod.node == a.node).unwrap();
        let c = pods.iter().find(|pod| pod.node != a.node).unwrap();
        [a, b, c]
    }

    fn node(&self, pod: &Pod) -> &Node {
        let mut nodes = self.lab.nodes().iter();
        nodes.find(|node| node.name == pod.node).unwrap()
    }

    /// From pod A to pod C of the other node.
    fn across(&self, words: &[&str]) -> Said {
        let [a, _, c] = self.pods();
        let (a, c) = (a.address.to_string(), c.address.to_string());
        verify(&self.lab, &[&[a.as_str(), c.as_str()], words].concat())
    }

    /// A program of somebody else that ends all that comes by; behind netviz, which goes first.
    fn ending(&self, node: &Node, device: &str, direction: Direction) -> Foreign {
        let netns = self.lab.netns(node).unwrap();
        Foreign::tcx(&netns, device, direction, Verdict::Shot, LinkOrder::first()).unwrap()
    }
}

fn expect(said: &Said, verdict: &str, code: i32) {
    assert_eq!(
        (said.verdict(), said.code),
        (verdict, Some(code)),
        "{} {:#}",
        said.stderr,
        said.json
    );
}

/// One test for each mode.
macro_rules! in_each_mode {
    ($check:ident) => {
        mod $check {
            use super::*;

            #[test]
            fn vxlan() {
                super::$check(Mode::Vxlan);
            }

            #[test]
            fn vxlan_host_routing() {
                super::$check(Mode::VxlanHostRouting);
            }

            #[test]
            fn native() {
                super::$check(Mode::Native);
            }

            #[test]
            fn native_host_routing() {
                super::$check(Mode::NativeHostRouting);
            }

            #[test]
            fn native_endpoint_routes() {
                super::$check(Mode::NativeEndpointRoutes);
            }
        }
    };
}

in_each_mode!(whole_paths);
in_each_mode!(faults);

fn whole_paths(mode: Mode) {
    let site = Site::up(mode, true);
    let [a, b, c] = site.pods();
    let [from, same, other] = [a, b, c].map(|pod| pod.address.to_string());
    let [from6, other6] = [a, c].map(|pod| pod.address6.to_string());
    let own = site.node(a);
    let far = site.node(c);
    let (own_name, far_name) = (format!("node/{}", own.name), format!("node/{}", far.name));
    let far_router = far.router_address.to_string();
    let pairs: [(&str, &str, &[&str]); 11] = [
        (&from, &same, &[]),
        (&from, &other, &[]),
        (&from, &other, &["--proto", "udp", "--port", "47777"]),
        (&from, &other, &["--proto", "tcp", "--port", "47778"]),
        (&from6, &other6, &[]),
        (&from6, &other6, &["--proto", "tcp", "--port", "47778"]),
        (&from, &far_name, &[]),
        (&from, &own_name, &[]),
        (&own_name, &from, &[]),
        (&own_name, &other, &[]),
        (&from, &far_router, &[]),
    ];
    for (from, to, words) in pairs {
        let said = verify(&site.lab, &[&[from, to], words].concat());
        assert_eq!(
            (said.verdict(), said.code),
            ("verified", Some(0)),
            "{mode}: {from} to {to} {words:?}: {} {:#}",
            said.stderr,
            said.json
        );
        assert_eq!(said.json["delivered"], 4, "{mode}: {from} to {to}");
        assert_eq!(said.json["replied"], 4, "{mode}: {from} to {to}");
    }
    node_to_node(&site, &own_name, &far_name);
    closed_ports(&site);
    the_mode_is_inferred_and_can_be_wrong(&site);
}

fn node_to_node(site: &Site, own: &str, far: &str) {
    let said = verify(&site.lab, &[own, far]);
    expect(&said, "verified", 0);
    let hosts: Vec<_> = said
        .crossed("request")
        .into_iter()
        .filter(|hook| !hook.contains("veth-"))
        .collect();
    assert_eq!(hosts, ["▲ eth0", "▼ eth0"]);
}

/// Who says no is there.
fn closed_ports(site: &Site) {
    for protocol in ["udp", "tcp"] {
        let said = site.across(&["--proto", protocol, "--port", "9"]);
        expect(&said, "verified", 0);
    }
}

fn the_mode_is_inferred_and_can_be_wrong(site: &Site) {
    let said = site.across(&[]);
    assert_eq!(said.json["mode_source"], "inferred");
    let skipped = said.skipped("request");
    assert_eq!(skipped.len(), usize::from(site.mode.bypasses_stack()));
    assert!(
        skipped
            .iter()
            .all(|door| door.ends_with("bpf_redirect_peer"))
    );
    for other in Mode::ALL {
        let said = site.across(&["--mode", &other.to_string()]);
        let expected = if other == site.mode {
            ("verified", 0)
        } else {
            ("detour", 1)
        };
        // A pod has a route of its own or not, whatever the node is said to do.
        let per_endpoint = [Mode::Native, Mode::NativeEndpointRoutes];
        if other == site.mode
            || !(per_endpoint.contains(&other) && per_endpoint.contains(&site.mode))
        {
            expect(&said, expected.0, expected.1);
            assert_eq!(said.json["mode_source"], "asked");
        }
    }
}

/// Each plants one fault, looks, and takes it away again.
fn faults(mode: Mode) {
    let site = Site::up(mode, false);
    let [a, _, c] = site.pods();
    let (own, far) = (site.node(a), site.node(c));
    dropped_where_the_pod_sends(&site, a, own);
    dropped_at_arrival(&site, c, far);
    dropped_on_the_uplink(&site, own);
    dropped_reply_alone(&site, c, far);
    no_such_pod(&site, a);
    nobody_home(&site, c);
    doubled(&site, own);
    expect(&site.across(&[]), "verified", 0);
}

fn dropped_where_the_pod_sends(site: &Site, a: &Pod, own: &Node) {
    let foreign = site.ending(own, &a.interface.name, Direction::Ingress);
    let said = site.across(&[]);
    expect(&said, "lost", 1);
    let last = format!("▼ {} of the request", a.interface.name);
    assert_eq!(
        said.lost_after().as_deref(),
        Some(last.as_str()),
        "{:#}",
        said.json
    );
    assert!(said.causes().contains("foreign_shot"), "{}", said.causes());
    assert!(foreign.seen().unwrap() >= 4);
}

/// Where a policy at the destination would end it.
fn dropped_at_arrival(site: &Site, c: &Pod, far: &Node) {
    let (device, direction) = match site.mode {
        Mode::Vxlan | Mode::VxlanHostRouting => ("cilium_vxlan", Direction::Ingress),
        Mode::Native => ("cilium_host", Direction::Egress),
        Mode::NativeHostRouting => ("eth0", Direction::Ingress),
        Mode::NativeEndpointRoutes => (c.interface.name.as_str(), Direction::Egress),
    };
    let _foreign = site.ending(far, device, direction);
    let said = site.across(&[]);
    expect(&said, "lost", 1);
    let last = format!("{} {device} of the request", direction.sign());
    assert_eq!(
        said.lost_after().as_deref(),
        Some(last.as_str()),
        "{:#}",
        said.json
    );
    assert_eq!(
        (
            said.json["delivered"].as_u64(),
            said.json["replied"].as_u64()
        ),
        (Some(0), Some(0))
    );
}

fn dropped_on_the_uplink(site: &Site, own: &Node) {
    let _foreign = site.ending(own, "eth0", Direction::Egress);
    let said = site.across(&[]);
    expect(&said, "lost", 1);
    assert_eq!(
        said.lost_after().as_deref(),
        Some("▲ eth0 of the request"),
        "{:#}",
        said.json
    );
}

fn dropped_reply_alone(site: &Site, c: &Pod, far: &Node) {
    let _foreign = site.ending(far, &c.interface.name, Direction::Ingress);
    let said = site.across(&[]);
    expect(&said, "lost", 1);
    let last = format!("▼ {} of the reply", c.interface.name);
    assert_eq!(
        said.lost_after().as_deref(),
        Some(last.as_str()),
        "{:#}",
        said.json
    );
    assert_eq!(
        (
            said.json["delivered"].as_u64(),
            said.json["replied"].as_u64()
        ),
        (Some(4), Some(0))
    );
    // The way there is whole, and that can be all that is asked.
    expect(&site.across(&["--one-way"]), "verified", 0);
}

fn no_such_pod(site: &Site, a: &Pod) {
    let [x, y, z, _] = a.address.octets();
    let nobody = format!("{x}.{y}.{z}.99");
    let said = verify(&site.lab, &[&a.address.to_string(), &nobody]);
    assert_eq!(
        (said.verdict(), said.code),
        ("lost", Some(1)),
        "{:#}",
        said.json
    );
}

fn nobody_home(site: &Site, c: &Pod) {
    let netns = site.lab.netns(c).unwrap();
    let deaf = Foreign::tcx(
        &netns,
        "eth0",
        Direction::Ingress,
        Verdict::Shot,
        LinkOrder::first(),
    )
    .unwrap();
    let said = site.across(&[]);
    expect(&said, "lost", 1);
    // It came to the pod's own door, and nothing came out of it.
    assert_eq!(said.json["delivered"], 4);
    drop(deaf);
}

/// Two of each arrive, and none is lost.
fn doubled(site: &Site, own: &Node) {
    let outside = site.lab.wire().unwrap();
    let far = site
        .lab
        .nodes()
        .iter()
        .find(|node| node.name != own.name)
        .unwrap();
    let _foreign = Foreign::tcx(
        &outside,
        &own.wire.name,
        Direction::Ingress,
        Verdict::Clone(far.wire.index),
        LinkOrder::first(),
    )
    .unwrap();
    let said = site.across(&[]);
    expect(&said, "verified", 0);
    assert!(
        said.json["notes"].to_string().contains("again")
            || said.json["request"].to_string().contains("\"repeated\":4"),
        "{:#}",
        said.json
    );
}

/// In native routing, a pod that has got a route of its own past Cilium.
#[test]
fn a_planted_route_is_a_detour() {
    let site = Site::up(Mode::Native, false);
    let [_, _, c] = site.pods();
    let far = site.node(c);
    let mut netlink = Netlink::open_in(&site.lab.netns(far).unwrap()).unwrap();
    let address = c.address.into();
    netlink
        .add_route(&NewRoute::host(address, c.interface.index))
        .unwrap();
    netlink
        .add_neighbour(c.interface.index, address, c.eth0.mac)
        .unwrap();
    let said = site.across(&[]);
    expect(&said, "detour", 1);
    assert!(!said.crossed("request").contains(&"▲ cilium_host".into()));
    assert!(
        said.json["detours"].to_string().contains("cilium_host"),
        "{:#}",
        said.json
    );
}

#[test]
fn who_is_not_there_is_said_with_those_that_are_near() {
    let site = Site::up(Mode::Vxlan, false);
    let [a, ..] = site.pods();
    let said = verify(
        &site.lab,
        &["busybox-c8bbbbb84-fmhwd", &a.address.to_string()],
    );
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("busybox-c8bbbbb84-fmhwc"),
        "{}",
        said.stderr
    );
    let said = verify(
        &site.lab,
        &["node/mycluster-worker3", &a.address.to_string()],
    );
    assert!(said.stderr.contains("mycluster-worker2"), "{}", said.stderr);
    // A pod to itself crosses no door.
    let own = a.address.to_string();
    let said = verify(&site.lab, &[&own, &own]);
    assert!(said.crossed("request").is_empty(), "{:#}", said.json);
    assert_eq!(said.json["replied"], 4);
}
