//! The filter language, and the views of flows, from handmade snapshots: no kernel.

use std::{net::IpAddr, path::Path};

use netviz::{
    model::{Direction, DoorId, DoorState, Netns, Pod, Snapshot},
    sys::netns::NetNsId,
    views::{
        flows::{self, CountedAt, FlowReport, Owner, PairCounts, PairReport, Party, Selected},
        query::{Key, Query, Subject, Term, parse},
        text::{Style, visible_width},
    },
};
use netviz_tests::{
    builders::flows::{count_flows, counts, flow, ip, talking},
    cli::schema::complaints,
};

/// A subject with one of each: what a filter selects is decided by the names of its terms.
struct Web;

impl Subject for Web {
    fn fits(&self, term: &Term) -> bool {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        match term {
            Term::Word(word) => "shop/web-7d996d7884-fwt8z".contains(word),
            Term::Proto(protocols) => protocols.contain(6),
            Term::Port(ports) => ports.contains(&443),
            Term::Ip(wanted) => *wanted == address,
            Term::Cidr(network) => network.contains(&address),
            Term::Pod(name) => name.fits("web-7d996d7884-fwt8z"),
            Term::Namespace(name) => name.fits("shop"),
            Term::Node(name) => name.fits("kind-worker"),
            Term::Device(_) | Term::State(_) => false,
        }
    }
}

fn flow_query(text: &str) -> Query {
    parse(text, &Key::OF_FLOWS).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn filter_terms_select() {
    for (text, fits) in [
        ("", true),
        ("  ", true),
        ("proto:tcp", true),
        ("PROTO:TCP", true),
        ("proto:6", true),
        ("proto:udp", false),
        ("proto:icmp", false),
        ("port:443", true),
        ("port:400-500", true),
        ("port:80", false),
        ("ip:10.0.0.1", true),
        ("ip:10.0.0.10", false),
        ("ip:fd00::1", false),
        ("cidr:10.0.0.0/8", true),
        ("cidr:10.9.9.9/8", true),
        ("cidr:fd00::/8", false),
        ("pod:web-7d996d7884-fwt8z", true),
        ("pod:web", false),
        ("pod:Web-*", true),
        ("ns:shop", true),
        ("ns:sho?", true),
        ("ns:shopping", false),
        ("node:kind-*", true),
        ("FWT8Z", true),
        ("10.0.0.1", true),
        ("10.0.0.0/24", true),
        ("10.0.0.2", false),
        ("fd00::1", false),
        ("not fwt8z", false),
        ("not not fwt8z", true),
        // `not` binds closest, then `and`, which may be left out.
        ("not db and web", true),
        ("not db web", true),
        ("db or web", true),
        ("db and x or web", true),
        ("web or db and x", true),
        ("(web or db) and x", false),
        ("(web or db)and(port:443)", true),
        ("not (db or port:80)", true),
        ("NOT (web OR db)", false),
    ] {
        assert_eq!(flow_query(text).fits(&Web), fits, "{text:?}");
    }
    assert!(flow_query("").is_empty() && !flow_query("web").is_empty());
}

#[test]
fn wrong_filter_points_at_the_place() {
    let errors = [
        "pod:web and prot:tcp",
        "pod:web port:http",
        "port:9-2",
        "proto:quic",
        "ip:10.0.0.0/8",
        "cidr:10.0.0.1",
        "ip:10.0.0",
        "pod:",
        "pod:[a",
        "not",
        "web and",
        "and web",
        "web or or db",
        "web or (db and (x or y)",
        "web ) db",
        "()",
        "観測点 dev:eth0",
        "x:y",
        "a\u{1b}[2J\n\u{202e} prot:tcp",
    ]
    .map(|text| {
        let error = parse(text, &Key::OF_FLOWS).expect_err(text);
        let shown = error.to_string();
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        shown
    });
    insta::assert_snapshot!("wrong_filters", errors.join("\n"));
}

#[test]
fn deep_and_long_filters_are_refused_or_read() {
    let deep = "(".repeat(100_000);
    assert!(parse(&deep, &Key::OF_FLOWS).is_err());
    let nested = format!("{}web{}", "(".repeat(20), ")".repeat(20));
    assert!(flow_query(&nested).fits(&Web));
    // No stack grows with the number of terms.
    assert!(flow_query(&"web ".repeat(100_000)).fits(&Web));
    assert!(flow_query(&format!("{}web", "not ".repeat(100_000))).fits(&Web));
}

fn table(snapshot: &Snapshot, selected: &Selected, width: Option<usize>) -> String {
    let style = Style {
        width,
        ..Style::default()
    };
    flows::table::draw(&FlowReport::new(snapshot, selected), style)
}

fn filtered(text: &str) -> Selected {
    Selected {
        query: flow_query(text),
        ..Selected::default()
    }
}

#[test]
fn flows_in_a_table() {
    let snapshot = talking();
    let all = Selected::default();
    insta::assert_snapshot!("flows", table(&snapshot, &all, None));
    for width in [80, 120, 200] {
        let shown = table(&snapshot, &all, Some(width));
        insta::assert_snapshot!(format!("flows_{width}"), shown);
    }
}

#[test]
fn lines_of_flows_fit_the_screen() {
    let snapshot = talking();
    for width in [20, 40, 60, 80, 100, 132, 180, 300] {
        for line in table(&snapshot, &Selected::default(), Some(width)).lines() {
            assert!(visible_width(line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn top_and_filter_say_what_they_leave_out() {
    let snapshot = talking();
    let top = Selected {
        top: Some(2),
        ..Selected::default()
    };
    let shown = table(&snapshot, &top, None);
    assert!(
        shown.contains("+ 3 more flows: 69 packets, 6.7 KiB"),
        "{shown}"
    );
    assert!(shown.contains("▲ 120 packets of evicted flows"), "{shown}");
    assert!(shown.contains("▼ 3 packets that are not IP"), "{shown}");
    let shown = table(&snapshot, &filtered("proto:icmp"), None);
    assert!(
        shown.contains("+ 3 filtered flows: 3 050 packets"),
        "{shown}"
    );
    assert!(
        shown.contains("no flows at 4 interfaces; the filter left out those of 4"),
        "{shown}"
    );
}

#[test]
fn every_filter_term_selects_flows() {
    let snapshot = talking();
    for (filter, flows) in [
        ("", 14),
        ("proto:icmp", 4),
        ("proto:udp", 1),
        ("port:80", 2),
        ("port:443", 1),
        ("port:8000-9000", 4),
        ("ip:10.96.0.10", 6),
        ("cidr:203.0.113.0/24", 1),
        ("pod:shop-1-7d996d7884-20001", 6),
        ("pod:shop/client-0", 2),
        ("ns:shop", 8),
        ("node:worker3", 2),
        ("api", 6),
        ("not api not proto:icmp", 4),
    ] {
        let report = FlowReport::new(&snapshot, &filtered(filter));
        let shown: usize = report.doors.iter().map(|door| door.flows.len()).sum();
        assert_eq!(
            shown,
            flows,
            "{filter}: {}",
            table(&snapshot, &filtered(filter), None)
        );
    }
}

#[test]
fn service_and_the_pod_that_answers_are_joined() {
    let report = FlowReport::new(&talking(), &Selected::default());
    let client = report
        .doors
        .iter()
        .find(|door| door.id.netns == Netns::Known(NetNsId(1_001)));
    let asked = &client.unwrap().flows[..2];
    for flow in asked {
        let both = flow.translation.unwrap();
        assert_eq!(both.answered.to_string(), "10.2.0.2:8080");
        let Some(Owner::Pod { name, .. }) = &flow.answered_by else {
            panic!("{flow:?}");
        };
        assert_eq!(*name, "shop-1-7d996d7884-20001");
    }
    // Of two backends, either may have answered.
    let mut snapshot = talking();
    let services = &mut snapshot.directory.as_mut().unwrap().services;
    services[0].backends.push("10.2.0.1:8080".parse().unwrap());
    let other = flow(
        Direction::Ingress,
        ("10.1.0.1", 40_000),
        ("10.2.0.1", 8080),
        1,
    );
    count_flows(&mut snapshot, (2_001, 10), vec![other]);
    let report = FlowReport::new(&snapshot, &Selected::default());
    let flows = report.doors.iter().flat_map(|door| &door.flows);
    let asked = flows.filter(|it| it.flow.key.destination == ip("10.96.0.10"));
    assert!(asked.clone().count() > 0);
    assert!(asked.clone().all(|it| it.translation.is_none()));
}

#[test]
fn labels_of_a_service_lead_to_its_pods() {
    let mut snapshot = talking();
    let service = &mut snapshot.directory.as_mut().unwrap().services[0];
    service.backends.clear();
    service.selector = vec!["app=api".into()];
    let joined = |snapshot: &Snapshot| {
        let report = FlowReport::new(snapshot, &Selected::default());
        let flows = report.doors.iter().flat_map(|door| &door.flows);
        flows.filter(|it| it.translation.is_some()).count()
    };
    assert_eq!(joined(&snapshot), 0);
    snapshot.pods.push(Pod {
        node: "worker2".into(),
        name: "shop-1-7d996d7884-20001".into(),
        addresses: vec![ip("10.2.0.2")],
        labels: vec!["app=api".into(), "tier=web".into()],
        ..Pod::default()
    });
    assert_eq!(joined(&snapshot), 6);
}

#[test]
fn shared_address_is_not_named_except_at_its_own_interface() {
    let mut snapshot = talking();
    // As in a second cluster on the machine.
    let twin = snapshot
        .doors
        .iter()
        .position(|door| door.id.netns == Netns::Known(NetNsId(2_001)));
    snapshot.doors[twin.unwrap()].addresses = vec!["10.1.0.1/32".parse().unwrap()];
    let report = FlowReport::new(&snapshot, &Selected::default());
    assert_eq!(report.ambiguous, [ip("10.1.0.1")]);
    let source = |netns: u64| {
        let mut doors = report.doors.iter();
        let door = doors
            .find(|door| door.id.netns == Netns::Known(NetNsId(netns)))
            .unwrap();
        let mut flows = door.flows.iter();
        let flow = flows
            .find(|it| it.flow.key.source == ip("10.1.0.1"))
            .unwrap();
        flow.source_owner.clone().unwrap()
    };
    assert!(matches!(source(1_001), Owner::Pod { .. }));
    assert_eq!(source(2_002), Owner::Ambiguous);
    let shown = table(&snapshot, &Selected::default(), None);
    assert!(shown.contains("10.1.0.1:40000*"), "{shown}");
    assert!(
        shown.contains("* several pods, nodes or services have 10.1.0.1"),
        "{shown}"
    );
}

fn pairs(snapshot: &Snapshot) -> PairReport {
    PairReport::new(snapshot, &Selected::default())
}

#[test]
fn pairs_in_a_table() {
    let report = pairs(&talking());
    insta::assert_snapshot!(
        "flow_pairs",
        flows::pair_table::draw(&report, Style::default())
    );
    for width in [40, 80, 120] {
        let style = Style {
            width: Some(width),
            ..Style::default()
        };
        let shown = flows::pair_table::draw(&report, style);
        assert!(
            shown.lines().all(|line| visible_width(line) <= width),
            "{shown}"
        );
    }
}

/// A packet between two pods here is seen at both of their interfaces, and at others on the way.
#[test]
fn pairs_count_each_packet_once_at_its_sender() {
    let snapshot = talking();
    let report = pairs(&snapshot);
    let pair = |a: &str, b: &str| {
        let is = |party: &Party, wanted: &str| match party {
            Party::Known(Owner::Pod { name, .. }) => *name == wanted,
            Party::Known(Owner::Service { .. }) => wanted == "service",
            Party::Known(_) => false,
            Party::Group(group) => wanted == format!("{group:?}").to_lowercase(),
        };
        let mut pairs = report.pairs.iter();
        let found = pairs.find(|pair| is(&pair.a, a) && is(&pair.b, b));
        let found = found.map(|pair| {
            let counts = |it: Option<PairCounts>| it.map(|it| (it.counts.packets, it.counted_at));
            (counts(pair.a_to_b), counts(pair.b_to_a))
        });
        found.unwrap_or_else(|| panic!("no pair {a} {b}: {:?}", report.pairs))
    };
    let (sender, receiver) = (CountedAt::Sender, CountedAt::Receiver);
    let one = "shop-0-7d996d7884-10000";
    // What was sent to the service is the pod's that answers.
    assert_eq!(
        pair(one, "shop-1-7d996d7884-20001"),
        (Some((1_000, sender)), Some((2_000, sender)))
    );
    // One reply was lost on the way.
    assert_eq!(
        pair(one, "shop-0-7d996d7884-20000"),
        (Some((10, sender)), Some((10, sender)))
    );
    assert_eq!(pair(one, "outside"), (Some((50, sender)), None));
    let elsewhere = pair("shop-1-7d996d7884-10001", "client-0");
    assert_eq!(elsewhere, (Some((60, sender)), Some((70, receiver))));
    assert_eq!(
        pair("shop-1-7d996d7884-10001", "multicast"),
        (Some((4, sender)), None)
    );
    assert_eq!(report.pairs.len(), 5);
    assert_eq!(report.outside_flows.evicted, counts(120));
}

#[test]
fn node_end_counts_for_a_pod_whose_own_end_is_not_counted() {
    let mut snapshot = talking();
    let own = |door: &&mut DoorState| door.id == DoorId::new(NetNsId(1_001), 10);
    let flows = snapshot.doors.iter_mut().find(own).unwrap().flows.take();
    let exchanged = flows.unwrap().flows.into_iter().map(|mut flow| {
        flow.direction = match flow.direction {
            Direction::Ingress => Direction::Egress,
            Direction::Egress => Direction::Ingress,
        };
        flow
    });
    let exchanged = exchanged.collect();
    count_flows(&mut snapshot, (1_000, 11), exchanged);
    let (near, far) = (pairs(&snapshot), pairs(&talking()));
    assert_eq!(near.pairs, far.pairs);
}

#[test]
fn csv_of_flows() {
    let mut out = Vec::new();
    flows::csv::write(&FlowReport::new(&talking(), &Selected::default()), &mut out).unwrap();
    insta::assert_snapshot!("flows_csv", String::from_utf8(out).unwrap());
    let mut out = Vec::new();
    flows::csv::write_pairs(&pairs(&talking()), &mut out).unwrap();
    insta::assert_snapshot!("flow_pairs_csv", String::from_utf8(out).unwrap());
}

/// The documented schema is the one of the types, and reports match it.
#[test]
fn json_of_flows_matches_its_schema() {
    let documented = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(name);
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let snapshot = talking();
    let flows = serde_json::to_value(FlowReport::new(&snapshot, &Selected::default())).unwrap();
    let pairs = serde_json::to_value(pairs(&snapshot)).unwrap();
    for (name, schema, value) in [
        ("flows.schema.json", flows::schema(), flows),
        ("flow-pairs.schema.json", flows::pairs_schema(), pairs),
    ] {
        assert_eq!(complaints(&schema, &value), [""; 0]);
        let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let form = name.split('.').next().unwrap();
        assert!(
            schema == documented(name),
            "docs/{name} is not what `netviz schema {form}` prints"
        );
    }
}
