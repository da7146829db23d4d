//! A service with two pods: each request is right on the path to whichever pod received it.

use std::collections::BTreeSet;

use netviz::{
    model::Direction,
    verify::{
        BackendPaths, BackendShare, Cause, Doubt, Expectation, Kind, Note, Observation, Party,
        Place, Probes, Protocol, Route, Step, Verdict, Way, distribute, judge,
    },
    views::verdict::{notes, unclear},
};
use netviz_tests::{
    builders::paths::{crossing, walked},
    cilium::{
        oracle,
        oracle_cluster::{MODES, OracleCluster, mode_of},
    },
};

use super::cases::{SENT, Setup};

/// Packets to the pod of the sender's node; the others go to the other node.
const NEAR: u32 = 4;

struct Service {
    oracle: OracleCluster,
    route: Route,
    /// The pod of the sender's node, and the one of the other node.
    pods: [(Party, Expectation); 2],
    observation: Observation,
}

impl Service {
    fn new(mode: &str) -> Self {
        let cases = oracle::cases(mode).unwrap();
        let oracle = OracleCluster::of(&cases, mode_of(mode));
        let names = ["pod -> pod, same node", "pod -> pod, other node"];
        let found = names.map(|name| cases.iter().find(|case| case.name == name).unwrap());
        let routes = found.map(|case| oracle.route(case));
        assert_eq!(routes[0].from, routes[1].from);
        let pods = found.map(|case| (oracle.route(case).to, oracle.expectation(case, None)));
        let service = Party {
            name: "shop/web".into(),
            address: Some([10, 96, 0, 7].into()),
            place: Place::Elsewhere,
        };
        let walks = [walked(&pods[0].1, NEAR), walked(&pods[1].1, SENT)];
        let [near, mut observation] = walks;
        observation.crossings.retain(|it| it.sequence >= NEAR);
        observation.crossings.extend(near.crossings);
        Self {
            route: Route::new(routes[0].from.clone(), service),
            oracle,
            pods,
            observation,
        }
    }

    /// The packets that were seen at the last door of a pod.
    fn entered(&self, expectation: &Expectation) -> BTreeSet<u32> {
        let last = expectation.request.last().unwrap();
        assert_eq!(last.direction, Direction::Ingress);
        let crossings = self.observation.crossings.iter();
        let at_last = crossings.filter(|it| it.way == Way::Request && it.door == last.door);
        at_last.map(|it| it.sequence).collect()
    }

    fn judge(&self) -> Verdict {
        let backend = |(party, expectation): &(Party, Expectation)| BackendPaths {
            party: party.clone(),
            hairpin: false,
            entered: self.entered(expectation),
            expectations: vec![expectation.clone()],
        };
        let backends = self.pods.iter().map(backend).collect();
        let mut observation = self.observation.clone();
        let (route, expectations) = distribute(&self.route, backends, &mut observation);
        let probes = Probes::default();
        judge(
            &self.oracle.cluster,
            &route,
            &expectations,
            &observation,
            probes,
        )
    }

    /// Ends packets behind the `k`th door of the request to the other node.
    fn end_behind(&mut self, k: usize, lost: std::ops::Range<u32>) {
        let steps = &self.pods[1].1.request[..=k];
        let kept: Vec<_> = steps.iter().map(|step| step.door).collect();
        let is_lost = |packet: &u32| lost.contains(packet);
        let observation = &mut self.observation;
        observation.crossings.retain(|it| {
            !is_lost(&it.sequence) || it.way == Way::Request && kept.contains(&it.door)
        });
        observation.answers.retain(|packet, _| !is_lost(packet));
    }
}

#[test]
fn each_backend_has_its_own_path() {
    for (mode, _) in MODES {
        let service = Service::new(mode);
        let verdict = service.judge();
        assert_eq!(verdict.verdict, Kind::Verified, "{mode}: {verdict:#?}");
        assert_eq!((verdict.delivered, verdict.replied), (SENT, SENT));
        assert_eq!(verdict.to.pod, None);
        for rows in [&verdict.request, &verdict.reply] {
            for row in rows.iter().filter(|row| row.skipped_by.is_none()) {
                assert_eq!(row.seen, Some(row.of.unwrap_or(SENT)), "{mode}: {row:#?}");
            }
            let of: BTreeSet<_> = rows.iter().map(|row| row.of).collect();
            let shares = [None, Some(NEAR), Some(SENT - NEAR)];
            assert_eq!(of, shares.into(), "{mode}");
        }
        let [near, far] = service.pods.each_ref().map(|(party, _)| &party.name);
        let text = format!(
            "shop/web was delivered: {} to {far}, {NEAR} to {near}",
            SENT - NEAR
        );
        assert!(notes(&verdict).contains(&text), "{:?}", notes(&verdict));
        let share = |pod: &String, packets| BackendShare {
            pod: pod.clone(),
            packets,
        };
        let shares = vec![share(far, SENT - NEAR), share(near, NEAR)];
        assert!(
            verdict
                .notes
                .contains(&Note::DeliveredToBackends { shares })
        );
        // The path to one pod only is a detour for the others.
        let (party, expectation) = service.pods[1].clone();
        let route = Route::new(service.route.from.clone(), party);
        let verdict = judge(
            &service.oracle.cluster,
            &route,
            &[expectation],
            &service.observation,
            Probes::default(),
        );
        assert_ne!(verdict.verdict, Kind::Verified, "{mode}");
    }
}

#[test]
fn loss_is_on_the_path_of_the_backend() {
    for (mode, _) in MODES {
        let mut service = Service::new(mode);
        // At the first door of the other node that is not the wire.
        let request = service.pods[1].1.request.clone();
        let k = request.iter().rposition(|step| step.outer).unwrap_or(3);
        service.end_behind(k, NEAR..SENT);
        let verdict = service.judge();
        assert_eq!(verdict.verdict, Kind::Lost, "{mode}: {verdict:#?}");
        assert_eq!((verdict.delivered, verdict.replied), (NEAR, NEAR));
        let [loss] = verdict.losses.as_slice() else {
            panic!("{mode}: {:#?}", verdict.losses);
        };
        assert_eq!((loss.packets, loss.of), (SENT - NEAR, SENT));
        let mut next = request[k + 1..].iter().filter(|step| step.required());
        let expected = next.next().map(|step| step.door).unwrap();
        let door = service.oracle.cluster.door(expected).unwrap();
        let row = &verdict.request[loss.before.unwrap()];
        assert_eq!(row.interface.raw(), door.interface.as_str(), "{mode}");
        assert_eq!(row.of, Some(SENT - NEAR));
        assert_eq!(verdict.detours, []);
    }
}

#[test]
fn reply_of_one_backend_is_lost() {
    let mut service = Service::new("vxlan");
    let observation = &mut service.observation;
    observation
        .crossings
        .retain(|it| it.way == Way::Request || it.sequence < NEAR);
    observation.answers.retain(|packet, _| *packet < NEAR);
    let verdict = service.judge();
    assert_eq!((verdict.delivered, verdict.replied), (SENT, NEAR));
    let loss = &verdict.losses[0];
    assert_eq!((loss.way, loss.packets), (Way::Reply, SENT - NEAR));
    let [Cause::NoReply { row }] = loss.causes.as_slice() else {
        panic!("{loss:#?}");
    };
    // In the pod of the other node.
    assert_eq!(verdict.request[*row].of, Some(SENT - NEAR));
    assert_eq!(verdict.request[*row].interface.raw(), "eth0");
}

#[test]
fn door_of_another_backend_is_a_detour() {
    let mut service = Service::new("vxlan");
    // A packet to the other node also crosses the door of the near pod's pair.
    let step = service.pods[0].1.request[2].clone();
    let extra = crossing(&step, Way::Request, SENT - 1, 2);
    service.observation.crossings.push(extra);
    let verdict = service.judge();
    assert_eq!(verdict.verdict, Kind::Detour, "{verdict:#?}");
    assert_eq!(verdict.detours.len(), 1, "{:#?}", verdict.detours);
}

/// A packet that no pod received is on the path that it fits best.
#[test]
fn lost_packets_are_on_the_path_that_fits() {
    let mut service = Service::new("vxlan");
    service.end_behind(2, SENT - 1..SENT);
    let verdict = service.judge();
    let loss = &verdict.losses[0];
    assert_eq!((loss.packets, verdict.delivered), (1, SENT - 1));
    let before = &verdict.request[loss.before.unwrap()];
    assert!(
        before.outer,
        "the tunnel's packet at the uplink: {before:#?}"
    );
}

/// kube-proxy translates in the node's stack, whose routes lead through `cilium_host`.
#[test]
fn translated_packets_may_cross_cilium_host() {
    for (mode, expected) in [
        ("vxlan", Kind::Verified),
        ("vxlan-host-routing", Kind::Detour),
    ] {
        let mut setup = Setup::new(mode, "pod -> pod, same node");
        let host = setup.device("cilium_host", setup.node_of_sender());
        for (translated, expected) in [(false, Kind::Detour), (true, expected)] {
            setup.route.translated = translated;
            setup.again();
            for sequence in 0..SENT {
                let step = Step::new(host, Direction::Egress);
                let between = crossing(&step, Way::Request, sequence, 1);
                setup.observation.crossings.push(between);
            }
            let verdict = setup.judge();
            assert_eq!(
                verdict.verdict, expected,
                "{mode} {translated}: {verdict:#?}"
            );
        }
    }
}

/// Pods that may be behind a service were not watched.
#[test]
fn doors_that_were_not_watched_are_neither_bypassed_nor_a_loss() {
    let mut setup = Setup::far();
    setup.observation.doubts = vec![Doubt::DoorsNotWatched { doors: 40 }];
    assert_eq!(setup.judge().verdict, Kind::Verified);
    let last = setup.expectations[0].request.len() - 2;
    let passed = setup.expectations[0].request[last].door;
    setup.keep(|crossing| crossing.door != passed || crossing.way == Way::Reply);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear, "{verdict:#?}");
    assert!(
        unclear(&verdict).concat().contains("40 doors"),
        "{:?}",
        verdict.unclear
    );
    setup.end_behind(2, 0..SENT);
    let verdict = setup.judge();
    assert_eq!(verdict.verdict, Kind::Unclear, "{verdict:#?}");
    assert!(
        verdict
            .unclear
            .contains(&Doubt::DoorsNotWatched { doors: 40 })
    );
}

/// An L7 proxy answers SYNs itself.
#[test]
fn syn_answered_before_it_left_the_node_is_a_proxys() {
    let mut setup = Setup::far();
    let answers = setup.observation.answers.clone();
    let node = setup.cluster.nodes[setup.node_of_sender()]
        .name
        .raw()
        .to_owned();
    // Behind the sender's lxc, and behind the uplink.
    for (k, is_proxy) in [(1, true), (3, false)] {
        setup.again();
        setup.end_behind(k, 0..SENT);
        setup.observation.answers = answers.clone();
        setup.probes.protocol = Some(Protocol::Tcp);
        let verdict = setup.judge();
        let doubt = Doubt::AnsweredByProxy {
            node: node.clone(),
            packets: SENT,
            of: SENT,
        };
        assert_eq!(verdict.unclear.contains(&doubt), is_proxy, "{verdict:#?}");
        let expected = if is_proxy { Kind::Unclear } else { Kind::Lost };
        assert_eq!(verdict.verdict, expected);
        assert_eq!(
            (verdict.delivered, verdict.losses.is_empty()),
            (0, is_proxy)
        );
        // Something else that answers an echo request is no proxy.
        setup.probes.protocol = Some(Protocol::Icmp);
        assert_eq!(setup.judge().verdict, Kind::Lost);
    }
}
