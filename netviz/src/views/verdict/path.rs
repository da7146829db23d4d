//! One way of a verdict as all of its drawings need it: each door with its number, its place in
//! words, and what is to be said of it. Every text is clean.

use std::collections::BTreeSet;

use super::{sentences::row_note, words::micros};
use crate::{
    model::{Direction, Side, Untrusted},
    verify::{CrossingRow, Loss, Verdict, Way},
    views::text::{UNKNOWN, count, safe},
};

/// One way, door by door.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) way: Way,
    pub(super) rungs: Vec<Rung>,
    /// How many packets went this way.
    pub(super) of: u32,
}

/// What happened at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Crossed,
    /// Passed by, rightly.
    Skipped,
    /// Nothing can be seen here.
    Hidden,
    /// Expected, and packets went another way.
    Missing,
    /// Expected, and packets had ended before.
    Unreached,
    /// There were no packets that could have come here.
    Idle,
}

/// One door.
#[derive(Debug)]
pub(super) struct Rung {
    /// Place among the doors that can be crossed, from 1.
    pub(super) number: Option<usize>,
    pub(super) direction: Direction,
    pub(super) interface: String,
    pub(super) node: String,
    /// The pod it stands in.
    pub(super) pod: Option<String>,
    pub(super) state: State,
    pub(super) seen: String,
    pub(super) count: Option<u32>,
    /// Median and worst.
    pub(super) times: Option<(String, String)>,
    /// Tunnel key, outer packet.
    pub(super) about: Vec<String>,
    /// What is out of the ordinary here, the gravest first.
    pub(super) marks: Vec<String>,
    /// Whether any of them says that something is wrong.
    pub(super) wrong: bool,
    /// Packets ended in front of this door, or behind it.
    pub(super) lost: bool,
    pub(super) note: Option<String>,
}

impl Path {
    pub(super) fn new(verdict: &Verdict, way: Way) -> Self {
        let rows = verdict.rows(way);
        let of = of(verdict, way);
        let losses: Vec<_> = verdict
            .losses
            .iter()
            .filter(|loss| loss.way == way)
            .collect();
        // With nothing left to arrive, what comes later is not missing but out of reach.
        let last = rows
            .iter()
            .rposition(|row| row.seen.is_some_and(|seen| seen > 0));
        let numbers = numbers(rows);
        let traffic = verdict.traffic.as_ref();
        let thinned = traffic.is_some_and(|traffic| traffic.followed_one_in > 1);
        // Where no path is known, as to nobody, no door is a surprise.
        let is_known = rows.iter().any(|row| row.expected);
        let rung = |(place, row): (usize, &CrossingRow)| {
            let reached = last.is_some_and(|last| place < last);
            let number = numbers.get(place).copied().flatten();
            let state = match of {
                0 if row.seen == Some(0) && !is_skipped(row) => State::Idle,
                _ => state(row, reached, !losses.is_empty()),
            };
            let oddity = oddity(row, state).filter(|_| is_known);
            let marks = marks_of(&losses, place, of);
            rung(row, number, of, state, oddity, &marks, thinned)
        };
        Self {
            way,
            rungs: rows.iter().enumerate().map(rung).collect(),
            of,
        }
    }

    /// The pods and nodes of all doors, for cutting them apart.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rungs
            .iter()
            .map(|rung| rung.pod.as_deref().unwrap_or(&rung.node))
    }
}

/// How many packets went this way, as far as is known: never fewer than a door saw.
pub(super) fn of(verdict: &Verdict, way: Way) -> u32 {
    let returned = verdict.traffic.as_ref().map(|traffic| traffic.returned);
    let known = match way {
        Way::Request => verdict.sent,
        Way::Reply => returned.filter(|n| *n > 0).unwrap_or(verdict.delivered),
    };
    let seen = verdict.rows(way).iter().filter_map(|row| row.seen);
    seen.chain([known]).max().unwrap_or(known)
}

/// Whether a door is on the path only to say that it is passed by.
fn is_skipped(row: &CrossingRow) -> bool {
    row.skipped_by.is_some() && row.seen.is_none_or(|seen| seen == 0)
}

/// Numbers of the doors, by place: those that are rightly passed by have none.
pub(super) fn numbers(rows: &[CrossingRow]) -> Vec<Option<usize>> {
    let mut next = 0;
    let number = |row| {
        if is_skipped(row) {
            return None;
        }
        next += 1;
        Some(next)
    };
    rows.iter().map(number).collect()
}

fn state(row: &CrossingRow, reached: bool, lossy: bool) -> State {
    match row.seen {
        _ if is_skipped(row) => State::Skipped,
        None => State::Hidden,
        Some(0) if reached || !lossy => State::Missing,
        Some(0) => State::Unreached,
        Some(_) => State::Crossed,
    }
}

/// What losses say of one place.
fn marks_of(losses: &[&Loss], place: usize, of: u32) -> Vec<String> {
    let mut marks = Vec::new();
    for loss in losses {
        let who = if loss.packets >= of {
            String::new()
        } else {
            format!("{} ", loss.packets)
        };
        if loss.circle.contains(&place) {
            marks.push("<- goes round in a circle".into());
        } else if loss.circle.is_empty() {
            match (loss.after, loss.before) {
                (None, Some(before)) if before == place => {
                    marks.push(format!("<- {who}lost before this door"));
                }
                (_, Some(before)) if before == place => marks.push(format!("<- {who}lost here")),
                (Some(after), None) if after == place => {
                    marks.push(format!("<- {who}lost behind this door"));
                }
                _ => {}
            }
        }
    }
    marks
}

/// What differs from what was expected of a door.
fn oddity(row: &CrossingRow, state: State) -> Option<&'static str> {
    match state {
        State::Missing if row.expected => Some("expected, not crossed"),
        State::Crossed if row.skipped_by.is_some() => Some("not expected: it should be skipped"),
        State::Crossed if !row.expected => Some("not expected"),
        _ => None,
    }
}

fn rung(
    row: &CrossingRow,
    number: Option<usize>,
    of: u32,
    state: State,
    oddity: Option<&str>,
    losses: &[String],
    thinned: bool,
) -> Rung {
    let mut marks = losses.to_vec();
    let wrong = !marks.is_empty() || oddity.is_some();
    let seen = row.seen.unwrap_or(0);
    marks.extend(oddity.map(String::from));
    match (state, &row.skipped_by) {
        (State::Skipped, Some(helper)) => marks.push(format!("skipped: {}", safe(helper))),
        (State::Hidden, _) => marks.push("hidden".into()),
        (State::Unreached, _) if losses.is_empty() => marks.push("not reached".into()),
        _ => {}
    }
    if row.repeated > 0 {
        marks.push(format!("{} times again", row.repeated));
    }
    // Where each is followed, their number says the same.
    if thinned && row.packets.is_some() {
        marks.push(format!("of {}", count(row.packets)));
    }
    let times = [row.median_microseconds, row.worst_microseconds];
    let has_times = state == State::Crossed && times.iter().any(Option::is_some);
    Rung {
        number,
        direction: row.direction,
        interface: row.interface.to_string(),
        node: row.node.to_string(),
        pod: row
            .pod
            .as_ref()
            .filter(|_| row.side == Side::Pod)
            .map(Untrusted::to_string),
        state,
        seen: match state {
            State::Skipped | State::Hidden => UNKNOWN.into(),
            _ => format!("{seen}/{of}"),
        },
        count: row.seen,
        times: has_times.then(|| (micros(times[0]), micros(times[1]))),
        about: about(row),
        lost: !losses.is_empty(),
        marks,
        wrong,
        note: row.note.as_ref().map(|note| safe(&row_note(note))),
    }
}

impl Rung {
    /// All that is known of it beside its name.
    pub(super) fn facts(&self) -> Vec<String> {
        let times = self
            .times
            .as_ref()
            .map(|(median, worst)| format!("{} median, {} worst", median.trim(), worst.trim()));
        let seen = [format!("seen {}", self.seen)];
        let rest = self.about.iter().chain(&self.marks).cloned();
        seen.into_iter()
            .chain(times)
            .chain(rest)
            .chain(self.note.clone())
            .collect()
    }
}

fn about(row: &CrossingRow) -> Vec<String> {
    let mut about = Vec::new();
    if row.outer {
        about.push("outer".into());
    }
    if let Some(tunnel) = &row.tunnel {
        about.push(format!("identity {}", tunnel.identity));
        let towards = match row.direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        about.extend(tunnel.node.as_ref().map(|node| format!("{towards} {node}")));
    }
    about
}

/// How the reply comes back, where everything is as it should be there: `mirrored` by the doors
/// of the request, or `as expected` by others.
pub(super) fn fine(verdict: &Verdict) -> Option<&'static str> {
    let back: Vec<_> = crossed(&verdict.reply).collect();
    let all = of(verdict, Way::Reply);
    let right = |row: &&CrossingRow| {
        row.expected
            && row.seen == Some(all)
            && row.repeated == 0
            && row.skipped_by.is_none()
            && row.note.is_none()
    };
    let lost = verdict.losses.iter().any(|loss| loss.way == Way::Reply);
    if back.is_empty() || lost || all == 0 || !back.iter().all(right) {
        return None;
    }
    let turned = |(there, back): (&CrossingRow, &&CrossingRow)| {
        let place = |row: &CrossingRow| (row.node.clone(), row.pod.clone(), row.interface.clone());
        place(there) == place(back) && there.direction != back.direction
    };
    let there: Vec<_> = crossed(&verdict.request).collect();
    let mirrored = there.len() == back.len() && there.into_iter().rev().zip(&back).all(turned);
    Some(if mirrored { "mirrored" } else { "as expected" })
}

fn crossed(rows: &[CrossingRow]) -> impl Iterator<Item = &CrossingRow> {
    rows.iter().filter(|row| !is_skipped(row))
}

/// Pods' names without their namespace, where all are of one and stay different.
pub(super) fn shorten(paths: &mut [Path]) {
    let rungs = || paths.iter().flat_map(|path| &path.rungs);
    let pods: BTreeSet<&str> = rungs().filter_map(|rung| rung.pod.as_deref()).collect();
    let spaces: Option<BTreeSet<&str>> = pods
        .iter()
        .map(|pod| Some(pod.split_once('/')?.0))
        .collect();
    if spaces.is_none_or(|spaces| spaces.len() != 1) {
        return;
    }
    for rung in paths.iter_mut().flat_map(|path| &mut path.rungs) {
        if let Some((_, name)) = rung.pod.as_deref().and_then(|pod| pod.split_once('/')) {
            rung.pod = Some(name.to_owned());
        }
    }
}
