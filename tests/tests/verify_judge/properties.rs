//! Properties of every case of every mode, whatever happens to its packets.

use std::time::Duration;

use fastrand::Rng;
use netviz::{
    model::{Direction, DoorId},
    sys::netns::NetNsId,
    verify::{
        Answer, Crossing, Doubt, DropReason, Dropping, Expectation, Found, HiddenReason, Kind,
        Note, Observation, Probes, Protocol, Refusal, ReplyKind, Route, RowNote, TunnelKey,
        Verdict, Way, judge,
    },
};
use netviz_tests::{
    builders::paths::{HOP, walked},
    cilium::{
        oracle,
        oracle_cluster::{MODES, OracleCluster, mode_of},
    },
};

const SENT: u32 = 6;
const WAYS: [Way; 2] = [Way::Request, Way::Reply];
const KINDS: [ReplyKind; 4] = [
    ReplyKind::Reply,
    ReplyKind::Refusal,
    ReplyKind::Error,
    ReplyKind::Redirect,
];

/// One case of one mode.
struct Case {
    name: String,
    oracle: OracleCluster,
    route: Route,
    expectation: Expectation,
}

impl Case {
    fn judge(&self, observation: &Observation) -> Verdict {
        let expectations = std::slice::from_ref(&self.expectation);
        judge(
            &self.oracle.cluster,
            &self.route,
            expectations,
            observation,
            Probes::default(),
        )
    }

    fn walked(&self) -> Observation {
        walked(&self.expectation, SENT)
    }

    /// Returns hooks of this cluster that are not on the expected path of this direction.
    fn off_path(&self, way: Way) -> Vec<(DoorId, Direction)> {
        let steps = self.expectation.steps(way);
        let on_path = |hook: &(DoorId, Direction)| {
            steps
                .iter()
                .any(|step| (step.door, step.direction) == *hook)
        };
        let doors = self.oracle.cluster.doors.iter();
        let hooks =
            doors.flat_map(|door| [(door.id, Direction::Ingress), (door.id, Direction::Egress)]);
        hooks.filter(|hook| !on_path(hook)).collect()
    }
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (directory, mode) in MODES {
        let cases = oracle::cases(directory).unwrap();
        for case in &cases {
            let oracle = OracleCluster::of(&cases, mode_of(mode));
            all.push(Case {
                name: format!("{directory}: {}", case.name),
                expectation: oracle.expectation(case, None),
                route: oracle.route(case),
                oracle,
            });
        }
    }
    assert!(all.len() > 70);
    all
}

/// Removes the crossings of one direction after its `k`th step, and all that depend on them.
fn cut(case: &Case, observation: &mut Observation, way: Way, k: Option<usize>, lost: &[u32]) {
    let steps = case.expectation.steps(way);
    let kept = k.map_or(0, |k| k + 1);
    observation.crossings.retain(|crossing| {
        if !lost.contains(&crossing.sequence) || crossing.way < way {
            return true;
        }
        let hook = (crossing.door, crossing.direction);
        crossing.way == way
            && steps[..kept]
                .iter()
                .any(|step| (step.door, step.direction) == hook)
    });
    observation
        .answers
        .retain(|sequence, _| !lost.contains(sequence));
}

/// Returns the positions at which packets can be lost: before the first door, and after each door
/// except the last of the request, after which B has them.
fn ends(expectation: &Expectation, way: Way) -> Vec<Option<usize>> {
    let steps = expectation.steps(way);
    let mut required: Vec<_> = (0..steps.len())
        .filter(|k| steps[*k].required())
        .map(Some)
        .collect();
    if way == Way::Request {
        required.pop();
    }
    [vec![None], required].concat()
}

#[test]
fn loss_is_located_behind_the_last_crossed_door() {
    let mut rng = Rng::with_seed(1);
    let mut tried = 0;
    for case in cases() {
        for way in WAYS {
            for k in ends(&case.expectation, way) {
                let mut lost: Vec<_> = (0..SENT).collect();
                rng.shuffle(&mut lost);
                lost.truncate(rng.usize(1..=lost.len()));
                let mut observation = case.walked();
                cut(&case, &mut observation, way, k, &lost);
                let verdict = case.judge(&observation);
                let what = format!("{} {way:?} behind {k:?}: {verdict:#?}", case.name);
                assert_eq!(verdict.verdict, Kind::Lost, "{what}");
                assert_eq!(verdict.losses.len(), 1, "{what}");
                let loss = &verdict.losses[0];
                let steps = case.expectation.steps(way);
                let next = (k.map_or(0, |k| k + 1)..steps.len()).find(|k| steps[*k].required());
                let packets = u32::try_from(lost.len()).unwrap();
                assert_eq!(
                    (loss.way, loss.after, loss.before),
                    (way, k, next),
                    "{what}"
                );
                assert_eq!((loss.packets, loss.of), (packets, SENT), "{what}");
                assert!(
                    loss.circle.is_empty() && verdict.detours.is_empty(),
                    "{what}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn foreign_door_on_the_path_is_a_detour() {
    let mut rng = Rng::with_seed(2);
    for case in cases() {
        for way in WAYS {
            let mut observation = case.walked();
            let hook = *rng.choice(&case.off_path(way)).unwrap();
            let required = case
                .expectation
                .steps(way)
                .iter()
                .filter(|step| step.required());
            let required: Vec<_> = required.collect();
            let at = rng.usize(..required.len());
            let beside = observation.crossings.iter().filter(|crossing| {
                crossing.way == way
                    && (crossing.door, crossing.direction)
                        == (required[at].door, required[at].direction)
            });
            let foreign: Vec<_> = beside
                .map(|crossing| Crossing {
                    at: crossing.at + HOP / 2,
                    door: hook.0,
                    direction: hook.1,
                    ..*crossing
                })
                .collect();
            assert_eq!(foreign.len(), SENT as usize);
            observation.crossings.extend(foreign);
            let verdict = case.judge(&observation);
            let what = format!("{} {way:?}: {verdict:#?}", case.name);
            assert_eq!(verdict.verdict, Kind::Detour, "{what}");
            assert_eq!(verdict.detours.len(), 1, "{what}");
            let rows = match way {
                Way::Request => &verdict.request,
                Way::Reply => &verdict.reply,
            };
            let place = rows.iter().position(|row| !row.expected).unwrap();
            let before = &rows[..place];
            assert_eq!(
                before.iter().filter(|row| row.skipped_by.is_none()).count(),
                at + 1,
                "{what}"
            );
            assert_eq!(rows[place].seen, Some(SENT), "{what}");
        }
    }
}

#[test]
fn event_order_does_not_matter() {
    let mut rng = Rng::with_seed(3);
    for case in cases() {
        let mut observation = case.walked();
        let hooks = case.off_path(Way::Request);
        for _ in 0..4 {
            let mut stray = *rng.choice(&observation.crossings).unwrap();
            (stray.door, stray.direction) = *rng.choice(&hooks).unwrap();
            observation.crossings.push(stray);
        }
        observation.crossings.swap_remove(0);
        let verdict = case.judge(&observation);
        for _ in 0..5 {
            rng.shuffle(&mut observation.crossings);
            assert_eq!(case.judge(&observation), verdict, "{}", case.name);
        }
    }
}

#[test]
fn duplicates_are_no_loss() {
    let mut rng = Rng::with_seed(4);
    for case in cases() {
        let mut observation = case.walked();
        let copies = rng.u32(1..9);
        for _ in 0..copies {
            let mut copy = *rng.choice(&observation.crossings).unwrap();
            copy.at += Duration::from_nanos(rng.u64(..90_000));
            observation.crossings.push(copy);
        }
        let verdict = case.judge(&observation);
        assert_eq!(
            verdict.verdict,
            Kind::Verified,
            "{} {verdict:#?}",
            case.name
        );
        let rows = verdict.request.iter().chain(&verdict.reply);
        assert_eq!(rows.map(|row| row.repeated).sum::<u32>(), copies);
        let is_repeated = |note: &Note| matches!(note, Note::Repeated { .. });
        assert!(verdict.notes.iter().any(is_repeated));
    }
}

#[test]
fn hidden_doors_are_never_verified() {
    for case in cases() {
        let steps = case
            .expectation
            .request
            .iter()
            .chain(&case.expectation.reply);
        for step in steps {
            let mut observation = case.walked();
            observation
                .crossings
                .retain(|crossing| crossing.door != step.door);
            let reason = HiddenReason::Displaced {
                programs: vec!["another".into()],
            };
            observation.hidden.insert(step.door, reason.clone());
            let verdict = case.judge(&observation);
            let what = format!("{}: {verdict:#?}", case.name);
            assert_eq!(verdict.verdict, Kind::Unclear, "{what}");
            let is_reported =
                |doubt: &Doubt| matches!(doubt, Doubt::Hidden { reason: it, .. } if *it == reason);
            assert!(verdict.unclear.iter().any(is_reported), "{what}");
            let note = RowNote::Hidden {
                reason: reason.clone(),
            };
            let mut rows = verdict.request.iter().chain(&verdict.reply);
            assert!(
                rows.any(|row| row.seen.is_none() && row.note.as_ref() == Some(&note)),
                "{what}"
            );
        }
    }
}

#[test]
fn arbitrary_observations_do_not_panic() {
    let mut rng = Rng::with_seed(5);
    for case in cases() {
        for _ in 0..20 {
            let observation = anything(&case, &mut rng);
            let expectations = [case.expectation.clone(), case.expectation.clone()];
            let expectations = &expectations[..rng.usize(..=2)];
            let probes = Probes {
                protocol: rng.bool().then_some(Protocol::Icmp),
                ..Probes::default()
            };
            let verdict = judge(
                &case.oracle.cluster,
                &case.route,
                expectations,
                &observation,
                probes,
            );
            assert_sound(&verdict, &observation);
        }
    }
}

/// Checks that the verdict's numbers are consistent and its doors exist.
fn assert_sound(verdict: &Verdict, observation: &Observation) {
    let what = format!("{verdict:#?}");
    let found = observation.found;
    let most = found.map_or(verdict.delivered, |found| found.back);
    assert!(
        verdict.replied <= most && verdict.delivered <= verdict.sent,
        "{what}"
    );
    let lost = |way| {
        verdict
            .losses
            .iter()
            .filter(|loss| loss.way == way)
            .map(|loss| loss.packets)
            .sum::<u32>()
    };
    assert_eq!(
        lost(Way::Request),
        verdict.sent - verdict.delivered,
        "{what}"
    );
    let silent = found.is_some_and(|found| found.back == 0);
    if !observation.one_way && !silent {
        assert_eq!(lost(Way::Reply), most - verdict.replied, "{what}");
    }
    for loss in &verdict.losses {
        let rows = match loss.way {
            Way::Request => verdict.request.len(),
            Way::Reply => verdict.reply.len(),
        };
        let places = loss.after.iter().chain(&loss.before).chain(&loss.circle);
        assert!(places.into_iter().all(|place| *place < rows), "{what}");
    }
    if verdict.verdict == Kind::Verified {
        assert!(
            verdict.detours.is_empty() && verdict.losses.is_empty() && verdict.unclear.is_empty()
        );
    }
}

fn anything(case: &Case, rng: &mut Rng) -> Observation {
    let mut observation = if rng.bool() {
        case.walked()
    } else {
        Observation::default()
    };
    observation.sent = *rng.choice([0, 1, SENT, u32::MAX].iter()).unwrap();
    observation.one_way = rng.bool();
    observation.found = rng.bool().then(|| Found {
        back: *rng.choice([0, 1, SENT, u32::MAX].iter()).unwrap(),
        asked: rng.u32(..3),
    });
    observation.missed = if rng.bool() { 0 } else { rng.u64(..) };
    let door = |rng: &mut Rng| match rng.choice(&case.oracle.cluster.doors) {
        Some(door) if rng.u8(..) > 20 => door.id,
        _ => DoorId::new(NetNsId(rng.u64(..)), rng.u32(..)),
    };
    for _ in 0..rng.usize(..60) {
        let crossing = Crossing {
            at: if rng.u8(..) == 0 {
                Duration::MAX
            } else {
                Duration::from_nanos(rng.u64(..9))
            },
            door: door(rng),
            direction: if rng.bool() {
                Direction::Ingress
            } else {
                Direction::Egress
            },
            way: WAYS[rng.usize(..2)],
            kind: *rng.choice(&KINDS).unwrap(),
            sequence: if rng.u8(..) == 0 {
                rng.u32(..)
            } else {
                rng.u32(..SENT)
            },
            outer: rng.bool(),
            fragment: rng.bool(),
            tunnel: rng.bool().then(|| TunnelKey {
                identity: rng.u32(..9),
                node: None,
            }),
        };
        observation.crossings.push(crossing);
    }
    for _ in 0..rng.usize(..4) {
        let reason = HiddenReason::Detached;
        observation.hidden.insert(door(rng), reason);
        let time = Duration::from_nanos(rng.u64(..));
        observation.drops.push(Dropping {
            at: time,
            sequence: rng.u32(..SENT + 2),
            door: rng.bool().then(|| door(rng)),
            reason: DropReason {
                reason: ["XDP", "OTHERHOST", "IP_INNOROUTES", "QDISC_DROP"]
                    .get(rng.usize(..6))
                    .map(|reason| (*reason).to_owned()),
                ..DropReason::default()
            },
        });
        let answer = match rng.u8(..4) {
            0 => Answer::Reply(time),
            1 => Answer::Refused(time, Refusal::Reset),
            2 => Answer::Unreachable(time, "no route".into(), None),
            _ => Answer::Unsent("too long".into()),
        };
        observation.answers.insert(rng.u32(..SENT + 2), answer);
    }
    observation
}
