//! Packets that came in another order than they were sent.

use std::{collections::BTreeMap, time::Duration};

use super::{
    detours::name,
    names::label,
    outcomes::Evidence,
    trail::{Hook, Trail},
};

/// Says at which door of each way packets first came in another order.
pub(super) fn notes(evidence: &Evidence<'_>) -> Vec<String> {
    let courses = [evidence.request, evidence.reply].into_iter();
    courses
        .filter_map(|course| note(evidence, course))
        .collect()
}

fn note(evidence: &Evidence<'_>, course: &Trail) -> Option<String> {
    let mut lines = course.lines.iter().map(|line| line.hook);
    lines.find_map(|hook| {
        let times = times(evidence, course, hook);
        let late = late(times.values().copied());
        (late > 0).then(|| {
            let (way, door) = (name(course.way), label(evidence.cluster, hook));
            let of = times.len();
            format!("{way}: {late} of {of} came to {door} after one that was sent later")
        })
    })
}

/// When each packet came to a hook first, in the order in which they were sent.
fn times(evidence: &Evidence<'_>, course: &Trail, hook: Hook) -> BTreeMap<u32, Duration> {
    let mut times = BTreeMap::new();
    let crossings = evidence.observation.crossings.iter().filter(|crossing| {
        crossing.way == course.way
            && (crossing.door, crossing.direction) == hook
            && crossing.sequence < evidence.observation.sent
    });
    for crossing in crossings {
        let first = times.entry(crossing.sequence).or_insert(crossing.at);
        *first = crossing.at.min(*first);
    }
    times
}

/// How many came after one of their successors.
fn late(times: impl DoubleEndedIterator<Item = Duration>) -> usize {
    let mut earliest: Option<Duration> = None;
    let mut late = 0;
    for time in times.rev() {
        late += usize::from(earliest.is_some_and(|earliest| time > earliest));
        earliest = Some(earliest.map_or(time, |earliest| earliest.min(time)));
    }
    late
}
