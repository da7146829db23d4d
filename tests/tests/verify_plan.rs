//! Path tests as code: valid, invalid and hostile files, and their pairs.

use std::time::{Duration, Instant};

use netviz::{
    model::{Direction, Pod},
    sys::netns::NetNsId,
    verify::{
        Kind, Protocol, Verdict,
        plan::{
            DoorPattern, End, MOST_PAIRS, Plan, PlannedPair, Selector, Test, all, check, expand,
            parse, read,
        },
    },
};
use netviz_tests::builders::{
    random::Random,
    verdicts::{cross_node, detour, hidden, host_routing, lost_by_policy},
};

fn pod(namespace: &str, name: &str, address: &str, labels: &[&str]) -> Pod {
    Pod {
        node: "worker".into(),
        namespace: Some(namespace.into()),
        name: name.into(),
        netns: Some(NetNsId(1)),
        addresses: address.split(' ').map(|it| it.parse().unwrap()).collect(),
        containers: Vec::new(),
        endpoint: None,
        identity: None,
        labels: labels.iter().map(|label| (*label).into()).collect(),
        condition: None,
        sources: Vec::new(),
    }
}

fn pods() -> Vec<Pod> {
    vec![
        pod("shop", "web-2", "10.0.1.2", &["app=web", "tier=front"]),
        pod(
            "shop",
            "web-1",
            "10.0.1.1 fd00::1",
            &["app=web", "tier=front"],
        ),
        pod("shop", "db-0", "10.0.2.1 fd00::2", &["app=db"]),
        pod("other", "web-9", "10.0.3.1", &["app=web"]),
    ]
}

fn yaml(text: &str) -> Result<Plan, String> {
    parse(text, "paths.yaml").map_err(|error| error.to_string())
}

fn pairs(text: &str) -> Vec<PlannedPair> {
    expand(&yaml(text).unwrap(), &pods()).unwrap()
}

fn names(pairs: &[PlannedPair]) -> Vec<String> {
    let name = |pair: &PlannedPair| {
        let address = pair
            .to_address
            .map_or_else(String::new, |address| format!(" {address}"));
        format!("{} {}{address}", pair.from, pair.to)
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
    assert!(found.iter().all(|pair| pair.from != pair.to));
    let found = pairs(
        "tests:\n- {name: n, from: node/worker, to: 192.0.2.1, protocol: tcp, port: 80, count: 3, size: 100, expect: lost}\n",
    );
    assert_eq!(names(&found), ["node/worker 192.0.2.1"]);
    let test = &found[0].test;
    assert_eq!(
        (test.protocol, test.port, test.count, test.size),
        (Protocol::Tcp, Some(80), 3, Some(100))
    );
    assert_eq!(
        (test.name.as_deref(), test.expect),
        (Some("n"), Some(Kind::Lost))
    );
}

#[test]
fn pod_order_does_not_matter() {
    let plan = yaml("tests:\n- {from: {labels: app=web}, to: {namespace: shop}}\n").unwrap();
    let mut turned = pods();
    turned.reverse();
    assert_eq!(
        expand(&plan, &pods()).unwrap(),
        expand(&plan, &turned).unwrap()
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
fn unmatched_selector_suggests_similar_pods() {
    let cases = [
        ("{labels: app=wep}", "near: app=web"),
        ("{namespace: shob}", "near: shop"),
        ("{pods: webb-1}", "near: web-1"),
        ("{labels: zzz=1}", "4 pods found here"),
    ];
    for (selector, near) in cases {
        let text =
            format!("tests:\n- {{from: a, to: b}}\n- {{name: n, from: a, to: {selector}}}\n");
        let error = expand(&yaml(&text).unwrap(), &pods())
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
        expand(&plan, &pods())
            .unwrap_err()
            .to_string()
            .contains("no pair is left")
    );
    // A pod of a remote node can be a destination, but not a source.
    let mut far = pods();
    far[2].netns = None;
    let plan = yaml("tests:\n- {from: {labels: app=db}, to: a}\n").unwrap();
    assert!(
        expand(&plan, &far)
            .unwrap_err()
            .to_string()
            .contains("run netviz on their node")
    );
    let plan = yaml("tests:\n- {from: a, to: {labels: app=db}}\n").unwrap();
    assert_eq!(expand(&plan, &far).unwrap().len(), 2);
}

#[test]
fn all_pairs() {
    let test = Test::usual(Protocol::Icmp, None, 10, None);
    let found = all(&pods(), &test).unwrap();
    // 4 x 3 over IPv4, 2 over IPv6.
    assert_eq!(found.len(), 14);
    assert!(all(&[], &test).unwrap().is_empty());
}

#[test]
fn too_many_pairs_are_refused_at_once() {
    let crowd = |number: u16| -> Vec<Pod> {
        (0..number)
            .map(|n| {
                pod(
                    "a",
                    &format!("p-{n}"),
                    &format!("10.1.{}.{}", n / 256, n % 256),
                    &["x=y"],
                )
            })
            .collect()
    };
    let start = Instant::now();
    let test = Test::usual(Protocol::Icmp, None, 10, None);
    assert_eq!(all(&crowd(100), &test).unwrap().len(), 9_900);
    // 317 to 317 are 100 000.
    let error = all(&crowd(317), &test).unwrap_err().to_string();
    assert!(
        error.contains(&format!("more than {MOST_PAIRS} pairs; narrow")),
        "{error}"
    );
    let plan = yaml("tests:\n- {from: {labels: x=y}, to: {labels: x=y}}\n").unwrap();
    let error = expand(&plan, &crowd(317)).unwrap_err().to_string();
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
    let text = format!("tests:\n- from: a\n  to: b\n{lines}");
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
        pod(
            "networking101",
            "busybox-c8bbbbb84-fmhwc",
            "10.10.1.164",
            &[],
        ),
        pod(
            "networking101",
            "busybox-c8bbbbb84-t6ggh",
            "10.10.2.117",
            &[],
        ),
        pod(
            "networking101",
            "netshoot-7d996d7884-gcxrm",
            "10.10.1.155",
            &[],
        ),
    ];
    let found = expand(&plan, &lab).unwrap();
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
