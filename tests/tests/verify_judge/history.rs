//! Many rounds: outages and changes of the path, with given times.

use jiff::{SignedDuration, Timestamp};
use netviz::verify::{Change, History, Kind, Round, Verdict, Why};
use netviz_tests::builders::verdicts::{cross_node, detour, lost_by_policy, lost_reply};

/// Packets of a round, and the time between two.
const PACKETS: i64 = 10;
const INTERVAL: i64 = 50;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(milliseconds)
}

/// A round that begins at this time.
fn round(begin: i64, verdict: Verdict) -> Round {
    let sent_at = (0..PACKETS).map(|packet| Some(at(begin + packet * INTERVAL)));
    Round {
        begin: at(begin),
        sent_at: sent_at.collect(),
        verdict: verdict.into(),
    }
}

/// Requests with these numbers are lost, the last one included.
fn lost(first: u32, last: u32) -> Verdict {
    let mut verdict = lost_by_policy();
    let loss = &mut verdict.losses[0];
    (loss.first, loss.last) = (Some(first), Some(last));
    loss.packets = last - first + 1;
    verdict
}

#[test]
fn outage_lasts_from_the_first_lost_packet_to_the_first_that_gets_through() {
    let mut history = History::default();
    assert_eq!(history.add(&round(0, cross_node())), [Change::Verdict]);
    assert_eq!(history.add(&round(1_000, lost(6, 9))), [Change::Verdict]);
    assert_eq!(history.add(&round(3_000, lost(0, 9))), []);
    assert_eq!(history.add(&round(5_000, lost(0, 2))), []);
    let open = history.outage_now().expect("an outage");
    assert_eq!((open.begin, open.end), (at(1_300), None));
    let changes = history.add(&round(6_000, cross_node()));
    let [Change::Over(outage), Change::Verdict] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((outage.begin, outage.end), (at(1_300), Some(at(5_150))));
    assert_eq!((outage.lost, outage.of), (17, 17));
    assert!((outage.seconds(at(99_000)) - 3.85).abs() < 1e-9);
    assert!(matches!(&outage.why, Why::Lost(verdict) if verdict.losses[0].first == Some(6)));
    assert_eq!((history.sent, history.lost), (50, 17));
    assert_eq!(history.total(at(99_000)).0, 1);
    assert_eq!(history.worst, Some(Kind::Lost));
}

/// A loss in every round is one outage, which ends in a round without any.
#[test]
fn partial_losses_are_one_outage() {
    let mut history = History::default();
    for number in 0..3 {
        history.add(&round(number * 1_000, lost_reply()));
    }
    let changes = history.add(&round(3_000, cross_node()));
    let Some(Change::Over(outage)) = changes.first() else {
        panic!("{changes:?}");
    };
    // Numbers 2 to 8 of each round, and what was sent in between.
    assert_eq!((outage.lost, outage.of), (9, 7 + 10 + 10));
    assert_eq!((outage.begin, outage.end), (at(100), Some(at(2_450))));
}

#[test]
fn missing_end_is_an_outage_and_its_cause() {
    let mut history = History::default();
    history.add(&round(0, cross_node()));
    history.add(&round(1_000, lost(9, 9)));
    assert!(history.missing(at(2_000), "no pod web-0"));
    assert!(!history.missing(at(3_000), "no pod web-0"));
    let changes = history.add(&round(4_000, cross_node()));
    let Some(Change::Over(outage)) = changes.first() else {
        panic!("{changes:?}");
    };
    assert_eq!(outage.why, Why::Missing("no pod web-0".into()));
    assert_eq!((outage.begin, outage.end), (at(1_450), Some(at(4_000))));
    assert_eq!((outage.lost, outage.of), (1, 1));
}

#[test]
fn path_changes_only_where_packets_get_through() {
    let mut history = History::default();
    history.add(&round(0, cross_node()));
    history.add(&round(1_000, lost(0, 9)));
    history.add(&round(2_000, cross_node()));
    assert_eq!(history.path_changes, 0);
    let changes = history.add(&round(3_000, detour()));
    let [Change::Verdict, Change::Path { new, gone }] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert!(!new.is_empty() || !gone.is_empty());
    assert_eq!(history.path_changes, 1);
}

/// Memory does not grow with the number of outages.
#[test]
fn only_the_latest_outages_are_kept() {
    let mut history = History::default();
    for number in 0..500 {
        history.add(&round(number * 2_000, lost(0, 9)));
        history.add(&round(number * 2_000 + 1_000, cross_node()));
    }
    let (outages, seconds) = history.total(at(0));
    assert_eq!((outages, seconds.round()), (500, 500.0));
    assert_eq!(history.outages().count(), 100);
}
