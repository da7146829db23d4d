//! Compares the doors of packets that got through with the expected ones.

use std::{collections::BTreeSet, mem};

use super::trail::{Trail, Walk, count};
use crate::verify::{Detour, Doubt, Way};

/// What follows from the doors that packets crossed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) detours: Vec<Detour>,
    pub(super) unclear: Vec<Doubt>,
}

/// A line that packets crossed and should not (`foreign`), or the other way round.
struct Deviation {
    line: usize,
    foreign: bool,
    packets: u32,
}

/// Compares one way. `missed` crossings were lost because a buffer was full.
pub(super) fn findings(trail: &Trail, through: &BTreeSet<u32>, missed: u64) -> Findings {
    let mut findings = Findings::default();
    let walks = through.iter().filter_map(|packet| trail.walks.get(packet));
    let walks: Vec<&Walk> = walks.collect();
    let way = trail.way;
    let unrecognised = through.len().saturating_sub(walks.len());
    if unrecognised > 0 && trail.next(None, None).is_some() {
        findings.unclear.push(Doubt::Unrecognised {
            way,
            packets: count(unrecognised),
            of: count(through.len()),
        });
    }
    findings.unclear.extend(hidden_steps(trail, &walks));
    let runs = deviations(trail, &walks);
    let mut all = runs.iter().flatten();
    if missed > 0 && !runs.is_empty() && all.all(|deviation| !deviation.foreign) {
        let crossings = missed;
        findings.unclear.push(Doubt::Missed { way, crossings });
        return findings;
    }
    let of = count(walks.len());
    findings.detours = runs.iter().map(|run| detour(way, run, of)).collect();
    findings.detours.extend(tunnels(trail, &walks));
    findings
}

/// The deviations of each stretch between lines that are as expected.
fn deviations(trail: &Trail, walks: &[&Walk]) -> Vec<Vec<Deviation>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for line in 0..trail.lines.len() {
        let crosses = |walk: &&&Walk| trail.foreign(line, walk) && walk.crossed(line);
        let passes_by = |walk: &&&Walk| trail.requires(line, walk) && !trail.satisfied(line, walk);
        let crossed = count(walks.iter().filter(crosses).count());
        let passed_by = count(walks.iter().filter(passes_by).count());
        if crossed == 0 && passed_by == 0 && trail.required(line, None) {
            runs.push(mem::take(&mut run));
        }
        let is_visible = trail.lines[line].hidden.is_none();
        for (foreign, packets) in [(true, crossed), (false, passed_by)] {
            if packets > 0 && (foreign || is_visible) {
                run.push(Deviation {
                    line,
                    foreign,
                    packets,
                });
            }
        }
    }
    runs.push(run);
    runs.retain(|run| !run.is_empty());
    runs
}

fn detour(way: Way, run: &[Deviation], of: u32) -> Detour {
    let lines = |foreign| {
        let lines = run.iter().filter(move |it| it.foreign == foreign);
        lines.map(|it| it.line).collect()
    };
    Detour::Doors {
        way,
        crossed: lines(true),
        passed_by: lines(false),
        packets: run.iter().map(|it| it.packets).max().unwrap_or_default(),
        of,
    }
}

/// Lines where packets were inside of a tunnel and should not be, or the other way round.
fn tunnels(trail: &Trail, walks: &[&Walk]) -> Vec<Detour> {
    let lines = walks.iter().flat_map(|walk| &walk.wrapped_otherwise);
    let lines: BTreeSet<_> = lines.copied().collect();
    let tunnel = |row: usize| {
        let wrong = |walk: &&&Walk| walk.wrapped_otherwise.contains(&row);
        let step = trail.lines[row].step.as_ref();
        Detour::Tunnel {
            way: trail.way,
            row,
            expected: step.is_some_and(|step| step.outer),
            packets: count(walks.iter().filter(wrong).count()),
            of: count(walks.len()),
        }
    };
    lines.into_iter().map(tunnel).collect()
}

/// Hidden doors of the path that not all packets were seen at.
fn hidden_steps(trail: &Trail, walks: &[&Walk]) -> Vec<Doubt> {
    let seen = |line| {
        let mut own = walks
            .iter()
            .filter(|walk| trail.is_on_path(line, walk))
            .peekable();
        own.peek().is_some() && own.all(|walk| trail.satisfied(line, walk))
    };
    let lines = 0..trail.lines.len();
    hidden(
        trail,
        lines.filter(|line| trail.lines[*line].step.is_some() && !seen(*line)),
    )
}

/// Those of `lines` where nothing can be seen, by reason.
pub(super) fn hidden(trail: &Trail, lines: impl Iterator<Item = usize>) -> Vec<Doubt> {
    let mut doubts: Vec<Doubt> = Vec::new();
    for line in lines {
        let Some(why) = &trail.lines[line].hidden else {
            continue;
        };
        let same = doubts.iter_mut().find_map(|doubt| match doubt {
            Doubt::Hidden { rows, reason, .. } if reason == why => Some(rows),
            _ => None,
        });
        match same {
            Some(rows) => rows.push(line),
            None => doubts.push(Doubt::Hidden {
                way: trail.way,
                rows: vec![line],
                reason: why.clone(),
            }),
        }
    }
    doubts
}
