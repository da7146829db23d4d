//! One way of a verdict as its drawings need it: each door with its number, its place and its
//! remarks. All texts are escaped.

use std::collections::BTreeSet;

use super::sentences::row_note;
use crate::{
    model::{Direction, Side, Untrusted},
    verify::{CrossingRow, Loss, Verdict, Way},
    views::text::{UNKNOWN, count, micros, safe},
};

/// One way, door by door.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) way: Way,
    pub(super) rungs: Vec<Rung>,
    /// The number of packets that went this way.
    pub(super) of: u32,
}

/// What happened at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Crossed,
    /// Skipped, as expected.
    Skipped,
    /// Not observable.
    Hidden,
    /// Expected, but packets took another path.
    Missing,
    /// Expected, but packets were lost before.
    Unreached,
    /// No packets to expect.
    Idle,
}

/// How a line or a door is emphasised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Odd,
    Bad,
    Good,
}

/// One door.
#[derive(Debug)]
pub(super) struct Rung {
    /// Place among the doors that can be crossed, from 1.
    pub(super) number: Option<usize>,
    pub(super) direction: Direction,
    pub(super) interface: String,
    pub(super) node: String,
    /// The pod that it is in.
    pub(super) pod: Option<String>,
    pub(super) state: State,
    pub(super) seen: String,
    /// Median and worst.
    pub(super) times: Option<(String, String)>,
    /// Tunnel key, outer packet.
    pub(super) about: Vec<String>,
    /// Remarks, the most important first.
    pub(super) marks: Vec<String>,
    /// Whether a remark is about an error.
    pub(super) wrong: bool,
    /// Whether packets were lost before this door, or behind it.
    pub(super) lost: bool,
    pub(super) note: Option<String>,
}

impl Path {
    pub(super) fn new(verdict: &Verdict, way: Way) -> Self {
        let rows = verdict.rows(way);
        let of = of(verdict, way);
        let losses = verdict.losses.iter().filter(|loss| loss.way == way);
        let losses: Vec<_> = losses.collect();
        let last = rows.iter().rposition(|row| row.seen > Some(0));
        let traffic = verdict.traffic.as_ref();
        let thinned = traffic.is_some_and(|traffic| traffic.followed_one_in > 1);
        // Without an expected path, no door is unexpected.
        let is_known = rows.iter().any(|row| row.expected);
        let rung = |(place, row): (usize, &CrossingRow)| {
            let state = match row.seen {
                _ if is_skipped(row) => State::Skipped,
                None => State::Hidden,
                Some(0) if row.of.unwrap_or(of) == 0 => State::Idle,
                // If all packets are lost, later doors are not missing but out of reach. A later door may
                // be of another backend's path.
                Some(0) if last > Some(place) && row.of.is_none() || losses.is_empty() => {
                    State::Missing
                }
                Some(0) => State::Unreached,
                Some(_) => State::Crossed,
            };
            let oddity = oddity(row, state).filter(|_| is_known);
            let losses = marks_of(&losses, place, of);
            let mut rung = rung(row, state, row.of.unwrap_or(of));
            rung.lost = !losses.is_empty();
            rung.wrong = rung.lost || oddity.is_some();
            let others = marks(row, state, rung.lost, thinned);
            let oddity = oddity.map(String::from);
            rung.marks = losses.into_iter().chain(oddity).chain(others).collect();
            rung
        };
        let mut rungs: Vec<_> = rows.iter().enumerate().map(rung).collect();
        for (rung, number) in rungs.iter_mut().zip(numbers(rows)) {
            rung.number = number;
        }
        Self { way, rungs, of }
    }
}

/// The number of packets that went this way: at least as many as any door saw.
pub(super) fn of(verdict: &Verdict, way: Way) -> u32 {
    let returned = verdict.traffic.as_ref().map(|traffic| traffic.returned);
    let known = match way {
        Way::Request => verdict.sent,
        Way::Reply => returned.filter(|n| *n > 0).unwrap_or(verdict.delivered),
    };
    let seen = verdict.rows(way).iter().filter_map(|row| row.seen);
    seen.chain([known]).max().unwrap_or(known)
}

/// Whether a door is on the path, but skipped as expected.
pub(super) fn is_skipped(row: &CrossingRow) -> bool {
    row.skipped_by.is_some() && row.seen.is_none_or(|seen| seen == 0)
}

/// Numbers of the doors; skipped doors have none.
pub(super) fn numbers(rows: &[CrossingRow]) -> Vec<Option<usize>> {
    let mut next = 1..;
    let number = |row| if is_skipped(row) { None } else { next.next() };
    rows.iter().map(number).collect()
}

/// The losses at one place.
fn marks_of(losses: &[&Loss], place: usize, of: u32) -> Vec<String> {
    let mark = |loss: &&Loss| {
        let number = match loss.packets {
            packets if packets >= of => String::new(),
            packets => format!("{packets} "),
        };
        match (loss.after, loss.before) {
            _ if loss.circle.contains(&place) => Some("<- goes round in a circle".into()),
            _ if !loss.circle.is_empty() => None,
            (None, Some(before)) if before == place => {
                Some(format!("<- {number}lost before this door"))
            }
            (_, Some(before)) if before == place => Some(format!("<- {number}lost here")),
            (Some(after), None) if after == place => {
                Some(format!("<- {number}lost behind this door"))
            }
            _ => None,
        }
    };
    losses.iter().filter_map(mark).collect()
}

/// The difference from what was expected of a door.
fn oddity(row: &CrossingRow, state: State) -> Option<&'static str> {
    match state {
        State::Missing if row.expected => Some("expected, not crossed"),
        State::Crossed if row.skipped_by.is_some() => Some("not expected: it should be skipped"),
        State::Crossed if !row.expected => Some("not expected"),
        _ => None,
    }
}

/// All other remarks.
fn marks(row: &CrossingRow, state: State, lost: bool, thinned: bool) -> Vec<String> {
    let mut marks = Vec::new();
    match (state, &row.skipped_by) {
        (State::Skipped, Some(helper)) => marks.push(format!("skipped: {}", safe(helper))),
        (State::Hidden, _) => marks.push("hidden".into()),
        (State::Unreached, _) if !lost => marks.push("not reached".into()),
        _ => {}
    }
    if row.repeated > 0 {
        marks.push(format!("{} times again", row.repeated));
    }
    // If every packet is followed, their number is the same.
    if thinned && row.packets.is_some() {
        marks.push(format!("of {}", count(row.packets)));
    }
    marks
}

fn rung(row: &CrossingRow, state: State, of: u32) -> Rung {
    let times = [row.median_microseconds, row.worst_microseconds];
    let has_times = state == State::Crossed && times.iter().any(Option::is_some);
    let pod = row.pod.as_ref().filter(|_| row.side == Side::Pod);
    Rung {
        number: None,
        direction: row.direction,
        interface: row.interface.to_string(),
        node: row.node.to_string(),
        pod: pod.map(Untrusted::to_string),
        state,
        seen: match state {
            State::Skipped | State::Hidden => UNKNOWN.into(),
            _ => format!("{}/{of}", row.seen.unwrap_or(0)),
        },
        times: has_times.then(|| (micros(times[0]), micros(times[1]))),
        about: about(row),
        marks: Vec::new(),
        wrong: false,
        lost: false,
        note: row.note.as_ref().map(|note| safe(&row_note(note))),
    }
}

impl Rung {
    /// `pod client`, `mycluster-worker`
    pub(super) fn place(&self) -> String {
        match &self.pod {
            Some(pod) => format!("pod {pod}"),
            None => self.node.clone(),
        }
    }

    pub(super) fn tone(&self) -> Tone {
        match self.state {
            _ if self.lost => Tone::Bad,
            _ if self.wrong => Tone::Odd,
            State::Hidden => Tone::Odd,
            State::Skipped | State::Unreached | State::Missing | State::Idle => Tone::Faint,
            State::Crossed => Tone::Plain,
        }
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

/// How a correct reply comes back: `mirrored` by the doors of the request, or `as expected` by
/// others.
pub(super) fn fine(verdict: &Verdict) -> Option<&'static str> {
    let there = verdict.request.iter().filter(|row| !is_skipped(row));
    let back = verdict.reply.iter().filter(|row| !is_skipped(row));
    let (there, back): (Vec<_>, Vec<_>) = (there.collect(), back.collect());
    let all = of(verdict, Way::Reply);
    let right = |row: &&CrossingRow| {
        row.expected
            && row.seen == Some(row.of.unwrap_or(all))
            && row.repeated == 0
            && row.skipped_by.is_none()
            && row.note.is_none()
    };
    let lost = verdict.losses.iter().any(|loss| loss.way == Way::Reply);
    if back.is_empty() || lost || all == 0 || !back.iter().all(right) {
        return None;
    }
    let mirrors = |(there, back): (&CrossingRow, &&CrossingRow)| {
        let place = |row: &CrossingRow| (row.node.clone(), row.pod.clone(), row.interface.clone());
        place(there) == place(back) && there.direction != back.direction
    };
    let mirrored = there.len() == back.len() && there.into_iter().rev().zip(&back).all(mirrors);
    Some(if mirrored { "mirrored" } else { "as expected" })
}

/// Removes the namespace from pods' names if all pods are in one.
pub(super) fn shorten(paths: &mut [Path]) {
    let rungs = paths.iter().flat_map(|path| &path.rungs);
    let pods = rungs.filter_map(|rung| rung.pod.as_deref());
    let spaces: Option<BTreeSet<_>> = pods.map(|pod| Some(pod.split_once('/')?.0)).collect();
    if spaces.is_none_or(|spaces| spaces.len() != 1) {
        return;
    }
    for rung in paths.iter_mut().flat_map(|path| &mut path.rungs) {
        if let Some((_, name)) = rung.pod.as_deref().and_then(|pod| pod.split_once('/')) {
            rung.pod = Some(name.to_owned());
        }
    }
}
