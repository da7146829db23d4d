//! B is unknown: an unassigned pod address or a service. And packets that arrive out of order.

use netviz::{
    model::Pod,
    verify::{Doubt, Kind, Place, Way, unassigned},
    views::verdict::{causes, notes, unclear},
};

use netviz_tests::builders::snapshot_builder::net;

use super::cases::{SENT, Setup, mentions};

/// Returns a case that sends to this unknown address.
fn setup_to(address: &str) -> Setup {
    let mut setup = Setup::far();
    let host = setup.device("cilium_host", 1);
    for door in &mut setup.cluster.doors {
        if door.id == host {
            door.addresses = vec![net("10.10.2.55/32")];
        } else if door.addresses.is_empty() {
            door.addresses = vec![net("10.10.9.9/32")];
        }
    }
    setup.route.to.place = Place::Elsewhere;
    setup.route.to.address = Some(address.parse().unwrap());
    setup.route.to.name = address.into();
    setup
}

#[test]
fn unassigned_address_in_a_pod_range() {
    let mut setup = setup_to("10.10.2.99");
    let is_listed = |setup: &Setup| match unassigned(&setup.cluster, &setup.route.to) {
        Some(Doubt::Unassigned { listed, .. }) => listed,
        other => panic!("{other:?}"),
    };
    assert!(!is_listed(&setup));
    // If a source reports the range, it is used.
    setup.cluster.nodes[1].pod_cidrs = vec![net("10.10.2.64/26")];
    assert!(is_listed(&setup));
    setup.cluster.nodes[1].pod_cidrs = vec![net("10.10.2.0/26")];
    assert_eq!(unassigned(&setup.cluster, &setup.route.to), None);
    let far = setup_to("8.8.8.8");
    assert_eq!(unassigned(&far.cluster, &far.route.to), None);
}

#[test]
fn unreachable_pod_owns_its_address() {
    let mut setup = setup_to("10.10.2.99");
    setup.cluster.pods.push(Pod {
        node: "elsewhere".into(),
        name: "far".into(),
        addresses: vec!["10.10.2.99".parse().unwrap()],
        ..Pod::default()
    });
    assert_eq!(unassigned(&setup.cluster, &setup.route.to), None);
}

#[test]
fn packets_to_an_unassigned_address_are_lost_without_expected_doors() {
    let mut setup = setup_to("10.10.2.99");
    setup.expectations.clear();
    setup.observation.answers.clear();
    setup.keep(|crossing| crossing.way == Way::Request);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    assert!(mentions(&unclear(&verdict), "no interface has 10.10.2.99"));
    let all = causes(&verdict, &verdict.losses[0]);
    assert_eq!(all, ["nobody has 10.10.2.99"]);
}

fn translated() -> Doubt {
    Doubt::ServiceTranslated {
        service: None,
        backends: Vec::new(),
        error: None,
    }
}

/// A loss on the way to a service need not affect other packets.
#[test]
fn loss_not_shared_by_other_packets_is_unclear() {
    let mut setup = setup_to("10.96.0.100");
    setup.again();
    setup.observation.answers.clear();
    setup.keep(|crossing| crossing.way == Way::Request);
    assert_eq!(setup.judge().verdict, Kind::Lost);
    setup.observation.doubts = vec![translated()];
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert!(verdict.unclear.contains(&translated()));
    // A reply proves delivery without that report.
    let mut setup = Setup::far();
    setup.observation.doubts = vec![translated()];
    assert_eq!(setup.judge().verdict, Kind::Verified);
}

#[test]
fn reordering_is_noted_at_its_door() {
    let mut setup = Setup::far();
    assert!(!mentions(&notes(&setup.judge()), "sent later"));
    let door = setup.expectations[0].request[3].door;
    let behind: Vec<_> = setup.expectations[0].request[3..]
        .iter()
        .map(|step| step.door)
        .collect();
    // The first packet is delayed until all others have overtaken it.
    for crossing in &mut setup.observation.crossings {
        if crossing.sequence == 0 && (behind.contains(&crossing.door) || crossing.way == Way::Reply)
        {
            crossing.at += std::time::Duration::from_secs(1);
        }
    }
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    let name = &setup.cluster.door(door).unwrap().interface;
    let note = format!("request: 1 of {SENT} arrived at {name}");
    assert!(mentions(&notes(&verdict), &note), "{:?}", verdict.notes);
    // Noted once per direction, at the first door.
    let late = notes(&verdict).into_iter();
    let late = late.filter(|note| note.contains("sent later"));
    assert_eq!(late.count(), 2);
}
