//! `verify --watch`: one line per change, the screen, and the summary.
//!
//! ```text
//! 14:02:11  LOST      10 of 10 requests, on node worker behind ▼ eth0; cause: eth0 is down
//! 14:02:14  OVER      lost 12 of 12 for 3.4 s, 14:02:11 to 14:02:14; cause: eth0 is down
//! ```

pub mod json;

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use super::{
    causes::causes,
    ladder,
    words::{end, sent, summary},
};
use crate::{
    verify::{Change, History, Outage, PathHook, Verdict, Why},
    views::text::{Style, ascii, count, cut_end, list, micros, safe, wrap},
};

/// The most hooks that a change of the path lists.
const MOST_HOOKS: usize = 3;
/// The width of the words in front of a text.
const WORD: usize = 10;

/// The reader's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The present.
    pub now: Timestamp,
    /// The reader's time zone.
    pub zone: TimeZone,
}

impl Clock {
    /// `14:02:11`
    fn time(&self, at: Timestamp) -> String {
        let at = at.to_zoned_datetime(self.zone.clone());
        at.strftime("%H:%M:%S").to_string()
    }

    /// `2026-12-01 14:02:11+01:00`
    fn date(&self, at: Timestamp) -> String {
        let at = at.to_zoned_datetime(self.zone.clone());
        at.strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
    }
}

/// What is watched, with a line break at the end.
#[must_use]
pub fn head(verdict: &Verdict, every: Duration, clock: &Clock, style: Style) -> String {
    let now = clock.date(clock.now);
    finish(&format!("{now}  {}", what(verdict, every)), style)
}

/// `a/client -> a/server, 10 x ICMP echo, 84 bytes, every 1 s`
fn what(verdict: &Verdict, every: Duration) -> String {
    let (from, to, sent) = (end(&verdict.from), end(&verdict.to), sent(verdict));
    format!("{from} -> {to}, {sent}, every {} s", every.as_secs_f64())
}

/// A change, with a line break at the end; `verdict` is the latest.
#[must_use]
pub fn change(change: &Change, verdict: &Verdict, clock: &Clock, style: Style) -> String {
    let (word, text) = match change {
        Change::Verdict => {
            let cause = cause(verdict).map_or_else(String::new, |it| format!("; cause: {it}"));
            let word = verdict.verdict.word().to_uppercase();
            (word, summary(verdict) + &cause)
        }
        Change::Path { new, gone } => ("PATH".into(), path(new, gone)),
        Change::Over(outage) => ("OVER".into(), describe(outage, clock)),
    };
    line(&word, &text, clock, style)
}

/// An end is not there, with a line break at the end.
#[must_use]
pub fn waiting(why: &str, clock: &Clock, style: Style) -> String {
    line("WAITING", &safe(why), clock, style)
}

fn line(word: &str, text: &str, clock: &Clock, style: Style) -> String {
    let now = clock.time(clock.now);
    finish(&format!("{now}  {word:<WORD$}{text}"), style)
}

fn finish(line: &str, style: Style) -> String {
    let line = if style.ascii {
        ascii(line)
    } else {
        line.into()
    };
    line + "\n"
}

/// `now by ▼ lxc2 on worker, not by ▼ lxc1 on worker`
fn path(new: &[PathHook], gone: &[PathHook]) -> String {
    let some = |hooks: &[PathHook]| {
        let named = hooks
            .iter()
            .take(MOST_HOOKS)
            .map(|(node, interface, at)| format!("{} {interface} ({node})", at.sign()));
        let more = match hooks.len().saturating_sub(MOST_HOOKS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        list(named, ", ") + &more
    };
    match (new, gone) {
        (new, []) => format!("now also by {}", some(new)),
        ([], gone) => format!("no longer by {}", some(gone)),
        (new, gone) => format!("now by {}, no longer by {}", some(new), some(gone)),
    }
}

/// `lost 12 of 12 for 3.4 s, 14:02:11 to 14:02:14; cause: eth0 is down`
fn describe(outage: &Outage, clock: &Clock) -> String {
    let length = length(outage.seconds(clock.now));
    let lost = match outage.of {
        0 => format!("nothing sent for {length}"),
        of => format!("lost {} of {} for {length}", outage.lost, of),
    };
    let begin = clock.time(outage.begin);
    let time = match outage.end {
        Some(end) => format!("{begin} to {}", clock.time(end)),
        None => format!("since {begin}"),
    };
    let why = why(&outage.why).map_or_else(String::new, |it| format!("; cause: {it}"));
    format!("{lost}, {time}{why}")
}

/// The cause of an outage.
fn why(why: &Why) -> Option<String> {
    match why {
        Why::Lost(verdict) => cause(verdict),
        Why::Missing(text) => Some(safe(text)),
    }
}

/// The cause of the first loss.
fn cause(verdict: &Verdict) -> Option<String> {
    let mut losses = verdict.losses.iter();
    losses.find_map(|loss| causes(verdict, loss).into_iter().next())
}

/// `3.4 s`, `12 min 30 s`
fn length(seconds: f64) -> String {
    if seconds < 119.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The summary of all rounds, with a line break at the end.
#[must_use]
pub fn totals(history: &History, clock: &Clock, style: Style) -> String {
    let time = length(history.seconds(clock.now));
    let rounds = match history.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{} rounds", count(Some(rounds))),
    };
    let mut lines = vec![format!("{rounds} in {time}: {}", availability(history))];
    lines.extend(outages(history, clock, usize::MAX));
    lines.push(path_changes(history));
    let lines = lines.iter().map(|line| finish(line, style));
    lines.collect()
}

/// `98.40 % of 2,000 packets got through; round trip: median 118.0 us, worst 1.2 ms`
fn availability(history: &History) -> String {
    let through = match history.availability() {
        // Not rounded up to all of them.
        Some(share) => {
            let percent = (share * 10_000.0).floor() / 100.0;
            let sent = count(Some(history.sent));
            format!("{percent} % of {sent} packets got through")
        }
        None => "no packet was sent".to_owned(),
    };
    let [median, worst] = [history.median_round_trip(), history.worst_round_trip];
    match median {
        None => through,
        Some(_) => {
            let [median, worst] = [median, worst].map(|time| micros(time).trim().to_owned());
            format!("{through}; round trip: median {median}, worst {worst}")
        }
    }
}

/// The outages, the latest `most` of them one by one.
fn outages(history: &History, clock: &Clock, most: usize) -> Vec<String> {
    let (number, seconds) = history.total(clock.now);
    let total = match number {
        0 => return vec!["no outage".into()],
        1 => "1 outage:".to_owned(),
        number => {
            let (number, seconds) = (count(Some(number)), length(seconds));
            format!("{number} outages, {seconds} in all:")
        }
    };
    let latest: Vec<_> = history.outages().rev().take(most).collect();
    let latest = latest.into_iter().rev();
    let latest = latest.map(|outage| format!("  {}", describe(outage, clock)));
    [total].into_iter().chain(latest).collect()
}

fn path_changes(history: &History) -> String {
    match history.path_changes {
        0 => "the path did not change".into(),
        1 => "the path changed once".into(),
        times => format!("the path changed {times} times"),
    }
}

/// What the screen shows besides the history.
#[derive(Clone, Debug)]
pub struct Screen<'a> {
    /// The time between two rounds.
    pub every: Duration,
    /// Why nothing is sent, while that is so.
    pub waiting: Option<&'a str>,
    /// The latest message of netviz.
    pub message: Option<String>,
    /// Rows of the terminal.
    pub rows: usize,
}

/// The outages that the screen lists.
const MOST_OUTAGES: usize = 5;

/// Draws the screen: lines that fit the terminal.
#[must_use]
pub fn screen(screen: &Screen<'_>, history: &History, clock: &Clock, style: Style) -> Vec<String> {
    let width = style.width.unwrap_or(ladder::NARROWEST);
    let time = length(history.seconds(clock.now));
    let mut lines = vec![format!(
        "netviz verify --watch   {}   every {} s, round {}, {time}   q quit",
        clock.time(clock.now),
        screen.every.as_secs_f64(),
        history.rounds
    )];
    lines.extend(screen.message.as_deref().map(safe));
    let Some(verdict) = &history.last else {
        lines.push("attaching".into());
        return fit(lines, width, screen.rows, style);
    };
    lines.push(availability(history));
    for outage in outages(history, clock, MOST_OUTAGES) {
        lines.extend(wrap(&outage, width, 4));
    }
    lines.push(path_changes(history));
    lines.push(String::new());
    match screen.waiting {
        Some(why) => {
            lines.push(what(verdict, screen.every));
            lines.push(String::new());
            lines.extend(wrap(&format!("WAITING   {}", safe(why)), width, WORD));
        }
        None => {
            let width = Some(width);
            let ladder = ladder::draw(verdict, Style { width, ..style });
            lines.extend(ladder.lines().map(str::to_owned));
        }
    }
    fit(lines, width, screen.rows, style)
}

fn fit(lines: Vec<String>, width: usize, rows: usize, style: Style) -> Vec<String> {
    let cut = |line: String| {
        let line = cut_end(&line, width);
        if style.ascii { ascii(&line) } else { line }
    };
    lines.into_iter().take(rows.max(1)).map(cut).collect()
}
