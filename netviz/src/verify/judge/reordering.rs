//! Packets that arrived in another order than they were sent.

use std::{collections::BTreeMap, time::Duration};

use super::{
    outcomes::Evidence,
    trail::{Trail, count},
};
use crate::verify::{facts::Note, observation::Hook};

/// The first door of a way where packets arrived in another order.
pub(super) fn note(evidence: &Evidence<'_>, trail: &Trail) -> Option<Note> {
    let mut lines = trail.lines.iter().enumerate();
    lines.find_map(|(row, line)| {
        let times = times(evidence, trail, line.hook);
        let late = late(times.values().copied());
        (late > 0).then(|| Note::Reordered {
            way: trail.way,
            row,
            packets: count(late),
            of: count(times.len()),
        })
    })
}

/// When each packet first crossed a hook, in the order in which they were sent.
fn times(evidence: &Evidence<'_>, trail: &Trail, hook: Hook) -> BTreeMap<u32, Duration> {
    let mut times = BTreeMap::new();
    let crossings = evidence.observation.crossings.iter().filter(|crossing| {
        crossing.way == trail.way
            && (crossing.door, crossing.direction) == hook
            && crossing.sequence < evidence.observation.sent
    });
    for crossing in crossings {
        let first = times.entry(crossing.sequence).or_insert(crossing.at);
        *first = crossing.at.min(*first);
    }
    times
}

/// How many arrived after one of their successors.
fn late(times: impl DoubleEndedIterator<Item = Duration>) -> usize {
    let mut earliest = Duration::MAX;
    let is_late = |time: &Duration| {
        let late = *time > earliest;
        earliest = earliest.min(*time);
        late
    };
    times.rev().filter(is_late).count()
}
