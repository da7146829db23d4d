//! The filter language, and the views of flows, from handmade snapshots: no kernel.

use std::net::IpAddr;

use netviz::views::query::{Key, Query, Subject, Term, parse};

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
