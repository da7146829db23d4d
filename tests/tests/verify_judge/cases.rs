//! Named cases, most of them between pods of two nodes in vxlan mode.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use netviz::{
    model::{Cluster, Datapath, Direction, DoorId, Peer, Role, Side},
    sys::netns::NetNsId,
    verify::{
        Answer, Cause, Crossing, Doubt, DropReason, Dropping, Expectation, Found, HiddenReason,
        Hooks, Kind, Modes, Note, Observation, Party, Place, Probes, Refusal, ReplyKind, Route,
        RowNote, TunnelKey, Verdict, Way, candidates, expectations, judge,
    },
    views::verdict::{causes, detours, notes, summary, unclear},
};
use netviz_tests::{
    builders::{
        paths::{HOP, crossing, door, walked},
        snapshot_builder::net,
    },
    cilium::{
        oracle::{self, Case},
        oracle_cluster::{OracleCluster, mode_of},
    },
};

pub(super) const SENT: u32 = 10;

/// A case with expectation and observation, which tests change before it is judged.
pub(super) struct Setup {
    pub(super) cluster: Cluster,
    pub(super) hooks: Hooks,
    pub(super) route: Route,
    pub(super) expectations: Vec<Expectation>,
    pub(super) observation: Observation,
    pub(super) probes: Probes,
}

impl Setup {
    /// Returns the first case of this name in a mode of the oracle, with all packets on the
    /// expected path.
    pub(super) fn new(mode: &str, name: &str) -> Self {
        let cases = oracle::cases(mode).unwrap();
        let oracle = OracleCluster::of(&cases, mode_of(mode));
        let case: &Case = cases.iter().find(|case| case.name == name).unwrap();
        let expectation = oracle.expectation(case, None);
        Self {
            observation: walked(&expectation, SENT),
            expectations: vec![expectation],
            route: oracle.route(case),
            cluster: oracle.cluster,
            hooks: oracle.hooks,
            probes: Probes::default(),
        }
    }

    pub(super) fn far() -> Self {
        Self::new("vxlan", "pod -> pod, other node")
    }

    /// Computes the expectation again after changes to cluster or route, with all packets on it.
    pub(super) fn again(&mut self) {
        let modes = candidates(&self.cluster, &self.route, &self.hooks, None);
        self.expect(&modes);
        if let Some(expectation) = self.expectations.first() {
            self.observation = walked(expectation, SENT);
        }
    }

    fn expect(&mut self, modes: &[Modes]) {
        self.expectations = expectations(&self.cluster, &self.route, modes, &self.hooks);
    }

    pub(super) fn judge(&self) -> Verdict {
        let probes = self.probes.clone();
        judge(
            &self.cluster,
            &self.route,
            &self.expectations,
            &self.observation,
            probes,
        )
    }

    fn answer(&mut self, with: impl Fn(Duration) -> Answer) {
        let answers = (0..SENT).map(|sequence| (sequence, with(Duration::from_micros(70))));
        self.observation.answers = answers.collect();
    }

    /// Makes the case passive, with `back` packets from B.
    fn find(&mut self, back: u32) {
        self.observation.answers.clear();
        self.probes.protocol = None;
        self.observation.found = Some(Found { back, asked: SENT });
    }

    /// Numbers the remaining packets of B.
    fn renumber_replies(&mut self) {
        let replies = self.observation.crossings.iter();
        let replies = replies.filter(|c| c.way == Way::Reply).map(|c| c.sequence);
        let numbers: BTreeSet<_> = replies.collect();
        for crossing in &mut self.observation.crossings {
            let place = numbers.iter().position(|n| *n == crossing.sequence);
            if crossing.way == Way::Reply {
                crossing.sequence = u32::try_from(place.unwrap()).unwrap();
            }
        }
        let found = self.observation.found.as_mut().unwrap();
        found.back = u32::try_from(numbers.len()).unwrap();
    }

    pub(super) fn keep(&mut self, keep: impl Fn(&Crossing) -> bool) {
        self.observation.crossings.retain(keep);
    }

    /// Removes these packets after the `k`th door of the request, and their replies.
    pub(super) fn end_behind(&mut self, k: usize, lost: std::ops::Range<u32>) {
        let kept: Vec<_> = self.expectations[0].request[..=k]
            .iter()
            .map(|s| s.door)
            .collect();
        let is_lost = |sequence: &u32| lost.contains(sequence);
        self.keep(|c| !is_lost(&c.sequence) || c.way == Way::Request && kept.contains(&c.door));
        self.observation
            .answers
            .retain(|sequence, _| !is_lost(sequence));
    }

    pub(super) fn device(&self, interface: &str, node: usize) -> DoorId {
        let mut doors = self.cluster.doors.iter();
        let found =
            doors.find(|d| d.interface == interface && d.node == node && d.side == Side::Node);
        found.unwrap().id
    }

    pub(super) fn node_of_sender(&self) -> usize {
        match self.route.from.place {
            Place::Pod { node, .. } | Place::Node { node, .. } => node,
            Place::Elsewhere => panic!("the sender is here"),
        }
    }
}

pub(super) fn not_attached(error: &str) -> HiddenReason {
    HiddenReason::NotAttached {
        error: error.into(),
    }
}

pub(super) fn mentions(sentences: &[String], wanted: &str) -> bool {
    sentences.iter().any(|sentence| sentence.contains(wanted))
}

#[test]
fn vxlan_pod_to_pod_skips_cilium_host() {
    let verdict = Setup::far().judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    assert_eq!(
        (verdict.sent, verdict.delivered, verdict.replied),
        (SENT, SENT, SENT)
    );
    assert_eq!(verdict.mode.as_deref(), Some("vxlan, legacy host routing"));
    assert!(mentions(&notes(&verdict), "does not use cilium_host"));
    assert_eq!(verdict.request.len(), 8);
    assert_eq!(verdict.round_trip_microseconds, Some(90.0));
    assert_eq!(verdict.from.pod, Some("busybox-c8bbbbb84-fmhwc".into()));
    let native = Setup::new("native", "pod -> pod, other node").judge();
    assert!(!mentions(&notes(&native), "was not crossed"));
    assert!(mentions(&notes(&native), "`ip -s link` does not count"));
}

#[test]
fn times_are_relative_to_the_previous_crossing() {
    let mut setup = Setup::far();
    let vxlan = setup.expectations[0].request[2].door;
    let late = |c: &&mut Crossing| c.door == vxlan && c.way == Way::Request && c.sequence == 3;
    setup
        .observation
        .crossings
        .iter_mut()
        .find(late)
        .unwrap()
        .at += HOP / 2;
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    let times: Vec<_> = verdict.request[..4]
        .iter()
        .map(|r| (r.median_microseconds, r.worst_microseconds))
        .collect();
    assert_eq!(
        times,
        [
            (None, None),
            (Some(2.0), Some(2.0)),
            (Some(2.0), Some(3.0)),
            (Some(2.0), Some(2.0))
        ]
    );
}

#[test]
fn refusal_proves_delivery() {
    let mut setup = Setup::far();
    setup.answer(|time| Answer::Refused(time, Refusal::PortUnreachable));
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    assert_eq!((verdict.delivered, verdict.replied), (SENT, SENT));
    assert!(mentions(
        &notes(&verdict),
        "refused 10 of 10: port unreachable"
    ));
}

#[test]
fn kernel_limits_refusals() {
    let mut setup = Setup::far();
    setup.answer(|time| Answer::Refused(time, Refusal::PortUnreachable));
    setup
        .observation
        .answers
        .retain(|sequence, _| *sequence < 6);
    setup.keep(|c| c.way == Way::Request || c.sequence < 6);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified, "{verdict:#?}");
    assert_eq!((verdict.delivered, verdict.replied), (SENT, 6));
    assert!(mentions(
        &notes(&verdict),
        "refused 10 of 10: port unreachable; 6 refusals sent, the kernel limits them"
    ));
    assert!(summary(&verdict).starts_with("delivered 10 of 10, refused,"));
    // A refusal that left B and did not arrive is lost.
    let mut lost = Setup::far();
    lost.answer(|time| Answer::Refused(time, Refusal::PortUnreachable));
    lost.observation.answers.remove(&7);
    assert_eq!(lost.judge().verdict, Kind::Lost);
    // So is a packet that was dropped for another reason than those that were refused.
    let mut dropped = setup;
    let drop = |sequence, word: &str| Dropping {
        at: Duration::from_secs(1),
        door: None,
        sequence,
        reason: DropReason {
            reason: Some(word.into()),
            ..DropReason::default()
        },
    };
    let drops = (0..SENT).map(|sequence| drop(sequence, "NO_SOCKET"));
    dropped.observation.drops = drops.collect();
    assert_eq!(dropped.judge().verdict, Kind::Verified);
    dropped.observation.drops[9] = drop(9, "NETFILTER_DROP");
    let verdict = dropped.judge();
    assert_eq!(
        (verdict.verdict, verdict.losses[0].packets),
        (Kind::Lost, 1)
    );
    // Resets have no limit.
    dropped.observation.drops.clear();
    dropped.answer(|time| Answer::Refused(time, Refusal::Reset));
    dropped
        .observation
        .answers
        .retain(|sequence, _| *sequence < 6);
    let verdict = dropped.judge();
    assert_eq!(
        (verdict.verdict, verdict.losses[0].packets),
        (Kind::Lost, 4)
    );
}

#[test]
fn refusal_on_the_way_is_a_loss() {
    let mut setup = Setup::far();
    setup.end_behind(3, 0..SENT);
    setup.answer(|time| Answer::Refused(time, Refusal::Reset));
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Lost, 0));
    assert_eq!(verdict.losses[0].after, Some(3));
    let answer = Refusal::Reset.to_string();
    assert_eq!(
        verdict.losses[0].causes[0],
        Cause::RefusedOnTheWay { answer }
    );
    assert!(!mentions(&notes(&verdict), "received and refused"));
}

/// A node redirects and forwards: to an address that nobody has, its redirects are all that comes back.
#[test]
fn redirects_and_errors_are_no_answers() {
    for kind in [ReplyKind::Redirect, ReplyKind::Error] {
        let mut setup = Setup::far();
        setup.route.to = outside("10.10.2.99", "10.10.2.99");
        setup.end_behind(1, 0..SENT);
        let from_node = setup.expectations[0].reply[6].clone();
        let back = (0..3).map(|sequence| Crossing {
            kind,
            ..crossing(&from_node, Way::Reply, sequence, 2)
        });
        setup.observation.crossings.extend(back);
        let verdict = setup.judge();
        assert_eq!(
            (verdict.verdict, verdict.delivered),
            (Kind::Lost, 0),
            "{verdict:#?}"
        );
        let redirects = mentions(&notes(&verdict), "sent ICMP redirects for 3 of 10");
        assert_eq!(redirects, kind == ReplyKind::Redirect);
    }
}

#[test]
fn router_error_is_a_cause() {
    let mut setup = Setup::far();
    setup.end_behind(3, 0..SENT);
    let router = Some(IpAddr::from([10, 10, 1, 55]));
    setup.answer(|time| Answer::Unreachable(time, "fragmentation needed".into(), router));
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    assert_eq!((verdict.delivered, verdict.replied), (0, 0));
    assert_eq!(verdict.losses[0].after, Some(3));
    let first = &causes(&verdict, &verdict.losses[0])[0];
    assert_eq!(first, "fragmentation needed (reported by 10.10.1.55)");
}

#[test]
fn unsent_packets_cross_no_door() {
    let mut setup = Setup::far();
    setup.observation.crossings.clear();
    setup.answer(|_| Answer::Unsent("Message too long".into()));
    let verdict = setup.judge();
    let loss = &verdict.losses[0];
    // The path is not tested.
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert!(verdict.unclear.contains(&Doubt::NothingSent));
    assert_eq!(
        (loss.after, loss.before, loss.packets),
        (None, Some(0), SENT)
    );
    let error = "Message too long".into();
    assert_eq!(loss.causes, [Cause::Error { error, from: None }]);
}

#[test]
fn losses_at_different_doors_are_separate() {
    let mut setup = Setup::far();
    setup.end_behind(1, 0..3);
    setup.end_behind(5, 3..5);
    let verdict = setup.judge();
    let losses: Vec<_> = verdict
        .losses
        .iter()
        .map(|l| (l.way, l.after, l.before, l.packets, l.of))
        .collect();
    let way = Way::Request;
    assert_eq!(
        losses,
        [
            (way, Some(1), Some(2), 3, SENT),
            (way, Some(5), Some(6), 2, SENT)
        ]
    );
    assert_eq!(
        (verdict.verdict, verdict.delivered, verdict.replied),
        (Kind::Lost, 5, 5)
    );
    assert!(verdict.detours.is_empty());
}

#[test]
fn without_a_reply_the_request_reached_the_last_door() {
    let mut setup = Setup::far();
    setup.keep(|c| c.way == Way::Request);
    setup.observation.answers.clear();
    let verdict = setup.judge();
    let loss = &verdict.losses[0];
    assert_eq!(
        (verdict.verdict, verdict.delivered, verdict.replied),
        (Kind::Lost, SENT, 0)
    );
    assert_eq!(
        (loss.way, loss.after, loss.before),
        (Way::Reply, None, Some(0))
    );
    assert_eq!(loss.causes, [Cause::NoReply { row: 7 }]);
    let summary = summary(&verdict);
    assert!(
        summary.contains("received 10 of 10 requests and did not answer"),
        "{summary}"
    );
}

#[test]
fn looping_packet_is_a_circle() {
    let mut setup = Setup::far();
    setup.end_behind(1, 0..SENT);
    let node = setup.node_of_sender();
    let circle = [
        ("cilium_host", Direction::Egress),
        ("cilium_net", Direction::Ingress),
    ];
    let circle = circle.map(|(name, direction)| (setup.device(name, node), direction));
    let first = setup.observation.crossings[0];
    for sequence in 0..SENT {
        for (place, hook) in circle.iter().cycle().take(64).enumerate() {
            setup.observation.crossings.push(Crossing {
                at: Duration::from_millis(sequence.into())
                    + HOP * (5 + u32::try_from(place).unwrap()),
                door: hook.0,
                direction: hook.1,
                sequence,
                ..first
            });
        }
    }
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    let loss = &verdict.losses[0];
    assert_eq!(loss.circle, [2, 3]);
    assert_eq!((loss.after, loss.packets), (Some(3), SENT));
    assert_eq!(verdict.request[2].interface, "cilium_host");
    assert_eq!(
        (verdict.request[2].seen, verdict.request[2].repeated),
        (Some(SENT), 31 * SENT)
    );
    assert_eq!(loss.causes, [Cause::Circle]);
    assert!(summary(&verdict).contains("in a circle"));
    let is_copy = |note: &Note| matches!(note, Note::Repeated { .. });
    assert!(!verdict.notes.iter().any(is_copy), "{:?}", verdict.notes);
}

#[test]
fn detour_names_crossed_and_skipped_doors() {
    let mut setup = Setup::far();
    let eth1 = door(
        DoorId::new(NetNsId(1), 77),
        0,
        Side::Node,
        Role::Uplink,
        "eth1",
    );
    let node = setup.node_of_sender();
    let eth0 = setup.device("eth0", node);
    for crossing in &mut setup.observation.crossings {
        if crossing.door == eth0 && crossing.way == Way::Request {
            crossing.door = eth1.id;
        }
    }
    let mut eth1 = eth1;
    eth1.addresses = vec![net("192.168.7.1/24")];
    eth1.node = node;
    setup.cluster.doors.push(eth1);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Detour);
    let name = &setup.cluster.nodes[node].name;
    assert_eq!(
        detours(&verdict),
        [format!(
            "request: by eth1 ▲ ({name}) instead of eth0 ▲ ({name}) (10 of 10)"
        )]
    );
}

#[test]
fn unexpected_lxc_crossing_is_a_detour() {
    let mut setup = Setup::new("vxlan-host-routing", "pod -> pod, same node");
    let steps = setup.expectations[0].request.clone();
    assert_eq!(steps[2].skipped_by, Some("bpf_redirect_peer"));
    let verdict = setup.judge();
    assert_eq!(
        verdict.request[2].skipped_by.as_deref(),
        Some("bpf_redirect_peer")
    );
    assert_eq!(
        (verdict.verdict, verdict.request[2].seen),
        (Kind::Verified, Some(0))
    );
    let more = (0..SENT).map(|sequence| crossing(&steps[2], Way::Request, sequence, 2));
    setup.observation.crossings.extend(more);
    assert_eq!(setup.judge().verdict, Kind::Detour);
}

#[test]
fn matching_inferred_mode_is_chosen() {
    let mut setup = Setup::new("vxlan-host-routing", "pod -> pod, other node");
    for node in &mut setup.cluster.nodes {
        node.datapath = None;
    }
    let legacy: Modes = {
        let modes = candidates(&setup.cluster, &setup.route, &setup.hooks, None);
        assert!(modes.len() > 1, "{modes:?}");
        setup.expect(&modes);
        modes
            .into_iter()
            .find(|m| m.nodes.values().all(|mode| !mode.host_routing))
            .unwrap()
    };
    assert_eq!(setup.judge().verdict, Kind::Verified);
    assert_eq!(
        setup.judge().mode.as_deref(),
        Some("vxlan, BPF host routing")
    );
    let by_stack = expectations(&setup.cluster, &setup.route, &[legacy], &setup.hooks);
    setup.observation = walked(&by_stack[0], SENT);
    assert_eq!(setup.judge().verdict, Kind::Verified);
    assert_eq!(
        setup.judge().mode.as_deref(),
        Some("vxlan, legacy host routing")
    );
}

#[test]
fn endpoint_route_is_inferred_from_the_lxc_program() {
    let mut setup = Setup::new("native", "pod -> pod, other node");
    let verdict = setup.judge();
    assert!(
        verdict
            .request
            .iter()
            .any(|row| row.interface == "cilium_host")
    );
    let lxc = setup.expectations[0]
        .request
        .iter()
        .rev()
        .nth(1)
        .unwrap()
        .door;
    setup
        .hooks
        .insert((lxc, Direction::Egress), vec!["cil_to_containe".into()]);
    setup.again();
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    assert!(
        verdict
            .request
            .iter()
            .all(|row| row.interface != "cilium_host")
    );
    // The sender keeps its original route.
    assert!(
        verdict
            .reply
            .iter()
            .any(|row| row.interface == "cilium_host")
    );
}

#[test]
fn pod_to_itself_crosses_no_door() {
    let mut setup = Setup::far();
    setup.route.to = setup.route.from.clone();
    setup.again();
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Verified, SENT));
    assert!(verdict.request.is_empty() && verdict.reply.is_empty());
    assert!(mentions(&notes(&verdict), "crosses no door"));
    setup.observation.answers.clear();
    assert_eq!(setup.judge().verdict, Kind::Lost);
}

fn outside(name: &str, address: &str) -> Party {
    Party {
        name: name.into(),
        address: Some(address.parse::<IpAddr>().unwrap()),
        place: Place::Elsewhere,
    }
}

#[test]
fn external_traffic_uses_the_uplink() {
    let mut setup = Setup::far();
    setup.route.to = outside("example.org", "93.184.216.34");
    setup.again();
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Verified, SENT));
    let names = |rows: &[netviz::verify::CrossingRow]| -> Vec<String> {
        rows.iter()
            .map(|r| {
                format!(
                    "{}{}",
                    r.interface.raw().split(':').next().unwrap(),
                    r.direction.sign()
                )
            })
            .collect()
    };
    assert_eq!(names(&verdict.request), ["eth0▲", "lxc▼", "eth0▲"]);
    assert_eq!(
        names(&verdict.reply),
        ["eth0▼", "cilium_host▲", "lxc▲", "eth0▼"]
    );
    setup.keep(|c| c.way == Way::Request);
    setup.observation.answers.clear();
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Lost, 0));
    assert_eq!(
        (verdict.losses[0].after, verdict.losses[0].before),
        (Some(2), None)
    );
    assert!(causes(&verdict, &verdict.losses[0])[0].contains("beyond"));
}

#[test]
fn node_without_cilium_has_no_expectation() {
    let mut setup = Setup::far();
    let walked = setup.observation.clone();
    for node in &mut setup.cluster.nodes {
        node.cilium = false;
    }
    setup.again();
    assert!(setup.expectations.is_empty());
    setup.observation = walked;
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Unclear, SENT));
    assert_eq!((verdict.mode.as_deref(), verdict.request.len()), (None, 8));
    assert!(mentions(&unclear(&verdict), "has no cilium_host"));
    // Equal for any pair of pods on one node.
    let mut setup = Setup::new("vxlan", "pod -> pod, same node");
    setup
        .cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.cilium = false);
    setup.again();
    assert_eq!(setup.judge().verdict, Kind::Verified);
}

#[test]
fn one_way_needs_no_reply() {
    let mut setup = Setup::far();
    setup.keep(|c| c.way == Way::Request);
    setup.observation.answers.clear();
    setup.observation.one_way = true;
    let verdict = setup.judge();
    assert_eq!(
        (verdict.verdict, verdict.delivered, verdict.replied),
        (Kind::Verified, SENT, 0)
    );
    assert!(verdict.reply.is_empty() && verdict.losses.is_empty());
}

#[test]
fn lost_events_make_a_loss_unclear_only_without_a_waiting_sender() {
    let mut setup = Setup::far();
    setup.end_behind(4, 0..2);
    setup.observation.missed = 3;
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    assert!(mentions(&unclear(&verdict), "may have got further"));
    setup.find(SENT);
    assert_eq!(setup.judge().verdict, Kind::Unclear);
    setup.observation.missed = 0;
    // The two lost packets have no reply.
    setup.renumber_replies();
    let verdict = setup.judge();
    assert_eq!(
        (verdict.verdict, verdict.delivered, verdict.replied),
        (Kind::Lost, 8, 8)
    );
}

#[test]
fn unrecognized_replies_are_unclear() {
    let mut setup = Setup::far();
    setup.keep(|c| c.way == Way::Request);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert!(mentions(&unclear(&verdict), "no door recognised them"));
    assert!(verdict.detours.is_empty());
}

#[test]
fn nothing_sent_is_unclear() {
    let mut setup = Setup::far();
    setup.observation = Observation::default();
    assert_eq!(setup.judge().verdict, Kind::Unclear);
}

#[test]
fn reordering_is_no_loss() {
    let mut setup = Setup::far();
    for crossing in &mut setup.observation.crossings {
        // The later a packet is sent, the earlier it arrives.
        crossing.at += Duration::from_millis(2) * (SENT - crossing.sequence);
    }
    assert_eq!(setup.judge().verdict, Kind::Verified);
}

#[test]
fn equal_times_keep_the_expected_order() {
    let mut setup = Setup::far();
    setup
        .observation
        .crossings
        .iter_mut()
        .for_each(|c| c.at = Duration::ZERO);
    setup.observation.crossings.reverse();
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    setup.end_behind(3, 0..SENT);
    assert_eq!(setup.judge().losses[0].after, Some(3));
}

#[test]
fn missing_device_of_the_mode_is_a_detour() {
    let mut setup = Setup::new("native", "pod -> pod, other node");
    for node in &mut setup.cluster.nodes {
        node.datapath.as_mut().unwrap().routing = Some("tunnel".into());
    }
    let walked = setup.observation.clone();
    setup.again();
    setup.observation = walked;
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Detour);
    assert!(
        mentions(&detours(&verdict), "cilium_vxlan"),
        "{:?}",
        verdict.detours
    );
    assert!(
        mentions(
            &detours(&verdict),
            "outside of the tunnel's packets, expected inside"
        ),
        "{:?}",
        verdict.detours
    );
}

#[test]
fn visible_uplink_peer_is_on_the_path() {
    let mut setup = Setup::far();
    let node = setup.node_of_sender();
    let far = DoorId::new(NetNsId(9), 500);
    let mut host = door(far, node, Side::Host, Role::Uplink, "veth500");
    let eth0 = setup.device("eth0", node);
    host.peer = Some(Peer {
        id: eth0,
        interface: Some("eth0".into()),
    });
    setup.cluster.doors.push(host);
    let own = setup
        .cluster
        .doors
        .iter_mut()
        .find(|d| d.id == eth0)
        .unwrap();
    own.peer = Some(Peer {
        id: far,
        interface: None,
    });
    setup.again();
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    let at = |rows: &[netviz::verify::CrossingRow]| {
        rows.iter()
            .position(|r| r.interface == "veth500")
            .map(|at| (at, rows[at].direction, rows[at].outer))
    };
    assert_eq!(at(&verdict.request), Some((4, Direction::Ingress, true)));
    assert_eq!(at(&verdict.reply), Some((4, Direction::Egress, true)));
    let reason = not_attached("another namespace");
    setup.observation.hidden.insert(far, reason);
    setup.keep(|c| c.door != far);
    assert_eq!(setup.judge().verdict, Kind::Unclear);
}

#[test]
fn routing_table_chooses_among_uplinks() {
    for (network, expected) in [
        ("192.168.7.1/24", Kind::Detour),
        ("172.18.9.9/16", Kind::Verified),
    ] {
        let mut setup = Setup::far();
        let node = setup.node_of_sender();
        let eth0 = setup.device("eth0", node);
        let mut eth1 = door(
            DoorId::new(NetNsId(1), 78),
            node,
            Side::Node,
            Role::Uplink,
            "eth1",
        );
        eth1.addresses = vec![net(network)];
        let other = eth1.id;
        setup.cluster.doors.push(eth1);
        setup.again();
        let crossings = setup.observation.crossings.iter_mut();
        crossings
            .filter(|c| c.door == eth0 && c.sequence % 2 == 0)
            .for_each(|c| c.door = other);
        let verdict = setup.judge();
        assert_eq!(verdict.verdict, expected, "{verdict:#?}");
    }
}

#[test]
fn encrypted_doors_are_optional_and_may_be_crossed_twice() {
    let mut setup = Setup::far();
    for node in &mut setup.cluster.nodes {
        let datapath = node.datapath.get_or_insert_with(Datapath::default);
        datapath.encryption = Some("wireguard".into());
    }
    setup.again();
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    assert_eq!(verdict.request[3].seen, Some(0));
    let by = "WireGuard".into();
    assert_eq!(verdict.request[3].note, Some(RowNote::Encrypted { by }));
    let uplink = setup.expectations[0].request[3].clone();
    for place in [3, 4] {
        let more = (0..SENT).map(|sequence| crossing(&uplink, Way::Request, sequence, place));
        setup.observation.crossings.extend(more);
    }
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified);
    assert_eq!(
        (verdict.request[3].seen, verdict.request[3].repeated),
        (Some(SENT), SENT)
    );
    assert!(mentions(
        &notes(&verdict),
        "encryption injects packets again"
    ));
}

#[test]
fn tunnel_key_names_the_other_node() {
    let mut setup = Setup::far();
    let (door, node) = (
        setup.expectations[0].request[5].door,
        setup.node_of_sender(),
    );
    let address = setup.cluster.nodes[node]
        .addresses
        .first()
        .map(|it| it.addr());
    for crossing in setup
        .observation
        .crossings
        .iter_mut()
        .filter(|c| c.door == door)
    {
        crossing.tunnel = Some(TunnelKey {
            identity: 10429,
            node: address,
        });
    }
    let tunnel = setup.judge().request[5].tunnel.clone().unwrap();
    assert_eq!(tunnel.identity, 10429);
    assert_eq!(tunnel.node.as_ref(), Some(&setup.cluster.nodes[node].name));
}

#[test]
fn node_to_node_uses_uplinks() {
    let mut setup = Setup::new("vxlan", "host -> remote pod");
    let to = 1 - setup.node_of_sender();
    for (router, doors) in [(false, 2), (true, 7)] {
        setup.route.to.place = Place::Node { node: to, router };
        setup.again();
        let verdict = setup.judge();
        assert_eq!(verdict.verdict, Kind::Verified);
        assert_eq!(
            (verdict.request.len(), verdict.reply.len()),
            (doors, doors),
            "{verdict:#?}"
        );
    }
}

#[test]
fn late_copy_does_not_move_a_loss() {
    let mut setup = Setup::far();
    setup.end_behind(5, 0..SENT);
    let step = setup.expectations[0].request[2].clone();
    let lagging = (0..SENT).map(|sequence| crossing(&step, Way::Request, sequence, 9));
    setup.observation.crossings.extend(lagging);
    let verdict = setup.judge();
    assert_eq!(verdict.losses.len(), 1);
    assert_eq!(verdict.losses[0].after, Some(5));
    assert!(verdict.losses[0].circle.is_empty());
}

#[test]
fn door_skipped_by_some_is_a_detour_unless_events_were_lost() {
    let mut setup = Setup::far();
    let vxlan = setup.expectations[0].request[2].door;
    setup.keep(|c| c.door != vxlan || c.way == Way::Reply || c.sequence > 1);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Detour);
    let name = &setup.cluster.nodes[setup.node_of_sender()].name;
    let sentence = format!("request: cilium_vxlan ▲ ({name}) was not crossed (2 of 10)");
    assert_eq!(detours(&verdict), [sentence]);
    setup.observation.missed = 2;
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert!(mentions(&unclear(&verdict), "events were lost"));
}

#[test]
fn reply_proves_delivery_at_a_hidden_door() {
    let mut setup = Setup::far();
    let last = setup.expectations[0].request[7].door;
    let reason = not_attached("its namespace cannot be entered");
    setup.observation.hidden.insert(last, reason);
    setup.observation.answers.clear();
    // B replied, as its lxc shows, and the tunnel dropped the reply.
    let kept: Vec<_> = setup.expectations[0].reply[..2]
        .iter()
        .map(|step| step.door)
        .collect();
    setup.keep(|c| c.door != last && (c.way == Way::Request || kept.contains(&c.door)));
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Lost, SENT));
    let loss = &verdict.losses[0];
    assert_eq!(
        (loss.way, loss.after, loss.before),
        (Way::Reply, Some(1), Some(2))
    );
    // The same doors, with an error from a router on B's behalf: B never received them.
    setup.answer(|time| Answer::Unreachable(time, "prohibited".into(), None));
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Lost, 0));
    assert_eq!(verdict.losses[0].way, Way::Request);
}

#[test]
fn router_error_is_not_a_reply_of_the_target() {
    let mut setup = Setup::far();
    setup.end_behind(5, 0..SENT);
    let from_node = setup.expectations[0].reply[2].clone();
    let errors = (0..SENT).map(|sequence| crossing(&from_node, Way::Reply, sequence, 2));
    setup.observation.crossings.extend(errors);
    let verdict = setup.judge();
    assert_eq!((verdict.verdict, verdict.delivered), (Kind::Lost, 0));
    assert_eq!(
        (verdict.losses[0].way, verdict.losses[0].after),
        (Way::Request, Some(5))
    );
}

#[test]
fn directions_are_judged_separately() {
    let mut setup = Setup::far();
    setup.find(SENT);
    let verdict = setup.judge();
    assert_eq!(
        (verdict.verdict, verdict.delivered, verdict.replied),
        (Kind::Verified, SENT, SENT),
        "{verdict:#?}"
    );
    // Half as many packets return, as with TCP acknowledgements: none is missing.
    setup.keep(|c| c.way == Way::Request || c.sequence < SENT / 2);
    setup.find(SENT / 2);
    let verdict = setup.judge();
    assert_eq!(
        (verdict.verdict, verdict.delivered, verdict.replied),
        (Kind::Verified, SENT, SENT / 2)
    );
    // One of them is lost on its way.
    let last = setup.expectations[0].reply.last().unwrap().door;
    setup.keep(|c| c.way == Way::Request || c.sequence != 2 || c.door != last);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    let loss = &verdict.losses[0];
    assert_eq!((loss.way, loss.packets, loss.of), (Way::Reply, 1, SENT / 2));
    assert_eq!(loss.before, Some(verdict.reply.len() - 1));
}

#[test]
fn no_traffic_is_unclear_with_a_hint() {
    let mut setup = Setup::far();
    setup.observation = Observation::default();
    setup.find(0);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear);
    assert_eq!(verdict.unclear.len(), 1, "{:?}", verdict.unclear);
    assert!(mentions(&unclear(&verdict), "--for"));
    assert!(verdict.losses.is_empty() && verdict.reply.is_empty());
}

#[test]
fn only_requests_that_need_a_reply_are_lost_without_one() {
    let mut setup = Setup::far();
    setup.keep(|c| c.way == Way::Request);
    setup.find(0);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Lost);
    let loss = &verdict.losses[0];
    assert_eq!((loss.way, loss.packets, loss.of), (Way::Reply, SENT, SENT));
    setup.observation.found = Some(Found { back: 0, asked: 0 });
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Verified, "{verdict:#?}");
    assert!(verdict.reply.is_empty());
}

#[test]
fn reply_direction_can_be_judged_by_itself() {
    let mut setup = Setup::far();
    setup.keep(|c| c.way == Way::Reply);
    setup.find(SENT);
    setup.observation.sent = 0;
    let verdict = setup.judge();
    assert_eq!(
        (verdict.verdict, verdict.sent, verdict.replied),
        (Kind::Verified, 0, SENT),
        "{verdict:#?}"
    );
}

/// A service's address ends where it is translated; that is no loss.
#[test]
fn possibly_translated_addresses_are_unclear_without_traffic() {
    let mut setup = Setup::far();
    setup.route.to = Party {
        name: "10.96.0.100".into(),
        address: Some(IpAddr::from([10, 96, 0, 100])),
        place: Place::Elsewhere,
    };
    setup.again();
    let second = setup.expectations[0].request[1].door;
    let first = setup.expectations[0].request[0].door;
    setup.keep(|c| c.way == Way::Request && [first, second].contains(&c.door));
    setup.find(0);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear, "{verdict:#?}");
    assert!(
        mentions(&unclear(&verdict), "translated"),
        "{:?}",
        verdict.unclear
    );
}

#[test]
fn reasons_that_explain_themselves_are_the_causes() {
    let mut setup = Setup::far();
    setup.end_behind(4, 0..4);
    let reason = |word: &str| DropReason {
        reason: Some(word.into()),
        function: Some("ip_forward".into()),
        device: Some("eth0".into()),
        place: Some("mycluster-worker".into()),
        packets: 1,
    };
    let late = Duration::from_secs(1);
    let dropping = |sequence, at, word| Dropping {
        at,
        sequence,
        door: None,
        reason: reason(word),
    };
    setup.observation.drops = vec![
        dropping(0, late, "NEIGH_FAILED"),
        dropping(1, late, "NEIGH_FAILED"),
        dropping(2, late, "PKT_TOO_BIG"),
        // A copy that was dropped before the packet was seen last, and one of a delivered packet.
        dropping(3, Duration::ZERO, "TC_INGRESS"),
        dropping(9, late, "NO_SOCKET"),
    ];
    let verdict = setup.judge();
    let loss = &verdict.losses[0];
    let reason = loss.drop_reason.as_ref().unwrap();
    assert_eq!(
        (reason.reason.as_deref(), reason.packets),
        (Some("NEIGH_FAILED"), 2)
    );
    assert_eq!(
        causes(&verdict, loss),
        [
            "the kernel dropped 2 packets: no answer from the neighbour: host down or gone (NEIGH_FAILED), in ip_forward, at eth0",
            "the kernel dropped 1 packet: longer than the MTU (PKT_TOO_BIG), in ip_forward, at eth0",
        ]
    );
    let all = verdict.losses.iter();
    let mut all = all.flat_map(|loss| causes(&verdict, loss));
    assert!(!all.any(|cause| cause.contains("TC_INGRESS") || cause.contains("NO_SOCKET")));
}
