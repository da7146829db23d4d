//! Identifies unmarked packets from door to door: plain data.

use std::time::Duration;

use fastrand::Rng;
use netviz::{
    model::{Direction, DoorId},
    sys::netns::NetNsId,
    verify::{
        Hook, Way,
        collect::{
            crossings::{HookRecord, Window},
            following::{Following, Known, follow},
        },
    },
};
use netviz_ebpf::{
    crossing::IS_EGRESS,
    follow::{ASKS, IS_REPLY, IS_STREAM, PairPacket, holds_mark, is_chosen},
};

const HOP: u64 = 2_000;
const BEGIN: Duration = Duration::from_millis(100);
const END: Duration = Duration::from_secs(10);

/// Returns the `n`th door of the request; every second is an ingress hook.
fn hook(n: u32) -> Hook {
    let direction = if n.is_multiple_of(2) {
        Direction::Egress
    } else {
        Direction::Ingress
    };
    (DoorId::new(NetNsId(1), n + 1), direction)
}

fn record((door, direction): Hook, at: u64, passed: PairPacket) -> HookRecord<PairPacket> {
    let flags = match direction {
        Direction::Ingress => 0,
        Direction::Egress => IS_EGRESS,
    };
    HookRecord {
        door,
        seen: PairPacket {
            time: nanoseconds(BEGIN) + at,
            flags: passed.flags | flags,
            ..passed
        },
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap()
}

fn packet(identity: u64) -> PairPacket {
    PairPacket {
        identity,
        ttl: 64,
        ..PairPacket::default()
    }
}

fn segment(start: u32, length: u32) -> PairPacket {
    PairPacket {
        identity: 7,
        flags: IS_STREAM | ASKS,
        start,
        length,
        ttl: 64,
        ..PairPacket::default()
    }
}

/// Returns facts about a pod whose own door is the first.
fn known(level: u64) -> Known {
    Known {
        origins: [vec![hook(0)], vec![hook(9)]],
        window: Window {
            from: BEGIN,
            until: END,
        },
        level,
    }
}

/// Returns a packet at each of the first `doors` doors, from a start time on.
fn walk(passed: PairPacket, at: u64, doors: u32) -> Vec<HookRecord<PairPacket>> {
    (0..doors)
        .map(|n| record(hook(n), at + HOP * u64::from(n), passed))
        .collect()
}

/// Returns the number of different packets at a door of the request.
fn seen(following: &Following, n: u32) -> usize {
    let crossings = following.crossings.iter();
    let here = crossings.filter(|c| (c.door, c.direction) == hook(n) && c.way == Way::Request);
    let mut numbers: Vec<_> = here.map(|c| c.sequence).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

#[test]
fn packets_are_numbered_in_send_order() {
    let mut all = Vec::new();
    for n in 0..5_u64 {
        all.extend(walk(packet(100 - n), n * 1_000_000, 4));
    }
    fastrand::shuffle(&mut all);
    let following = follow(&all, &known(0));
    assert_eq!(following.left, [5, 0]);
    for crossing in &following.crossings {
        let from_start = crossing.at - BEGIN;
        assert_eq!(
            u64::from(crossing.sequence),
            nanoseconds(from_start) / 1_000_000
        );
    }
    assert!((0..4).all(|n| seen(&following, n) == 5));
}

#[test]
fn identical_packets_are_counted() {
    let mut all = Vec::new();
    for n in 0..50 {
        // The tenth is lost after the second door.
        let doors = if n == 10 { 2 } else { 4 };
        all.extend(walk(packet(1), n * 500, doors));
    }
    let following = follow(&all, &known(0));
    assert_eq!(following.left, [50, 0]);
    assert_eq!([0, 1, 2, 3].map(|n| seen(&following, n)), [50, 50, 49, 49]);
    assert!(following.strays.is_empty());
}

#[test]
fn looping_packet_is_one_packet() {
    let mut all = walk(packet(1), 0, 3);
    for round in 1..40_u32 {
        for n in [1, 2] {
            let at = HOP * u64::from(round * 3 + n);
            let mut round_again = packet(1);
            round_again.ttl = 64 - round;
            all.push(record(hook(n), at, round_again));
        }
    }
    let following = follow(&all, &known(0));
    assert_eq!(following.left, [1, 0]);
    assert_eq!(following.crossings.len(), 3 + 39 * 2);
    // Even if it returns to the door by which it left.
    let again = (1..20_u64).map(|round| {
        let mut again = packet(2);
        again.ttl = 64 - u32::try_from(round).unwrap();
        record(hook(0), round * HOP, again)
    });
    let all: Vec<_> = walk(packet(2), 0, 1).into_iter().chain(again).collect();
    assert_eq!(follow(&all, &known(0)).left, [1, 0]);
}

#[test]
fn packets_not_seen_leaving_are_reported() {
    let mut all = walk(packet(1), 0, 4);
    all.extend((2..4).map(|n| record(hook(n), 1_000_000 + u64::from(n), packet(2))));
    let following = follow(&all, &known(0));
    assert_eq!(following.left, [1, 0]);
    let strays: Vec<_> = following.strays.into_iter().collect();
    assert_eq!(strays, [((Way::Request, hook(2)), 1)]);
    // Without a known first door, the packet starts where it is seen first.
    let mut known = known(0);
    known.origins[0].clear();
    assert_eq!(follow(&all, &known).left, [2, 0]);
}

#[test]
fn packets_outside_the_window_are_ignored() {
    let mut early = walk(packet(1), 0, 4);
    for record in &mut early {
        record.seen.time -= HOP + 1;
    }
    let late = walk(packet(2), nanoseconds(END - BEGIN), 4);
    let all: Vec<_> = early.into_iter().chain(late).collect();
    let following = follow(&all, &known(0));
    assert_eq!(following.left, [0, 0]);
    assert!(following.crossings.is_empty() && following.strays.is_empty());
}

#[test]
fn only_requests_with_time_for_a_reply_need_one() {
    let mut asks = packet(1);
    asks.flags = ASKS;
    let mut all = walk(asks, 0, 2);
    all.extend(walk(packet(2), 50, 2));
    asks.identity = 3;
    all.extend(walk(asks, nanoseconds(END - BEGIN) - 1_000_000, 2));
    let mut back = packet(4);
    back.flags = IS_REPLY | ASKS;
    all.push(record(hook(9), 70, back));
    let following = follow(&all, &known(0));
    assert_eq!((following.left, following.asked), ([3, 1], 1));
}

/// One super-packet is split into segments, some of which are merged again: none is lost.
#[test]
fn stream_is_followed_by_bytes_across_segmentation() {
    let mut rng = Rng::with_seed(9);
    for level in [0, 1, 4] {
        // Across the wrap-around of sequence numbers.
        let begin = u32::MAX - 300_000;
        let mut all = Vec::new();
        let mut start = begin;
        let mut sent = 0;
        for n in 0..40_u64 {
            let length = rng.u32(1..64_000);
            let at = n * 100_000;
            all.push(record(hook(0), at, segment(start, length)));
            sent += u32::from(holds_mark(start, length, level));
            let mut done = 0;
            while done < length {
                let piece = rng.u32(1..3_000).min(length - done);
                let piece_of = segment(start.wrapping_add(done), piece);
                all.push(record(hook(1), at + HOP, piece_of));
                done += piece;
            }
            start = start.wrapping_add(length);
        }
        // At the third door, all are merged.
        let whole = segment(begin, start.wrapping_sub(begin));
        all.push(record(hook(2), 39 * 100_000 + 2 * HOP, whole));
        let following = follow(&all, &known(level));
        let left = following.left[0];
        assert!(left >= sent && sent > 0, "level {level}: {following:?}");
        assert_eq!(seen(&following, 1), left as usize, "level {level}");
        assert_eq!(seen(&following, 2), left as usize, "level {level}");
        assert!(following.strays.is_empty(), "level {level}");
    }
}

#[test]
fn retransmission_is_another_packet() {
    let mut all = walk(segment(1_000, 500), 0, 2);
    all.extend(walk(segment(1_000, 500), 200_000_000, 4));
    let following = follow(&all, &known(0));
    assert_eq!(following.left, [2, 0]);
    assert_eq!([0, 1, 2, 3].map(|n| seen(&following, n)), [2, 2, 1, 1]);
}

/// A door at a higher sampling level does not remove packets that all doors report.
#[test]
fn doors_at_different_sampling_levels_use_the_highest() {
    let mut rng = Rng::with_seed(11);
    let mut all = Vec::new();
    let mut common = 0;
    for n in 0..2_000_u64 {
        let identity = rng.u64(..);
        common += u32::from(is_chosen(identity, 4));
        for record in walk(packet(identity), n * 10_000, 4) {
            // The doors rise to level 4 at different times.
            let level = match record.door.ifindex {
                1 => n / 500,
                2 => 4,
                _ => 2,
            };
            if is_chosen(identity, level) {
                all.push(record);
            }
        }
    }
    let following = follow(&all, &known(4));
    assert_eq!(following.left, [common, 0]);
    assert!((0..4).all(|n| seen(&following, n) == common as usize));
    assert!(common > 50 && following.strays.is_empty());
}

#[test]
fn arbitrary_events_do_not_panic() {
    let mut rng = Rng::with_seed(13);
    for _ in 0..300 {
        let passed = |rng: &mut Rng| {
            let passed = PairPacket {
                time: rng.u64(..20_000_000_000),
                identity: rng.u64(..4),
                flags: rng.u32(..128),
                start: rng.u32(..),
                length: if rng.u8(..) == 0 {
                    u32::MAX
                } else {
                    rng.u32(..70_000)
                },
                ttl: rng.u32(..255),
                ..PairPacket::default()
            };
            let (door, _) = hook(rng.u32(..12));
            HookRecord { door, seen: passed }
        };
        let all: Vec<_> = (0..200).map(|_| passed(&mut rng)).collect();
        let following = follow(&all, &known(rng.u64(8..24)));
        let [there, back] = following.left;
        assert!(following.crossings.iter().all(|c| match c.way {
            Way::Request => c.sequence < there,
            Way::Reply => c.sequence < back,
        }));
    }
}
