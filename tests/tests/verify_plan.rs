//! Path tests as code: valid, invalid and hostile files, and their pairs.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use netviz::{
    model::{Cluster, Direction, Door, Pod},
    sys::netns::NetNsId,
    verify::{
        Kind, Protocol, Route, Verdict,
        plan::{
            DoorPattern, End, MOST_PAIRS, Plan, PlannedPair, Selector, Test, all, check, expand,
            parse, read,
        },
    },
};
use netviz_tests::builders::{
    random::Random,
    snapshot_builder::{SnapshotBuilder, end},
    verdicts::{cross_node, detour, hidden, host_routing, lost_by_policy},
};

/// A cluster with one node; each pod has a network namespace of its own.
#[derive(Default)]
struct Pods(SnapshotBuilder);

impl Pods {
    fn of(
        pods: impl IntoIterator<Item = (&'static str, String, String, &'static [&'static str])>,
    ) -> Self {
        let mut all = Self::default();
        all.0.node("worker", 1, &["192.168.0.1/24"]);
        for (namespace, name, addresses, labels) in pods {
            all.add(0, namespace, &name, &addresses, labels);
        }
        all
    }

    fn add(&mut self, node: usize, namespace: &str, name: &str, addresses: &str, labels: &[&str]) {
        let cluster = &self.0.cluster;
        let node_netns = cluster.nodes[node].netns.0;
        let index = u32::try_from(cluster.pods.len()).unwrap() + 10;
        let netns = 1000 + u64::from(index);
        let (far, near) = (end(netns, 2, "eth0"), end(node_netns, index, "lxc"));
        self.0.pod(node, name, "10.255.255.255/32", &far, &near);
        let addresses = addresses.split(' ').map(|it| it.parse::<IpAddr>().unwrap());
        let addresses: Vec<_> = addresses.collect();
        let doors = &mut self.0.cluster.doors;
        let inner = doors.len() - 2;
        doors[inner].addresses = addresses.iter().copied().map(IpNet::from).collect();
        doors[inner].namespace = Some(namespace.into());
        let node = self.0.cluster.nodes[node].name.clone();
        self.0.cluster.pods.push(Pod {
            node,
            namespace: Some(namespace.into()),
            name: name.into(),
            netns: Some(NetNsId(netns)),
            addresses,
            labels: labels.iter().map(|label| (*label).into()).collect(),
            ..Pod::default()
        });
    }

    fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }
}

fn pods() -> Pods {
    let pod = |namespace, name: &str, address: &str, labels: &'static [&'static str]| {
        (namespace, name.to_owned(), address.to_owned(), labels)
    };
    Pods::of([
        pod("shop", "web-2", "10.0.1.2", &["app=web", "tier=front"]),
        pod(
            "shop",
            "web-1",
            "10.0.1.1 fd00::1",
            &["app=web", "tier=front"],
        ),
        pod("shop", "db-0", "10.0.2.1 fd00::2", &["app=db"]),
        pod("other", "web-9", "10.0.3.1", &["app=web"]),
    ])
}

fn yaml(text: &str) -> Result<Plan, String> {
    parse(text, "paths.yaml").map_err(|error| error.to_string())
}

fn pairs(text: &str) -> Vec<PlannedPair> {
    expand(&yaml(text).unwrap(), pods().cluster()).unwrap()
}

fn names(pairs: &[PlannedPair]) -> Vec<String> {
    let name = |pair: &PlannedPair| {
        let Route { from, to, .. } = &pair.route;
        format!("{} {} {}", from.name, to.name, to.address.unwrap())
    };
    pairs.iter().map(name).collect()
}

#[test]
fn selectors_and_names_expand_in_order() {
    let found = pairs(
        "tests:\n- from: {namespace: shop, labels: 'app=web, tier=front'}\n  to: {labels: app=db}\n",
    );
    assert_eq!(
        names(&found),
        [
            "shop/web-1 shop/db-0 10.0.2.1",
            "shop/web-1 shop/db-0 fd00::2",
            "shop/web-2 shop/db-0 10.0.2.1",
        ]
    );
    // All ordered pairs without a pod to itself; both addresses are of one family.
    let found = pairs("tests:\n- {from: {labels: app=web}, to: {labels: app=web}}\n");
    assert_eq!(found.len(), 6);
    assert!(
        found
            .iter()
            .all(|pair| pair.route.from.place != pair.route.to.place)
    );
    let found = pairs(
        "tests:\n- {name: n, from: node/worker, to: 192.0.2.1, protocol: tcp, port: 80, count: 3, size: 100, expect: lost}\n",
    );
    assert_eq!(names(&found), ["node/worker 192.0.2.1 192.0.2.1"]);
    let test = &found[0].test;
    assert_eq!(
        (test.protocol, test.port, test.count, test.size),
        (Protocol::Tcp, Some(80), 3, Some(100))
    );
    assert_eq!(
        (
            test.name.as_ref().map(|name| name.value.as_str()),
            test.expect
        ),
        (Some("n"), Some(Kind::Lost))
    );
}

#[test]
fn pod_order_does_not_matter() {
    let plan = yaml("tests:\n- {from: {labels: app=web}, to: {namespace: shop}}\n").unwrap();
    let mut turned = pods();
    turned.0.cluster.pods.reverse();
    turned.0.cluster.doors.reverse();
    assert_eq!(
        expand(&plan, pods().cluster()).unwrap(),
        expand(&plan, turned.cluster()).unwrap()
    );
}

#[test]
fn errors_name_position_and_remedy() {
    let base = "tests:\n- from: a\n  to: b\n";
    let cases = [
        ("tests: []", "paths.yaml: no tests"),
        ("tests:\n- from: a\n", "paths.yaml:2:"),
        ("tests:\n- from: a\n  to: b\n  form: c\n", "form"),
        ("tests:\n- from: a\n  to: {label: app=x}\n", "label"),
        (
            "tests:\n- from: a\n  to: {}\n",
            "at least one of namespace, labels, pods",
        ),
        (
            "tests:\n- from: a\n  to: {labels: app}\n",
            "not of the form key=value",
        ),
        ("tests:\n- from: a\n  to: {pods: 'a['}\n", "invalid pattern"),
        ("tests:\n- from: ''\n  to: b\n", "the name is empty"),
        ("tests: [", "paths.yaml:1:"),
        ("", "paths.yaml"),
    ];
    for (text, part) in cases {
        let error = yaml(text).unwrap_err();
        assert!(error.contains(part), "{text:?}: {error}");
        assert!(
            error.starts_with("paths.yaml") && !error.contains('\n'),
            "{error}"
        );
    }
    let lines = [
        ("  protocol: sctp\n", "paths.yaml:4:"),
        ("  port: 0\n", "paths.yaml:4:"),
        ("  port: 70000\n", "paths.yaml:4:"),
        ("  count: 0\n", "between 1 and 1000"),
        ("  count: 5000\n", "between 1 and 1000"),
        ("  expect: fine\n", "paths.yaml:4:"),
        ("  doors: [eth0]\n", "ingress lxc*"),
        ("  doors: [up eth0]\n", "ingress lxc*"),
        (
            "  doors: []\n",
            "paths.yaml: test 1: an empty list of doors",
        ),
        ("  round-trip: {median: 5}\n", "500us"),
        ("  round-trip: {best: 5ms}\n", "best"),
        ("  port: 80\n", "icmp has no port"),
        ("  from: a\n", "paths.yaml:4:"),
    ];
    for (line, part) in lines {
        let error = yaml(&format!("{base}{line}")).unwrap_err();
        assert!(error.contains(part), "{line:?}: {error}");
        assert!(error.contains("; "), "{error} has no remedy");
    }
    let error = yaml("tests:\n- {from: a, to: {labels: a=b}, protocol: tcp}\n").unwrap_err();
    assert!(error.contains("add `port`"), "{error}");
}

#[test]
fn names_of_tests_are_unique() {
    let test = |name: &str| format!("- name: {name}\n  from: a\n  to: b\n");
    let plan = |names: &[&str]| {
        let tests: String = names.iter().map(|name| test(name)).collect();
        yaml(&format!(
            "tests:\n{tests}- {{from: a, to: b}}\n- {{from: a, to: b}}\n"
        ))
    };
    let found = plan(&["one", "'2'", "3", "On", "O n e"]).unwrap();
    let names = found.tests.iter().flat_map(|test| &test.name);
    let names: Vec<_> = names.map(|name| name.value.as_str()).collect();
    assert_eq!(names, ["one", "2", "3", "On", "O n e"]);
    assert_eq!(
        plan(&["one", "two", "'one '"]).unwrap_err(),
        "paths.yaml:8:9: the test at line 2 has the same name, \"one\"; rename one of them"
    );
    assert_eq!(
        plan(&["' '"]).unwrap_err(),
        "paths.yaml:2:9: the name is empty; name the test, or remove `name`"
    );
}

#[test]
fn unmatched_selector_suggests_similar_pods() {
    let cases = [
        ("{labels: app=wep}", "near: app=web"),
        ("{namespace: shob}", "near: shop"),
        ("{pods: webb-1}", "near: web-1"),
        ("{labels: zzz=1}", "4 pods found here"),
    ];
    for (selector, near) in cases {
        let text = format!(
            "tests:\n- {{from: web-1, to: db-0}}\n- {{name: n, from: web-1, to: {selector}}}\n"
        );
        let error = expand(&yaml(&text).unwrap(), pods().cluster())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("paths.yaml: test 2 (n): to: no pod has"),
            "{error}"
        );
        assert!(error.contains(near), "{error}");
    }
    // Only itself.
    let plan = yaml("tests:\n- {from: {labels: app=db}, to: {labels: app=db}}\n").unwrap();
    assert!(
        expand(&plan, pods().cluster())
            .unwrap_err()
            .to_string()
            .contains("no pair is left")
    );
    // A pod of a remote node can be a destination, but not a source.
    let mut far = pods();
    let netns = far.cluster().pods[2].netns.unwrap();
    let in_it = |door: &Door| door.id.netns.known() == Some(netns);
    far.0.cluster.doors.retain(|door| !in_it(door));
    far.0.cluster.pods[2].netns = None;
    far.0.cluster.pods[2].node = "far-worker".into();
    let plan = yaml("tests:\n- {from: {labels: app=db}, to: web-1}\n").unwrap();
    assert!(
        expand(&plan, far.cluster())
            .unwrap_err()
            .to_string()
            .contains("run netviz on their node")
    );
    let plan = yaml("tests:\n- {from: web-1, to: {labels: app=db}}\n").unwrap();
    assert_eq!(expand(&plan, far.cluster()).unwrap().len(), 2);
    // Every pair of those that are here.
    assert_eq!(all(far.cluster(), &usual()).unwrap().len(), 6);
}

#[test]
fn all_pairs() {
    let found = all(pods().cluster(), &usual()).unwrap();
    // 4 x 3 over IPv4, 2 over IPv6.
    assert_eq!(found.len(), 14);
    assert!(all(&Cluster::default(), &usual()).unwrap().is_empty());
    let of = |namespace: &str| {
        let namespace = Some(namespace.into());
        let test = Test::usual(namespace, Protocol::Icmp, None, 10, None);
        all(pods().cluster(), &test)
    };
    assert_eq!(of("shop").unwrap().len(), 8);
    let error = of("shob").unwrap_err().to_string();
    assert!(error.contains("near: shop"), "{error}");
}

fn usual() -> Test {
    Test::usual(None, Protocol::Icmp, None, 10, None)
}

/// Two clusters on one machine: two nodes with one pod range, and pods with equal names and addresses.
fn two_clusters() -> Pods {
    let mut pods = Pods::default();
    for (node, netns, address) in [(0, 1, "172.18.0.2/16"), (1, 2, "172.19.0.2/16")] {
        pods.0.node(["k1", "k2"][node], netns, &[address]);
        pods.add(node, "default", "web-0", "10.244.0.2", &["app=web"]);
        pods.add(node, "default", "web-1", "10.244.0.3", &["app=web"]);
    }
    pods
}

#[test]
fn pods_with_equal_names_and_addresses_are_kept_apart() {
    let pods = two_clusters();
    let found = all(pods.cluster(), &usual()).unwrap();
    assert_eq!(found.len(), 12);
    let ends: BTreeSet<_> = found
        .iter()
        .map(|pair| pair.route.from.name.clone())
        .collect();
    let labels = [
        "k1:default/web-0",
        "k1:default/web-1",
        "k2:default/web-0",
        "k2:default/web-1",
    ];
    assert_eq!(ends, labels.map(String::from).into());
    for pair in &found {
        // The identity, not the name or the address, which are those of two pods.
        let expected = |name: &str| {
            pods.cluster().pods[labels.iter().position(|it| *it == name).unwrap()].netns
        };
        let Route { from, to, .. } = &pair.route;
        assert_eq!(from.place.netns(), expected(&from.name));
        assert_eq!(to.place.netns(), expected(&to.name));
    }
    let plan = "tests:\n- {from: 'k2:web-0', to: {pods: web-1}}\n";
    let found = expand(&yaml(plan).unwrap(), pods.cluster()).unwrap();
    let receivers: Vec<_> = found
        .iter()
        .map(|pair| pair.route.to.name.as_str())
        .collect();
    assert_eq!(receivers, ["k1:default/web-1", "k2:default/web-1"]);
    assert!(
        found
            .iter()
            .all(|pair| pair.route.from.place.node() == Some(1))
    );
    // A name that two pods have is an error that shows what to write.
    for (name, list) in [
        (
            "web-0",
            "2 pods are named \"web-0\"; use one of k1:default/web-0 (10.244.0.2), k2:default/web-0 (10.244.0.2)",
        ),
        (
            "10.244.0.3",
            "use one of k1:10.244.0.3 (default/web-1), k2:10.244.0.3 (default/web-1)",
        ),
    ] {
        let plan = format!("tests:\n- {{from: {name}, to: 'k1:web-1'}}\n");
        let error = expand(&yaml(&plan).unwrap(), pods.cluster())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("paths.yaml: test 1: from: ") && error.contains(list),
            "{error}"
        );
    }
}

#[test]
fn too_many_pairs_are_refused_at_once() {
    let crowd = |number: u16| {
        Pods::of((0..number).map(|n| {
            let address = format!("10.1.{}.{}", n / 256, n % 256);
            ("a", format!("p-{n}"), address, ["x=y"].as_slice())
        }))
    };
    let start = Instant::now();
    assert_eq!(all(crowd(100).cluster(), &usual()).unwrap().len(), 9_900);
    // 317 to 317 are 100 000.
    let error = all(crowd(317).cluster(), &usual()).unwrap_err().to_string();
    assert!(
        error.contains(&format!("more than {MOST_PAIRS} pairs; narrow")),
        "{error}"
    );
    let plan = yaml("tests:\n- {from: {labels: x=y}, to: {labels: x=y}}\n").unwrap();
    let error = expand(&plan, crowd(317).cluster()).unwrap_err().to_string();
    assert!(
        error.starts_with("paths.yaml: test 1: more than"),
        "{error}"
    );
    // Aliases that expand to a billion nodes, and unlimited nesting.
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..10 {
        let before = format!("*a{},", n - 1).repeat(9);
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    assert!(yaml(&format!("{bomb}tests: *a9\n")).is_err());
    assert!(yaml(&"[".repeat(100_000)).is_err());
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn files_are_bounded() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read(&path).map_err(|error| error.to_string())
    };
    assert!(write("a.yml", b"tests:\n- {from: a, to: b}\n").is_ok());
    assert!(
        write("b.yaml", b"\xff\xfe\xff")
            .unwrap_err()
            .contains("UTF-8")
    );
    let large = vec![b'#'; (1 << 20) + 1];
    assert!(
        write("c.yaml", &large)
            .unwrap_err()
            .contains("more than 1048576 bytes")
    );
    let error = read(&place.path().join("none.yaml"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot open the file"), "{error}");
}

/// Arbitrary text is refused in one line.
#[test]
fn arbitrary_text_does_not_panic() {
    let mut random = Random(0x5EED);
    for _ in 0..2_000 {
        let mut text = random.text();
        if random.once_in(2) {
            text = format!(
                "tests:\n- from: {text}\n  to: {{pods: {}}}\n",
                random.text()
            );
        }
        if let Err(error) = parse(&text, "e\u{1b}[2J.yaml") {
            let error = error.to_string();
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }
}

fn planned(lines: &str) -> PlannedPair {
    let text = format!("tests:\n- from: web-1\n  to: web-2\n{lines}");
    pairs(&text).remove(0)
}

fn why(lines: &str, verdict: &Verdict) -> Option<String> {
    let outcome = check(&planned(lines), verdict);
    assert_eq!(outcome.passed, outcome.why.is_none());
    outcome.why
}

#[test]
fn expectation_passes_or_explains_why_not() {
    assert_eq!(why("", &cross_node()), None);
    assert_eq!(
        why("", &lost_by_policy()).unwrap(),
        "expected verified, got lost"
    );
    assert_eq!(why("  expect: lost\n", &lost_by_policy()), None);
    assert_eq!(
        why("  expect: lost\n", &cross_node()).unwrap(),
        "expected lost, got verified"
    );
    assert_eq!(why("  expect: unclear\n", &hidden()), None);
    assert!(why("", &detour()).is_some());
}

#[test]
fn doors_are_compared_in_order() {
    let through = "  doors: [▲ eth0, ingress lxc*, out cilium_vxlan, ^ eth0, v eth0, ▼ cilium_vxlan, egress lxc*, in eth0]\n";
    assert_eq!(why(through, &cross_node()), None);
    let shorter = "  doors: [▲ eth0, ingress lxc*]\n";
    let reason = why(shorter, &cross_node()).unwrap();
    assert_eq!(
        reason,
        "door 3: expected no more door, ▲ cilium_vxlan on mycluster-worker2 was crossed"
    );
    // A bypassed door is not crossed.
    assert_eq!(
        why("  doors: [▲ eth0, ▼ lxc*, ▼ eth0]\n", &host_routing()),
        None
    );
    let longer = "  doors: [▲ eth0, ▼ lxc*, ▼ eth0, ▲ eth0]\n";
    assert_eq!(
        why(longer, &host_routing()).unwrap(),
        "door 4: expected ▲ eth0, no more door was crossed"
    );
    // A detour along the listed doors is correct; a loss is not, unless it is expected.
    let list = "  doors: [▲ eth0, ▼ lxc*, ▲ eth0, ▼ eth0, ▼ cilium_vxlan, ▲ cilium_host, ▲ lxc*, ▼ eth0]\n";
    assert_eq!(why(list, &detour()), None);
    let first = "  doors: [▲ eth0, ▼ lxc*, ▲ cilium_vxlan, ▲ eth0, ▼ eth0, ▼ cilium_vxlan]\n";
    assert_eq!(
        why(first, &lost_by_policy()).unwrap(),
        "got lost, 0 of 10 delivered"
    );
    assert_eq!(
        why(&format!("{first}  expect: lost\n"), &lost_by_policy()),
        None
    );
}

#[test]
fn round_trips_have_limits() {
    assert_eq!(
        why("  round-trip: {median: 42us, worst: 63us}\n", &cross_node()),
        None
    );
    let reason = why("  round-trip: {median: 41us}\n", &cross_node()).unwrap();
    assert_eq!(
        reason,
        "the median round trip took 41.3 us; the limit is 41.0 us"
    );
    assert!(
        why("  round-trip: {worst: 62us}\n", &cross_node())
            .unwrap()
            .contains("worst")
    );
    let reason = why(
        "  expect: lost\n  round-trip: {worst: 1s}\n",
        &lost_by_policy(),
    )
    .unwrap();
    assert!(reason.contains("no round trip was measured"), "{reason}");
}

#[test]
fn documented_example_fits_the_lab() {
    let text = include_str!("../../docs/paths.yaml");
    let plan = parse(text, "docs/paths.yaml").unwrap();
    let lab = [
        ("busybox-c8bbbbb84-fmhwc", "10.10.1.164"),
        ("busybox-c8bbbbb84-t6ggh", "10.10.2.117"),
        ("netshoot-7d996d7884-gcxrm", "10.10.1.155"),
    ];
    let lab = lab.map(|(name, address)| {
        let labels: &[&str] = &[];
        ("networking101", name.to_owned(), address.to_owned(), labels)
    });
    let lab = Pods::of(lab);
    let found = expand(&plan, lab.cluster()).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(found[2].test.port, Some(53));
    let selector = Selector {
        namespace: Some("networking101".into()),
        pods: Some("busybox-*".into()),
        labels: None,
    };
    assert_eq!(plan.tests[0].from, End::Pods(selector));
    assert!(
        DoorPattern::parse("▼ lxc*")
            .unwrap()
            .fits(Direction::Ingress, "lxc1")
    );
}
