//! B is unknown: an unassigned pod address or a service. And packets that arrive out of order.

use netviz::{
    model::Pod,
    verify::{Doubt, Kind, Place, Way, unassigned},
    views::verdict::{causes, notes, unclear},
};

use netviz_tests::builders::snapshot_builder::net;

use super::cases::{SENT, Scene, words};

/// Returns a case that sends to this unknown address.
fn towards(address: &str) -> Scene {
    let mut scene = Scene::far();
    let host = scene.device("cilium_host", 1);
    for door in &mut scene.cluster.doors {
        if door.id == host {
            door.addresses = vec![net("10.10.2.55/32")];
        } else if door.addresses.is_empty() {
            door.addresses = vec![net("10.10.9.9/32")];
        }
    }
    scene.route.to.place = Place::Elsewhere;
    scene.route.to.address = Some(address.parse().unwrap());
    scene.route.to.name = address.into();
    scene
}

#[test]
fn unassigned_address_in_a_pod_range() {
    let mut scene = towards("10.10.2.99");
    let is_listed = |scene: &Scene| match unassigned(&scene.cluster, &scene.route.to) {
        Some(Doubt::Unassigned { listed, .. }) => listed,
        other => panic!("{other:?}"),
    };
    assert!(!is_listed(&scene));
    // If a source reports the range, it is used.
    scene.cluster.nodes[1].pod_cidrs = vec!["10.10.2.64/26".into()];
    assert!(is_listed(&scene));
    scene.cluster.nodes[1].pod_cidrs = vec![net("10.10.2.0/26")];
    assert_eq!(unassigned(&scene.cluster, &scene.route.to), None);
    let far = towards("8.8.8.8");
    assert_eq!(unassigned(&far.cluster, &far.route.to), None);
}

#[test]
fn unreachable_pod_owns_its_address() {
    let mut scene = towards("10.10.2.99");
    scene.cluster.pods.push(Pod {
        node: "elsewhere".into(),
        namespace: None,
        name: "far".into(),
        netns: None,
        addresses: vec!["10.10.2.99".parse().unwrap()],
        containers: Vec::new(),
        endpoint: None,
        identity: None,
        labels: Vec::new(),
        condition: None,
        sources: Vec::new(),
    });
    assert_eq!(unassigned(&scene.cluster, &scene.route.to), None);
}

#[test]
fn packets_to_an_unassigned_address_are_lost_without_expected_doors() {
    let mut scene = towards("10.10.2.99");
    scene.expectations.clear();
    scene.observation.answers.clear();
    scene.keep(|crossing| crossing.way == Way::Request);
    let verdict = scene.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    assert!(words(&unclear(&verdict), "no interface has 10.10.2.99"));
    assert!(words(
        &causes(&verdict, &verdict.losses[0]),
        "no interface has the address"
    ));
}

fn translated() -> Doubt {
    Doubt::ServiceTranslated {
        service: None,
        backends: Vec::new(),
    }
}

/// A loss on the way to a service need not affect other packets.
#[test]
fn loss_not_shared_by_other_packets_is_unclear() {
    let mut scene = towards("10.96.0.100");
    scene.again();
    scene.observation.answers.clear();
    scene.keep(|crossing| crossing.way == Way::Request);
    assert_eq!(scene.judge().verdict, Kind::Lost);
    scene.observation.doubts = vec![translated()];
    let verdict = scene.judge();
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert!(verdict.unclear.contains(&translated()));
    // A reply proves delivery without that report.
    let mut scene = Scene::far();
    scene.observation.doubts = vec![translated()];
    assert_eq!(scene.judge().verdict, Kind::Verified);
}

#[test]
fn reordering_is_noted_at_its_door() {
    let mut scene = Scene::far();
    assert!(!words(&notes(&scene.judge()), "sent later"));
    let door = scene.expectations[0].request[3].door;
    let behind: Vec<_> = scene.expectations[0].request[3..]
        .iter()
        .map(|step| step.door)
        .collect();
    // The first packet is delayed until all others have overtaken it.
    for crossing in &mut scene.observation.crossings {
        if crossing.sequence == 0 && (behind.contains(&crossing.door) || crossing.way == Way::Reply)
        {
            crossing.at += std::time::Duration::from_secs(1);
        }
    }
    let verdict = scene.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    let name = &scene.cluster.door(door).unwrap().interface;
    let note = format!("request: 1 of {SENT} arrived at {name}");
    assert!(words(&notes(&verdict), &note), "{:?}", verdict.notes);
    // Noted once per direction, at the first door.
    let said = notes(&verdict).into_iter();
    let said = said.filter(|note| note.contains("sent later"));
    assert_eq!(said.count(), 2);
}
