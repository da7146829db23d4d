//! One way as expected and as observed: the lines of the ladder, and who crossed which.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    model::{Direction, DoorId},
    verify::{
        observation::{Crossing, Observation, TunnelKey, Way},
        route::{Expectation, Step},
    },
};

/// A door in one direction.
pub(super) type Hook = (DoorId, Direction);

/// One line: a hook that is expected, or that was crossed.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) hook: Hook,
    /// The step that it stands for.
    pub(super) step: Option<Step>,
    /// Not on the path itself, and right all the same: a bond's member, encryption.
    pub(super) besides: bool,
    /// Why nothing can be seen here.
    pub(super) hidden: Option<String>,
    pub(super) seen: u32,
    pub(super) repeated: u32,
    /// Each packet's time since its crossing before.
    pub(super) gaps: Vec<Duration>,
    pub(super) tunnel: Option<TunnelKey>,
    pub(super) outer: bool,
}

/// One packet on one way, by the places of the lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    /// Lines in the order in which they were crossed first.
    pub(super) first: Vec<usize>,
    /// The line that was crossed last of all.
    pub(super) last: Option<usize>,
    /// When that was.
    pub(super) ended: Duration,
    /// How often each was crossed.
    pub(super) times: BTreeMap<usize, u32>,
    /// Lines at which it was, or was not, inside of an outer packet, other than expected.
    pub(super) wrapped_otherwise: BTreeSet<usize>,
}

impl Walk {
    pub(super) fn crossed(&self, line: usize) -> bool {
        self.times.contains_key(&line)
    }
}

/// All packets on one way.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    pub(super) way: Way,
    pub(super) lines: Vec<Line>,
    pub(super) walks: BTreeMap<u32, Walk>,
}

impl Trail {
    pub(super) fn new(
        way: Way,
        expectation: Option<&Expectation>,
        observation: &Observation,
    ) -> Self {
        let steps = expectation.map(|e| e.steps(way)).unwrap_or_default();
        let besides = expectation
            .map(|e| e.besides.as_slice())
            .unwrap_or_default();
        let trails = trails(way, steps, observation);
        let crossed = trails.values().flatten().map(hook).collect();
        let mut lines = expected(steps, &crossed);
        let strangers = strangers(&lines, &trails, &crossed);
        insert(&mut lines, strangers, besides);
        for line in &mut lines {
            let reason = observation
                .hidden
                .iter()
                .find(|door| door.door == line.hook.0);
            line.hidden = reason.map(|door| door.reason.clone());
        }
        let mut course = Self {
            way,
            lines,
            walks: BTreeMap::new(),
        };
        for (sequence, trail) in &trails {
            let walk = course.walk(trail);
            course.walks.insert(*sequence, walk);
        }
        for line in &mut course.lines {
            let fragmented = line.step.as_ref().and_then(|step| step.fragmented.clone());
            line.hidden = line.hidden.take().or(fragmented.filter(|_| line.seen == 0));
        }
        course
    }

    /// Follows one packet, and adds it to the lines.
    fn walk(&mut self, trail: &[Crossing]) -> Walk {
        let mut walk = Walk::default();
        let mut before: Option<Duration> = None;
        for crossing in trail {
            let found = self
                .lines
                .iter()
                .position(|line| line.hook == hook(crossing));
            let Some(index) = found else { continue };
            let line = &mut self.lines[index];
            let times = walk.times.entry(index).or_default();
            *times = times.saturating_add(1);
            if *times > 1 {
                line.repeated = line.repeated.saturating_add(1);
            } else {
                line.seen = line.seen.saturating_add(1);
                walk.first.push(index);
                line.gaps
                    .extend(before.map(|before| crossing.at.saturating_sub(before)));
                line.outer |= crossing.outer;
                line.tunnel = line.tunnel.or(crossing.tunnel);
                let step = line.step.as_ref().filter(|step| step.required());
                if step.is_some_and(|step| !crossing.fragment && step.outer != crossing.outer) {
                    walk.wrapped_otherwise.insert(index);
                }
            }
            before = Some(crossing.at);
            walk.last = Some(index);
            walk.ended = crossing.at;
        }
        walk
    }

    /// Whether a packet crossed a line, or, at an uplink, another that is as good.
    pub(super) fn satisfied(&self, index: usize, walk: &Walk) -> bool {
        if walk.crossed(index) {
            return true;
        }
        let line = &self.lines[index];
        let Some(step) = &line.step else { return false };
        let stands_in = |other: &Line| {
            other.hook.1 == line.hook.1
                && (other.hook.0 == step.door || step.or.contains(&other.hook.0))
        };
        walk.first
            .iter()
            .any(|other| stands_in(&self.lines[*other]))
    }

    /// Whether everybody who goes on has to be seen here.
    pub(super) fn required(&self, index: usize) -> bool {
        self.lines[index].step.as_ref().is_some_and(Step::required)
    }

    /// Crossed, and not to be: no step, or one that is passed by.
    pub(super) fn foreign(&self, index: usize) -> bool {
        let line = &self.lines[index];
        match &line.step {
            None => !line.besides,
            Some(step) => step.skipped_by.is_some(),
        }
    }

    /// The last line of the expected path.
    pub(super) fn end(&self) -> Option<usize> {
        self.lines.iter().rposition(|line| line.step.is_some())
    }

    /// The next line after this one that is to be crossed.
    pub(super) fn next(&self, after: Option<usize>) -> Option<usize> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        (from..self.lines.len()).find(|index| self.required(*index))
    }

    /// Lines behind this one where nothing can be seen.
    pub(super) fn hidden_after(&self, after: Option<usize>) -> impl Iterator<Item = usize> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        (from..self.lines.len()).filter(|index| self.lines[*index].hidden.is_some())
    }
}

fn hook(crossing: &Crossing) -> Hook {
    (crossing.door, crossing.direction)
}

/// The step that a hook belongs to, itself or in the place of another.
fn step_of(steps: &[Step], (door, direction): Hook) -> Option<usize> {
    let mut steps = steps.iter();
    steps.position(|step| {
        step.direction == direction && (step.door == door || step.or.contains(&door))
    })
}

/// The crossings of each packet in order of time; equal times in the expected order.
fn trails(way: Way, steps: &[Step], observation: &Observation) -> BTreeMap<u32, Vec<Crossing>> {
    let mut trails = BTreeMap::<_, Vec<Crossing>>::new();
    let packets = observation.packets(way);
    let ours = |crossing: &&Crossing| crossing.way == way && crossing.sequence < packets;
    for crossing in observation.crossings.iter().filter(ours) {
        trails.entry(crossing.sequence).or_default().push(*crossing);
    }
    for trail in trails.values_mut() {
        trail.sort_by_cached_key(|crossing| {
            let rank = step_of(steps, hook(crossing)).unwrap_or(usize::MAX);
            let tunnel = crossing.tunnel.map(|key| (key.identity, key.node));
            (crossing.at, rank, hook(crossing), crossing.outer, tunnel)
        });
    }
    trails
}

/// A line for each step, at the door that was crossed for it.
fn expected(steps: &[Step], crossed: &BTreeSet<Hook>) -> Vec<Line> {
    let line = |step: &Step| {
        let mut doors = std::iter::once(step.door).chain(step.or.iter().copied());
        let door = doors.find(|door| crossed.contains(&(*door, step.direction)));
        let mut line = Line::at((door.unwrap_or(step.door), step.direction));
        line.outer = step.outer;
        line.step = Some(step.clone());
        line
    };
    steps.iter().map(line).collect()
}

impl Line {
    fn at(hook: Hook) -> Self {
        Self {
            hook,
            step: None,
            besides: false,
            hidden: None,
            seen: 0,
            repeated: 0,
            gaps: Vec::new(),
            tunnel: None,
            outer: false,
        }
    }
}

/// Where hooks that no step stands for belong: behind the line that most packets crossed before
/// them, and among themselves in order of the time since a packet's first crossing.
fn strangers(
    lines: &[Line],
    trails: &BTreeMap<u32, Vec<Crossing>>,
    crossed: &BTreeSet<Hook>,
) -> Vec<(Option<usize>, Duration, Hook)> {
    let place = |hook: Hook| lines.iter().position(|line| line.hook == hook);
    let mut found = Vec::new();
    for stranger in crossed.iter().filter(|hook| place(**hook).is_none()) {
        let mut behind = BTreeMap::<Option<usize>, u32>::new();
        let mut times = Vec::new();
        for trail in trails.values() {
            let Some(at) = trail
                .iter()
                .position(|crossing| hook(crossing) == *stranger)
            else {
                continue;
            };
            let before = trail[..at]
                .iter()
                .rev()
                .find_map(|crossing| place(hook(crossing)));
            *behind.entry(before).or_default() += 1;
            times.push(trail[at].at.saturating_sub(trail[0].at));
        }
        let anchor = behind.into_iter().max_by_key(|(_, packets)| *packets);
        let anchor = anchor.and_then(|(anchor, _)| anchor);
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        found.push((anchor, median, *stranger));
    }
    found.sort_unstable();
    found
}

fn insert(
    lines: &mut Vec<Line>,
    strangers: Vec<(Option<usize>, Duration, Hook)>,
    besides: &[DoorId],
) {
    // From the end, so that the places of those before stay as they are.
    for (anchor, _, hook) in strangers.into_iter().rev() {
        let mut line = Line::at(hook);
        let mut steps = lines.iter().filter_map(|line| line.step.as_ref());
        let stands_in = |step: &Step| {
            step.direction == hook.1 && (step.door == hook.0 || step.or.contains(&hook.0))
        };
        line.besides = besides.contains(&hook.0) || steps.any(stands_in);
        lines.insert(anchor.map_or(0, |anchor| anchor.saturating_add(1)), line);
    }
}
