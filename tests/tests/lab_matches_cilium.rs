//! The lab's doors equal a running Cilium's doors: same hooks, same counts at head and tail, same
//! TTL, and a tunnel key at the same hooks. Every door of both nodes and of every pod is counted,
//! including those that no packet may cross.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use netviz::{
    lab::{Attach, Lab, Mode, Options, UDP_PORT, traffic},
    sys::netns::NetNs,
};
use netviz_ebpf::lab::NODE_IDENTITY;
use netviz_tests::{
    bpf::{
        hook_counters::{Count, HookCounters},
        skip,
    },
    cilium::oracle::{self, Case, Crossed, Sender},
};

const PACKETS: u16 = 10;

#[test]
fn vxlan() {
    compare("vxlan", Mode::Vxlan, Attach::Tcx);
}

#[test]
fn vxlan_host_routing() {
    compare("vxlan-host-routing", Mode::VxlanHostRouting, Attach::Tcx);
}

#[test]
fn native() {
    compare("native", Mode::Native, Attach::Tcx);
}

#[test]
fn native_host_routing() {
    compare("native-host-routing", Mode::NativeHostRouting, Attach::Tcx);
}

#[test]
fn native_endpoint_routes() {
    compare(
        "native-endpoint-routes",
        Mode::NativeEndpointRoutes,
        Attach::Tcx,
    );
}

#[test]
fn vxlan_ipv6() {
    compare("vxlan-ipv6", Mode::Vxlan, Attach::Tcx);
}

#[test]
fn vxlan_host_routing_ipv6() {
    compare(
        "vxlan-host-routing-ipv6",
        Mode::VxlanHostRouting,
        Attach::Tcx,
    );
}

#[test]
fn vxlan_clsact() {
    compare("vxlan-clsact", Mode::Vxlan, Attach::Clsact);
}

/// A lab, its counters, and the expected counts.
struct Comparison<'a> {
    lab: &'a Lab,
    counting: &'a HookCounters,
    nodes: BTreeMap<String, String>,
    /// The tail of tcx precedes every filter, and counts the same packets.
    clsact: bool,
}

fn compare(oracle: &str, mode: Mode, attach: Attach) {
    // The compared counts need the tail of a tcx chain.
    if skip::without_tcx() {
        return;
    }
    let lab = Lab::up(&Options {
        mode,
        attach,
        ipv6: oracle.ends_with("-ipv6"),
        ..Options::default()
    })
    .unwrap();
    let counting = HookCounters::attach(&lab).unwrap();
    let cases = oracle::cases(oracle).unwrap();
    let comparison = Comparison {
        lab: &lab,
        counting: &counting,
        nodes: oracle::nodes(&cases, &lab),
        clsact: attach == Attach::Clsact,
    };
    let differences: Vec<_> = cases
        .iter()
        .flat_map(|case| comparison.compare(case))
        .collect();
    lab.down().unwrap();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

impl Comparison<'_> {
    fn compare(&self, case: &Case) -> Vec<String> {
        let (home, namespace, identity) = match case.sender(&self.nodes) {
            Sender::Node(name) => {
                let node = self.lab.nodes().iter().find(|node| node.name == name);
                let node = node.unwrap();
                (&node.name, self.lab.netns(node), NODE_IDENTITY)
            }
            Sender::Pod(name) => {
                let pod = self.lab.pods().iter().find(|pod| pod.name == name);
                let pod = pod.unwrap();
                (&pod.node, self.lab.netns(pod), pod.identity)
            }
        };
        let destination = case.destination(self.lab, home).unwrap();
        let namespace = namespace.unwrap();
        let mut differences = Vec::new();
        for protocol in ["udp", "icmp"] {
            let paths = case.of(protocol);
            if paths.is_empty() {
                continue;
            }
            let before: BTreeMap<_, _> = self.counting.read().unwrap().into_iter().collect();
            let answered = self.send(&namespace, protocol, destination);
            let expected = oracle::expected(&paths, PACKETS, self.lab, &self.nodes).unwrap();
            let mut wrong = |what: String| {
                differences.push(format!("{} ({protocol}): {what}", case.name));
            };
            if answered != PACKETS {
                wrong(format!("{answered} of {PACKETS} answered"));
            }
            for (hook, now) in self.counting.read().unwrap() {
                let was = before[&hook];
                let mut seen = Count {
                    head: now.head - was.head,
                    tail: now.tail - was.tail,
                };
                let wanted = expected.get(&hook).copied().unwrap_or_default();
                if self.clsact {
                    seen.tail = wanted.tail;
                }
                if seen != wanted {
                    wrong(format!("{hook:?} saw {seen:?}, Cilium's {wanted:?}"));
                }
            }
            for path in paths {
                self.compare_contents(path, identity, &mut wrong);
            }
        }
        differences
    }

    fn send(&self, from: &NetNs, protocol: &str, to: IpAddr) -> u16 {
        if protocol == "icmp" {
            return traffic::ping(from, to, PACKETS).unwrap();
        }
        let to = self.lab.resolve(SocketAddr::new(to, UDP_PORT));
        traffic::udp(from, to, PACKETS, 99).unwrap()
    }

    /// Compares TTL and presence of a tunnel key; in requests also the identity. Identities of pods
    /// differ between clusters, those of nodes do not.
    fn compare_contents(&self, path: &Crossed, sender: u32, wrong: &mut impl FnMut(String)) {
        for crossing in &path.crossings {
            let hook = crossing.hook(self.lab, &self.nodes).unwrap();
            let seen = self.counting.seen(&hook).unwrap();
            if seen.ttl != crossing.ttl {
                wrong(format!(
                    "{hook:?} saw TTL {}, Cilium's {}",
                    seen.ttl, crossing.ttl
                ));
            }
            let wanted = match &crossing.tunnel {
                None => 0,
                Some(_) if path.direction == "request" => sender,
                Some(tunnel) if tunnel.id == NODE_IDENTITY => NODE_IDENTITY,
                Some(_) => seen.identity.max(256),
            };
            if seen.identity != wanted {
                wrong(format!(
                    "{hook:?} saw tunnel key {}, Cilium's {wanted}",
                    seen.identity
                ));
            }
        }
    }
}
