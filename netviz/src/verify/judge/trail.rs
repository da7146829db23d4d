//! Request or reply, as expected and as observed: one line per hook, and the lines that each packet
//! crossed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    model::DoorId,
    verify::{
        Crossing, Expectation, HiddenReason, Hook, Observation, ReplyKind, Step, TunnelKey, Way,
    },
};

/// One line: a hook that is expected, or that was crossed.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) hook: Hook,
    /// The step that it represents.
    pub(super) step: Option<Step>,
    /// Not on the path itself, but right: a bond's member, encryption.
    pub(super) besides: bool,
    /// Why nothing can be seen here.
    pub(super) hidden: Option<HiddenReason>,
    pub(super) seen: u32,
    pub(super) repeated: u32,
    /// Each packet's time since its previous crossing.
    pub(super) gaps: Vec<Duration>,
    pub(super) tunnel: Option<TunnelKey>,
    pub(super) outer: bool,
}

/// One packet, by the places of the lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    /// Its number.
    pub(super) packet: u32,
    /// Lines in the order in which it first crossed them.
    pub(super) first: Vec<usize>,
    /// The line that it crossed last.
    pub(super) last: Option<usize>,
    /// When that was.
    pub(super) ended: Duration,
    /// How often it crossed each.
    pub(super) times: BTreeMap<usize, u32>,
    /// Lines where it was inside of a tunnel's packet and should not be, or the other way round.
    pub(super) wrapped_otherwise: BTreeSet<usize>,
    /// What it is, on its way back.
    pub(super) kind: ReplyKind,
}

impl Walk {
    pub(super) fn crossed(&self, line: usize) -> bool {
        self.times.contains_key(&line)
    }
}

/// All packets of one way.
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
        let steps = expectation.map_or(&[][..], |it| it.steps(way));
        let besides = expectation.map_or(&[][..], |it| &it.besides);
        let packets = by_packet(way, steps, observation);
        let crossed = packets.values().flatten().map(Crossing::hook).collect();
        let mut lines = expected(steps, &crossed);
        add_unexpected(&mut lines, &packets, &crossed, besides);
        for line in &mut lines {
            line.hidden = observation.hidden.get(&line.hook.0).cloned();
        }
        let mut trail = Self {
            way,
            lines,
            walks: BTreeMap::new(),
        };
        for (sequence, crossings) in &packets {
            let walk = trail.walk(*sequence, crossings);
            trail.walks.insert(*sequence, walk);
        }
        for line in &mut trail.lines {
            let fragmented = line.step.as_ref().and_then(|step| step.fragmented.clone());
            line.hidden = line.hidden.take().or(fragmented.filter(|_| line.seen == 0));
        }
        trail
    }

    /// Follows one packet, and adds it to the lines.
    fn walk(&mut self, packet: u32, crossings: &[Crossing]) -> Walk {
        let mut walk = Walk {
            packet,
            kind: crossings
                .first()
                .map(|first| first.kind)
                .unwrap_or_default(),
            ..Walk::default()
        };
        let mut before: Option<Duration> = None;
        for crossing in crossings {
            let Some(index) = self.line(packet, crossing.hook()) else {
                continue;
            };
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
                let step = line.step.as_ref();
                let step = step.filter(|step| step.required() && step.is_for(packet));
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

    /// The line of a hook: that of the packet's own path, if paths differ in it.
    fn line(&self, packet: u32, hook: Hook) -> Option<usize> {
        let is_own = |line: &Line| line.step.as_ref().is_none_or(|step| step.is_for(packet));
        let lines = self.lines.iter().enumerate();
        let at_hook = lines.filter(|(_, line)| line.hook == hook);
        let best = at_hook.min_by_key(|(_, line)| !is_own(line));
        best.map(|(index, _)| index)
    }

    /// Whether a packet crossed a line, or one that may be crossed instead.
    pub(super) fn satisfied(&self, index: usize, walk: &Walk) -> bool {
        if walk.crossed(index) {
            return true;
        }
        let Some(step) = &self.lines[index].step else {
            return false;
        };
        let mut others = walk.first.iter().map(|other| self.lines[*other].hook);
        others.any(|hook| step.accepts(hook))
    }

    /// Whether a line is on the path of a packet, or of any.
    fn step(&self, index: usize, packet: Option<u32>) -> Option<&Step> {
        let step = self.lines[index].step.as_ref()?;
        packet
            .is_none_or(|packet| step.is_for(packet))
            .then_some(step)
    }

    /// Whether a line is on the path of a packet.
    pub(super) fn is_on_path(&self, index: usize, walk: &Walk) -> bool {
        self.step(index, Some(walk.packet)).is_some()
    }

    /// Whether every packet, or this one, is seen here if it gets further.
    pub(super) fn required(&self, index: usize, packet: Option<u32>) -> bool {
        self.step(index, packet).is_some_and(Step::required)
    }

    /// Whether a packet that gets further is seen here.
    pub(super) fn requires(&self, index: usize, walk: &Walk) -> bool {
        self.required(index, Some(walk.packet))
    }

    /// Whether a packet should not cross it: no step, or one that is bypassed.
    pub(super) fn foreign(&self, index: usize, walk: &Walk) -> bool {
        match self.step(index, Some(walk.packet)) {
            None => !self.lines[index].besides,
            Some(step) => step.skipped_by.is_some(),
        }
    }

    /// The last line of the expected path.
    pub(super) fn end(&self, packet: Option<u32>) -> Option<usize> {
        let mut lines = (0..self.lines.len()).rev();
        lines.find(|index| self.step(*index, packet).is_some())
    }

    /// The next line that a packet has to cross.
    pub(super) fn next(&self, after: Option<usize>, packet: Option<u32>) -> Option<usize> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        (from..self.lines.len()).find(|index| self.required(*index, packet))
    }
}

/// The crossings of each packet in order of time; equal times in the expected order.
fn by_packet(way: Way, steps: &[Step], observation: &Observation) -> BTreeMap<u32, Vec<Crossing>> {
    let mut all = BTreeMap::<_, Vec<Crossing>>::new();
    let packets = observation.packets(way);
    let ours = |crossing: &&Crossing| {
        crossing.way == way && crossing.sequence < packets && crossing.kind != ReplyKind::Redirect
    };
    for crossing in observation.crossings.iter().filter(ours) {
        all.entry(crossing.sequence).or_default().push(*crossing);
    }
    for crossings in all.values_mut() {
        crossings.sort_by_cached_key(|crossing| {
            let rank = steps.iter().position(|step| step.accepts(crossing.hook()));
            let rank = rank.unwrap_or(usize::MAX);
            let tunnel = crossing.tunnel.map(|key| (key.identity, key.node));
            (crossing.at, rank, crossing.hook(), crossing.outer, tunnel)
        });
    }
    all
}

/// A line for each step, at the door that was crossed.
fn expected(steps: &[Step], crossed: &BTreeSet<Hook>) -> Vec<Line> {
    let line = |step: &Step| {
        let mut doors = std::iter::once(step.door).chain(step.or.iter().copied());
        let door = doors.find(|door| crossed.contains(&(*door, step.direction)));
        Line {
            outer: step.outer,
            step: Some(step.clone()),
            ..Line::new((door.unwrap_or(step.door), step.direction))
        }
    };
    steps.iter().map(line).collect()
}

impl Line {
    fn new(hook: Hook) -> Self {
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

/// Adds hooks without a step: behind the line that most packets crossed before them, and among
/// themselves by the time since a packet's first crossing.
fn add_unexpected(
    lines: &mut Vec<Line>,
    packets: &BTreeMap<u32, Vec<Crossing>>,
    crossed: &BTreeSet<Hook>,
    besides: &[DoorId],
) {
    let place = |hook: Hook| lines.iter().position(|line| line.hook == hook);
    let mut found = Vec::new();
    for hook in crossed.iter().filter(|hook| place(**hook).is_none()) {
        let mut behind = BTreeMap::<Option<usize>, u32>::new();
        let mut times = Vec::new();
        for crossings in packets.values() {
            let mut hooks = crossings.iter().map(Crossing::hook);
            let Some(at) = hooks.position(|other| other == *hook) else {
                continue;
            };
            let earlier = crossings[..at].iter().rev();
            let before = earlier.map(Crossing::hook).find_map(place);
            *behind.entry(before).or_default() += 1;
            times.push(crossings[at].at.saturating_sub(crossings[0].at));
        }
        let anchor = behind.into_iter().max_by_key(|(_, packets)| *packets);
        let anchor = anchor.and_then(|(anchor, _)| anchor);
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        found.push((anchor, median, *hook));
    }
    found.sort_unstable();
    // From the end, so that the places of the lines before do not change.
    for (anchor, _, hook) in found.into_iter().rev() {
        let mut line = Line::new(hook);
        let mut steps = lines.iter().filter_map(|line| line.step.as_ref());
        line.besides = besides.contains(&hook.0) || steps.any(|step| step.accepts(hook));
        lines.insert(anchor.map_or(0, |anchor| anchor.saturating_add(1)), line);
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
