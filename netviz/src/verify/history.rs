//! Many rounds of one pair: outages with their length, and changes of the path. Pure: the times are
//! given.

use std::{mem, sync::Arc};

use jiff::Timestamp;

use super::{CrossingRow, Doubt, Kind, Verdict, Way};
use crate::model::{Direction, Untrusted};

/// The most outages that a [`History`] keeps; it counts all.
const MOST_KEPT: usize = 100;

/// One round.
#[derive(Clone, Debug)]
pub struct Round {
    /// When it began.
    pub begin: Timestamp,
    /// When each packet was sent, by its number; missing if the sender could not try.
    pub sent_at: Vec<Option<Timestamp>>,
    /// Its result.
    pub verdict: Arc<Verdict>,
}

/// Why packets did not get through.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// As in the verdict of the first round of the outage.
    Lost(Arc<Verdict>),
    /// An end was not there, so nothing was sent.
    Missing(String),
}

/// A time in which packets were lost, or could not be sent: from the first such packet to the first one
/// behind the last such packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    /// When the first packet was sent that was lost.
    pub begin: Timestamp,
    /// When the first packet was sent that got through again; `None` while it lasts.
    pub end: Option<Timestamp>,
    /// How many packets were lost.
    pub lost: u64,
    /// Of how many, from the first to the last one that was lost.
    pub of: u64,
    /// The cause.
    pub why: Why,
}

impl Outage {
    /// Its length in seconds, so far if it has not ended at `now`.
    pub fn seconds(&self, now: Timestamp) -> f64 {
        let length = self.end.unwrap_or(now).duration_since(self.begin);
        length.as_secs_f64().max(0.0)
    }
}

/// What is different from the round before.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The verdict has another word than the last one, or is the first.
    Verdict,
    /// Delivered by other hooks than before.
    Path {
        /// Crossed now, and not before.
        new: Vec<PathHook>,
        /// Crossed before, and not now.
        gone: Vec<PathHook>,
    },
    /// Packets got through again.
    Over(Outage),
}

/// A hook on the path: the node, the interface, the direction.
pub type PathHook = (Untrusted, Untrusted, Direction);

/// An outage that lasts, with what is needed to find its end.
#[derive(Clone, Debug)]
struct Open {
    outage: Outage,
    /// Packets behind the last one that was lost, and when the first of them was sent.
    behind: u64,
    good: Option<Timestamp>,
}

/// All rounds so far.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// When the first packet was sent, or should have been.
    pub begin: Option<Timestamp>,
    /// How many rounds.
    pub rounds: u64,
    /// Packets sent, or that could not be sent.
    pub sent: u64,
    /// Packets that were lost.
    pub lost: u64,
    /// How often the path changed.
    pub path_changes: u64,
    /// The last result.
    pub last: Option<Arc<Verdict>>,
    /// The worst result; waiting for an end counts as lost.
    pub worst: Option<Kind>,
    /// The longest round trip in microseconds.
    pub worst_round_trip: Option<f64>,
    /// Medians of the rounds.
    medians: Vec<f64>,
    /// Hooks that the packets crossed when they last got through.
    path: Vec<PathHook>,
    open: Option<Open>,
    over: Vec<Outage>,
    ended: u64,
    ended_seconds: f64,
}

impl History {
    /// Adds a round, and returns what has changed.
    pub fn add(&mut self, round: &Round) -> Vec<Change> {
        let verdict = &round.verdict;
        let first = round.sent_at.first().copied().flatten();
        self.begin.get_or_insert(first.unwrap_or(round.begin));
        self.rounds += 1;
        self.sent += u64::from(verdict.sent);
        self.medians.extend(verdict.round_trip_microseconds);
        let longest = [self.worst_round_trip, verdict.round_trip_worst_microseconds];
        self.worst_round_trip = longest.into_iter().flatten().reduce(f64::max);
        self.worsen(verdict.verdict);
        let mut changes: Vec<_> = self.outage(round).map(Change::Over).into_iter().collect();
        let before = self.last.replace(Arc::clone(verdict));
        if before.is_none_or(|before| before.verdict != verdict.verdict) {
            changes.push(Change::Verdict);
        }
        changes.extend(self.path(verdict));
        changes
    }

    /// An end is not there. Returns whether that is news.
    pub fn missing(&mut self, now: Timestamp, why: &str) -> bool {
        self.worsen(Kind::Lost);
        let why = Why::Missing(why.into());
        match &mut self.open {
            Some(open) => {
                open.good = None;
                mem::replace(&mut open.outage.why, why.clone()) != why
            }
            None => {
                self.begin(now, why);
                true
            }
        }
    }

    /// The outage that lasts.
    pub fn outage_now(&self) -> Option<&Outage> {
        self.open.as_ref().map(|open| &open.outage)
    }

    /// The latest outages, with the one that lasts.
    pub fn outages(&self) -> impl DoubleEndedIterator<Item = &Outage> + Clone {
        self.over.iter().chain(self.outage_now())
    }

    /// How many outages there were, and how many seconds they lasted in all.
    pub fn total(&self, now: Timestamp) -> (u64, f64) {
        let open = self.outage_now().map(|open| open.seconds(now));
        let seconds = self.ended_seconds + open.unwrap_or_default();
        (self.ended + u64::from(open.is_some()), seconds)
    }

    /// How many seconds the rounds have lasted.
    pub fn seconds(&self, now: Timestamp) -> f64 {
        let begin = self.begin.unwrap_or(now);
        now.duration_since(begin).as_secs_f64().max(0.0)
    }

    /// The share of packets that got through; `None` if none was sent.
    pub fn availability(&self) -> Option<f64> {
        let through = self.sent.saturating_sub(self.lost);
        (self.sent > 0).then(|| through as f64 / self.sent as f64)
    }

    /// The median of the rounds' median round trips, in microseconds.
    pub fn median_round_trip(&self) -> Option<f64> {
        let mut medians = self.medians.clone();
        medians.sort_unstable_by(f64::total_cmp);
        medians.get(medians.len() / 2).copied()
    }

    fn worsen(&mut self, kind: Kind) {
        let rank = |kind: Kind| match kind {
            Kind::Verified => 0,
            Kind::Detour => 1,
            Kind::Unclear => 2,
            Kind::Lost => 3,
        };
        self.worst = self
            .worst
            .into_iter()
            .chain([kind])
            .max_by_key(|kind| rank(*kind));
    }

    fn begin(&mut self, begin: Timestamp, why: Why) -> &mut Open {
        self.open.insert(Open {
            outage: Outage {
                begin,
                end: None,
                lost: 0,
                of: 0,
                why,
            },
            behind: 0,
            good: None,
        })
    }

    /// Follows the outage; returns it if it is over.
    fn outage(&mut self, round: &Round) -> Option<Outage> {
        let sent_at = |packet: usize| round.sent_at.get(packet).copied().flatten();
        let sent = u64::from(round.verdict.sent);
        let Some((first, last, lost)) = lost(&round.verdict) else {
            let open = self.open.take()?;
            let end = open.good.or_else(|| sent_at(0)).unwrap_or(round.begin);
            return Some(self.close(open.outage, end));
        };
        self.lost += lost;
        let place = |packet: u64| usize::try_from(packet).unwrap_or(usize::MAX);
        let open = match &mut self.open {
            Some(open) => {
                open.outage.of += open.behind + last + 1;
                open
            }
            None => {
                let begin = sent_at(place(first)).unwrap_or(round.begin);
                let open = self.begin(begin, Why::Lost(Arc::clone(&round.verdict)));
                open.outage.of = (last + 1).saturating_sub(first);
                open
            }
        };
        open.outage.lost += lost;
        open.behind = sent.saturating_sub(last + 1);
        open.good = sent_at(place(last + 1));
        None
    }

    fn close(&mut self, mut outage: Outage, end: Timestamp) -> Outage {
        outage.end = Some(end);
        self.ended += 1;
        self.ended_seconds += outage.seconds(end);
        if self.over.len() == MOST_KEPT {
            self.over.remove(0);
        }
        self.over.push(outage.clone());
        outage
    }

    /// The change of the path by which packets get through.
    fn path(&mut self, verdict: &Verdict) -> Option<Change> {
        if !matches!(verdict.verdict, Kind::Verified | Kind::Detour) {
            return None;
        }
        let path = hooks(verdict);
        let before = mem::replace(&mut self.path, path);
        let missing = |from: &[PathHook], of: &[PathHook]| -> Vec<_> {
            let missing = from.iter().filter(|hook| !of.contains(hook));
            missing.cloned().collect()
        };
        let new = missing(&self.path, &before);
        let gone = missing(&before, &self.path);
        let changed = !before.is_empty() && (!new.is_empty() || !gone.is_empty());
        self.path_changes += u64::from(changed);
        changed.then_some(Change::Path { new, gone })
    }
}

/// Number of the first and of the last packet that did not get through, and how many did not.
fn lost(verdict: &Verdict) -> Option<(u64, u64, u64)> {
    let is_unsent = verdict.unclear.contains(&Doubt::NothingSent);
    if verdict.verdict != Kind::Lost && !is_unsent {
        return None;
    }
    let losses = verdict.losses.iter();
    let first = losses.clone().filter_map(|loss| loss.first).min();
    let last = losses.clone().filter_map(|loss| loss.last).max();
    let lost: u64 = losses.map(|loss| u64::from(loss.packets)).sum();
    let all = (0, u64::from(verdict.sent.saturating_sub(1)));
    let (first, last) = first.zip(last).map_or(all, |(a, b)| (a.into(), b.into()));
    Some((first, last, lost.max(1)))
}

/// The hooks that packets crossed, requests first.
fn hooks(verdict: &Verdict) -> Vec<PathHook> {
    let rows = Way::BOTH.into_iter().flat_map(|way| verdict.rows(way));
    let crossed = rows.filter(|row| row.seen > Some(0));
    let hook = |row: &CrossingRow| (row.node.clone(), row.interface.clone(), row.direction);
    crossed.map(hook).collect()
}
