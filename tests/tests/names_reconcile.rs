//! Names of several sources are reconciled, and disagreements are reported.

use netviz::{
    model::{Cluster, Datapath, Reason, Role, Side, Source, SourceStatus, Status},
    names::reconcile,
    names::report::{Lookup, NodeFact, PodFact, Report},
    sys::netns::NetNsId,
};
use netviz_tests::{
    builders::snapshot_builder::{SnapshotBuilder, end, net},
    cli::wait::notify_limit,
};

const NODE: u64 = 100;
const POD: u64 = 101;
const OTHER: u64 = 102;

/// Returns one node with two pods, whose hostnames the kernel knows.
fn cluster() -> Cluster {
    let mut builder = SnapshotBuilder::default();
    let node = builder.node("worker", NODE, &["172.18.0.2/16"]);
    let lxc = |ifindex, name| end(NODE, ifindex, name);
    builder.pod(
        node,
        "host-a",
        "10.0.0.1/32",
        &end(POD, 8, "eth0"),
        &lxc(9, "lxcaaa"),
    );
    builder.pod(
        node,
        "host-b",
        "10.0.0.2/32",
        &end(OTHER, 8, "eth0"),
        &lxc(11, "lxcbbb"),
    );
    builder.pair(
        node,
        Role::Health,
        Side::Pod,
        &end(103, 6, "eth0"),
        &lxc(7, "lxc_health"),
    );
    builder.cluster
}

fn report(source: Source, pods: Vec<PodFact>) -> Report {
    let node = (source != Source::Kubernetes).then_some(NetNsId(NODE));
    Report {
        pods,
        ..Report::new(source, node, Status::OK)
    }
}

fn named(namespace: &str, name: &str) -> PodFact {
    PodFact {
        namespace: Some(namespace.into()),
        name: Some(name.into()),
        ..PodFact::default()
    }
}

fn inside(netns: u64, fact: PodFact) -> PodFact {
    PodFact {
        netns: Some(NetNsId(netns)),
        ..fact
    }
}

fn at(interface: &str, address: &str, fact: PodFact) -> PodFact {
    PodFact {
        interface: Some(interface.into()),
        addresses: vec![address.parse().expect("an address")],
        endpoint: Some(550),
        identity: Some(10_429),
        ..fact
    }
}

fn on_worker(address: &str, fact: PodFact) -> PodFact {
    PodFact {
        node_name: Some("worker".into()),
        addresses: vec![address.parse().expect("an address")],
        ..fact
    }
}

fn applied(reports: &[Report]) -> Cluster {
    let mut cluster = cluster();
    reconcile::apply(&mut cluster, reports);
    cluster
}

fn names(cluster: &Cluster, interface: &str) -> (Option<String>, Option<String>, Option<Source>) {
    let mut doors = cluster.doors.iter();
    let door = doors
        .find(|door| door.interface == interface)
        .expect("a door");
    (door.namespace.clone(), door.pod.clone(), door.named_by)
}

fn disagreements(cluster: &Cluster) -> Vec<String> {
    let all = cluster.disagreements.iter();
    all.map(|it| format!("{}: {}", it.about, it.what)).collect()
}

#[test]
fn without_sources_the_kernel_names_are_used() {
    let cluster = applied(&[]);
    assert_eq!(
        names(&cluster, "lxcaaa"),
        (None, Some("host-a".into()), Some(Source::Kernel))
    );
    assert!(cluster.pods.is_empty());
    assert!(cluster.disagreements.is_empty());
}

#[test]
fn source_with_highest_precedence_names_both_ends() {
    let reports = [
        report(
            Source::Cilium,
            vec![
                at("lxcaaa", "10.0.0.1", named("default", "a")),
                at("lxcbbb", "10.0.0.2", named("default", "b")),
            ],
        ),
        report(Source::CniCache, vec![inside(POD, named("default", "a"))]),
    ];
    let cluster = applied(&reports);
    let by = |source| {
        (
            Some("default".to_owned()),
            Some("a".to_owned()),
            Some(source),
        )
    };
    assert_eq!(names(&cluster, "lxcaaa"), by(Source::CniCache));
    assert_eq!(cluster.doors[0].pod.as_deref(), Some("a"));
    assert_eq!(names(&cluster, "lxcbbb").2, Some(Source::Cilium));
    assert_eq!(disagreements(&cluster), Vec::<String>::new());
    let pod = &cluster.pods[0];
    assert_eq!(pod.sources, [Source::CniCache, Source::Cilium]);
    assert_eq!((pod.endpoint, pod.identity), (Some(550), Some(10_429)));
    assert_eq!(pod.netns, Some(NetNsId(POD)));
    assert_eq!(cluster.pods.len(), 2);
}

#[test]
fn report_order_does_not_matter() {
    let mut reports = vec![
        report(
            Source::Kubernetes,
            vec![on_worker("10.0.0.1", named("x", "k"))],
        ),
        report(
            Source::Cilium,
            vec![at("lxcaaa", "10.0.0.1", named("x", "c"))],
        ),
        report(Source::CniCache, vec![inside(POD, named("x", "f"))]),
    ];
    let forward = applied(&reports);
    reports.reverse();
    assert_eq!(forward, applied(&reports));
    assert_eq!(names(&forward, "lxcaaa").1.as_deref(), Some("f"));
}

#[test]
fn two_names_for_one_pod_are_reported() {
    let reports = [
        report(Source::CniCache, vec![inside(POD, named("default", "new"))]),
        report(
            Source::Kubernetes,
            vec![on_worker("10.0.0.1", named("default", "old"))],
        ),
    ];
    assert_eq!(
        disagreements(&applied(&reports)),
        ["default/new: cni cache reports default/new, kubernetes reports default/old"]
    );
}

#[test]
fn endpoint_unknown_to_the_kernel() {
    let reports = [report(
        Source::Cilium,
        vec![
            at("lxcaaa", "10.0.0.1", named("default", "a")),
            at("lxcbbb", "10.0.0.2", named("default", "b")),
            at("lxcgone", "10.0.0.9", named("default", "ghost")),
        ],
    )];
    let ghost =
        "default/ghost: cilium has the endpoint 550 at lxcgone, the kernel has no such interface";
    assert_eq!(disagreements(&applied(&reports)), [ghost]);
    // Excluded on request: it may exist.
    let mut partial = cluster();
    partial.partial = true;
    reconcile::apply(&mut partial, &reports);
    assert!(partial.disagreements.is_empty());
}

#[test]
fn interface_unknown_to_cilium() {
    let known = vec![at("lxcaaa", "10.0.0.1", named("default", "a"))];
    let reports = [report(Source::Cilium, known.clone())];
    assert_eq!(
        disagreements(&applied(&reports)),
        ["host-b: the kernel has lxcbbb, cilium has no endpoint for it"]
    );
    // An agent without a response knows nothing.
    let silent = Report {
        status: Status::Failed {
            reason: "no answer in 2 s".into(),
        },
        ..report(Source::Cilium, known)
    };
    assert!(disagreements(&applied(&[silent])).is_empty());
}

#[test]
fn address_that_differs_from_the_kernel() {
    let reports = [report(
        Source::Cilium,
        vec![
            at("lxcaaa", "10.0.0.77", named("default", "a")),
            at("lxcbbb", "10.0.0.2", named("default", "b")),
        ],
    )];
    assert_eq!(
        disagreements(&applied(&reports)),
        ["default/a: cilium reports 10.0.0.77, the kernel has 10.0.0.1"]
    );
}

#[test]
fn kubernetes_pod_without_a_door() {
    let hosted = PodFact {
        host_network: true,
        ..on_worker("172.18.0.2", named("kube-system", "proxy"))
    };
    let elsewhere = PodFact {
        node_name: Some("worker9".into()),
        ..on_worker("10.9.9.9", named("default", "far"))
    };
    let missing = on_worker("10.0.0.50", named("default", "lost"));
    let pods = vec![hosted, elsewhere, missing];
    let cluster = applied(&[report(Source::Kubernetes, pods.clone())]);
    assert_eq!(
        disagreements(&cluster),
        [
            "default/lost: kubernetes has it running here with 10.0.0.50, no interface has that address"
        ]
    );
    let hosted: Vec<_> = cluster.pods.iter().map(|pod| pod.name.raw()).collect();
    assert_eq!(hosted, ["proxy"]);
    // The addresses of an unreachable far end are unknown.
    let mut hidden = self::cluster();
    hidden.doors[0].problem = Some(Reason::Unreachable { nsid: 1 });
    reconcile::apply(&mut hidden, &[report(Source::Kubernetes, pods)]);
    assert!(hidden.disagreements.is_empty());
}

#[test]
fn nodes_are_matched_by_address() {
    let fact = |range: &str| NodeFact {
        name: "ip-172-18-0-2.internal".into(),
        addresses: vec!["172.18.0.2".parse().expect("an address")],
        pod_cidrs: vec![net(range)],
    };
    let mut cilium = report(Source::Cilium, vec![]);
    cilium.nodes = vec![fact("10.0.0.0/24")];
    cilium.datapath = Some(Datapath {
        tunnel: Some("vxlan".into()),
        host_routing: Some("legacy".into()),
        ..Datapath::default()
    });
    let mut kubernetes = report(Source::Kubernetes, vec![]);
    kubernetes.nodes = vec![fact("10.244.1.0/24")];
    let cluster = applied(&[kubernetes, cilium]);
    let node = &cluster.nodes[0];
    assert_eq!(node.name, "ip-172-18-0-2.internal");
    assert_eq!(node.pod_cidrs, [net("10.0.0.0/24")]);
    let routing = node.datapath.as_ref().and_then(Datapath::summary);
    assert_eq!(routing.as_deref(), Some("vxlan, legacy host routing"));
    assert_eq!(
        disagreements(&cluster),
        [
            "ip-172-18-0-2.internal: cilium reports the pod range 10.0.0.0/24, kubernetes reports 10.244.1.0/24"
        ]
    );
}

#[test]
fn each_source_has_a_status_for_each_node() {
    let failed = |source| {
        Report::new(
            source,
            Some(NetNsId(NODE)),
            Status::Failed {
                reason: "no answer in 2 s".into(),
            },
        )
    };
    let mut agent = report(Source::Cilium, vec![]);
    agent.status = Status::Ok {
        detail: Some("agent 1.19.0".into()),
    };
    let absent = Report::new(Source::Kubernetes, None, Status::Absent);
    let cluster = applied(&[failed(Source::Runtime), agent, absent]);
    let node = cluster.nodes[0].name.clone();
    let of = |source, node, status| SourceStatus {
        source,
        node,
        status,
    };
    assert_eq!(
        cluster.sources,
        [
            of(
                Source::Runtime,
                Some(node.clone()),
                Status::Failed {
                    reason: "no answer in 2 s".into()
                }
            ),
            of(
                Source::Cilium,
                Some(node),
                Status::Ok {
                    detail: Some("agent 1.19.0".into())
                }
            ),
            of(Source::Kubernetes, None, Status::Absent),
        ]
    );
}

/// Returns an endpoint as in Cilium's maps: an index without a name.
fn mapped(ifindex: u32, address: &str, identity: u32) -> PodFact {
    PodFact {
        ifindex: Some(ifindex),
        addresses: vec![address.parse().expect("an address")],
        endpoint: Some(550),
        identity: Some(identity),
        ..PodFact::default()
    }
}

#[test]
fn maps_and_agent_are_compared() {
    let cluster = applied(&[
        report(
            Source::CiliumMaps,
            vec![
                mapped(9, "10.0.0.1", 7),
                // Left behind by a deleted pod, and by one whose index is in use again.
                mapped(33, "10.0.0.9", 8),
                mapped(11, "10.0.0.8", 9),
            ],
        ),
        report(
            Source::Cilium,
            vec![
                at("lxcaaa", "10.0.0.1", named("default", "a")),
                at("lxcbbb", "10.0.0.2", named("default", "b")),
            ],
        ),
    ]);
    assert_eq!(
        disagreements(&cluster),
        [
            "an endpoint without a name: cilium's maps deliver 10.0.0.9 to the interface with index 33, no pod's has it",
            "default/a: cilium maps reports the identity 7, cilium reports 10429",
            "default/b: cilium maps reports 10.0.0.8, the kernel has 10.0.0.2",
            "default/b: cilium maps reports the identity 9, cilium reports 10429",
        ]
    );
    let pod = &cluster.pods[0];
    assert_eq!((pod.identity, pod.sources.len()), (Some(7), 2));
    // A map with one of the two pods.
    let cluster = applied(&[report(Source::CiliumMaps, vec![mapped(9, "10.0.0.1", 7)])]);
    assert_eq!(
        disagreements(&cluster),
        ["host-b: the kernel has lxcbbb, cilium's maps have no endpoint for it"]
    );
}

/// Adds a second node beside [`cluster`]'s, which maps these addresses to identities; returns the
/// disagreements.
fn disagreements_with_lookups(node: u32, pod: (u32, &str)) -> Vec<String> {
    let mut cluster = cluster();
    let mut builder = SnapshotBuilder::default();
    builder.node("worker2", 200, &["172.18.0.3/16"]);
    cluster.nodes.extend(builder.cluster.nodes);
    let lookup = |address: &str, identity, tunnel: Option<&str>| Lookup {
        address: address.parse().expect("an address"),
        identity,
        tunnel: tunnel.map(|tunnel| tunnel.parse().expect("an address")),
    };
    let other = Report {
        lookups: vec![
            lookup("172.18.0.2", node, None),
            lookup("10.0.0.1", pod.0, Some(pod.1)),
        ],
        ..Report::new(Source::CiliumMaps, Some(NetNsId(200)), Status::OK)
    };
    let own = report(
        Source::CiliumMaps,
        vec![mapped(9, "10.0.0.1", 7), mapped(11, "10.0.0.2", 8)],
    );
    let cni = report(Source::CniCache, vec![inside(POD, named("default", "a"))]);
    reconcile::apply(&mut cluster, &[own, other, cni]);
    disagreements(&cluster)
}

#[test]
fn another_identity_on_another_node_is_reported() {
    assert_eq!(disagreements_with_lookups(6, (7, "172.18.0.2")), [""; 0]);
    assert_eq!(
        disagreements_with_lookups(6, (2, "172.18.0.2")),
        [
            "default/a: cilium's ipcache here has the identity 2 for 10.0.0.1, cilium maps on worker reports 7"
        ]
    );
    assert_eq!(
        disagreements_with_lookups(6, (7, "172.18.0.3")),
        ["default/a: cilium's ipcache here sends 10.0.0.1 to worker2, it is on worker"]
    );
    // Possibly another address of the right node.
    assert_eq!(disagreements_with_lookups(6, (7, "192.168.7.7")), [""; 0]);
    // A node of another cluster does not know this one.
    assert_eq!(disagreements_with_lookups(2, (2, "172.18.0.3")), [""; 0]);
}

/// The screen waits for this.
#[test]
fn ten_thousand_pods_are_fast() {
    let number = |number: u32| std::net::Ipv4Addr::from_bits(0x0b00_0000 + number).to_string();
    let pod = |place: u32| PodFact {
        // Some of them share the node's network, others are unknown to the kernel.
        host_network: place.is_multiple_of(2),
        ..on_worker(&number(place), named("default", &format!("pod-{place}")))
    };
    let reports = [
        report(Source::Kubernetes, (0..10_000).map(pod).collect()),
        report(Source::Kubelet, vec![inside(POD, named("default", "a"))]),
    ];
    let mut cluster = cluster();
    let begun = std::time::Instant::now();
    reconcile::apply(&mut cluster, &reports);
    let took = begun.elapsed();
    println!("10 000 pods were put together in {took:?}");
    assert!(took < notify_limit() * 2, "{took:?}");
    assert_eq!(cluster.pods.len(), 5_001);
    assert_eq!(cluster.disagreements.len(), 5_000);
}
