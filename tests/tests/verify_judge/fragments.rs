//! Packets larger than the MTU of a link, and therefore fragmented.

use netviz::{
    model::{Direction, Role, Side},
    verify::{Kind, Shape, Way, hide},
    views::verdict::unclear,
};

use super::cases::{Setup, mentions};

/// Returns a case in which all links have Ethernet's MTU.
fn setup(mode: &str, size: u32, whole: bool) -> Setup {
    let mut setup = Setup::new(mode, "pod -> pod, other node");
    for door in &mut setup.cluster.doors {
        door.mtu = Some(1_500);
    }
    hide_from(&mut setup, size, whole);
    setup
}

fn hide_from(setup: &mut Setup, size: u32, whole: bool) {
    for expectation in &mut setup.expectations {
        hide(
            &setup.cluster,
            &setup.route,
            Shape { size, whole },
            expectation,
        );
    }
}

/// Hides the packets at the uplinks.
fn hide_at_uplinks(setup: &mut Setup) {
    let uplinks: Vec<_> = setup
        .cluster
        .doors
        .iter()
        .filter(|door| door.role == Role::Uplink)
        .map(|door| door.id)
        .collect();
    setup.keep(|crossing| !uplinks.contains(&crossing.door));
}

#[test]
fn unfragmented_packets_are_expected_at_every_door() {
    for mode in ["vxlan", "vxlan-host-routing", "native"] {
        let size = if mode == "native" { 1_500 } else { 1_450 };
        let setup = setup(mode, size, true);
        let expectation = &setup.expectations[0];
        let mut steps = expectation.request.iter().chain(&expectation.reply);
        assert!(steps.all(|step| step.fragmented.is_none()), "{mode}");
    }
}

#[test]
fn doors_with_fragments_are_hidden_not_skipped() {
    let mut setup = setup("vxlan", 1_460, true);
    hide_at_uplinks(&mut setup);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert_eq!(verdict.detours, []);
    assert!(mentions(&unclear(&verdict), "send --size 1450 or less"));
    // One sentence per direction, not per door.
    assert_eq!(verdict.unclear.len(), 2, "{:?}", verdict.unclear);
    let hidden = verdict.request.iter().filter(|row| row.seen.is_none());
    assert!(hidden.clone().all(|row| row.outer));
    assert_eq!(hidden.count(), 2);
}

#[test]
fn fragments_with_the_marker_are_seen() {
    let mut setup = setup("vxlan", 1_500, true);
    // A fragment does not identify its packet.
    for crossing in &mut setup.observation.crossings {
        crossing.fragment = crossing.outer;
        crossing.outer = false;
    }
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified, "{verdict:#?}");
    assert!(verdict.request.iter().all(|row| row.seen.is_some()));
}

#[test]
fn other_doors_are_a_detour_despite_hidden_ones() {
    let mut setup = setup("vxlan", 1_460, true);
    hide_at_uplinks(&mut setup);
    let host = setup.device("cilium_host", 0);
    let mut more = Vec::new();
    for crossing in &setup.observation.crossings {
        let first = setup.expectations[0].request[0].door;
        if crossing.way == Way::Request && crossing.door == first {
            let mut other = *crossing;
            (other.door, other.direction) = (host, Direction::Egress);
            other.at += std::time::Duration::from_nanos(1);
            more.push(other);
        }
    }
    setup.observation.crossings.extend(more);
    assert_eq!(setup.judge().verdict, Kind::Detour);
}

#[test]
fn lost_fragments_are_a_loss() {
    let mut setup = setup("vxlan", 1_460, true);
    setup.end_behind(2, 0..super::cases::SENT);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    assert!(mentions(&unclear(&verdict), "fragments"));
}

/// Without DF the sender fragments, at the MTU that Cilium reserves for the tunnel.
#[test]
fn fragmentation_starts_at_the_first_small_mtu() {
    let mut whole = setup("native", 1_400, true);
    let mut pieces = setup("native", 1_400, false);
    for setup in [&mut whole, &mut pieces] {
        let narrow = setup.device("eth0", setup.node_of_sender());
        for door in &mut setup.cluster.doors {
            if door.id == narrow {
                door.mtu = Some(1_300);
            }
        }
    }
    hide_from(&mut whole, 1_400, true);
    hide_from(&mut pieces, 1_400, false);
    let hidden = |setup: &Setup| {
        let steps = setup.expectations[0].request.iter();
        let hidden = steps.filter(|step| step.fragmented.is_some());
        let doors = hidden.map(|step| setup.cluster.door(step.door).unwrap());
        doors
            .map(|door| (door.interface.clone(), door.side))
            .collect::<Vec<_>>()
    };
    assert_eq!(hidden(&whole), []);
    let found = hidden(&pieces);
    assert_eq!(found.first(), Some(&("eth0".to_owned(), Side::Node)));
    assert_eq!(found.last(), Some(&("eth0".to_owned(), Side::Pod)));
    let reply = &setup("vxlan", 1_460, true).expectations[0].reply;
    assert!(reply.iter().all(|step| step.fragmented.is_some()));
}
