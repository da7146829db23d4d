//! Compares the doors of packets that got through with the expected ones.

use std::collections::BTreeSet;

use super::trail::{Trail, Walk, count};
use crate::verify::facts::{Detour, Doubt};

/// What follows from the doors that packets crossed.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) detours: Vec<Detour>,
    pub(super) unclear: Vec<Doubt>,
}

/// How one line compares with the expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Crossed by all, as expected.
    Right,
    /// Crossed by this many packets, and not expected.
    Foreign(u32),
    /// Expected, and not crossed by this many packets.
    Missing(u32),
    /// Neither.
    Silent,
}

/// Compares one way. `missed` crossings were lost because a buffer was full.
pub(super) fn findings(trail: &Trail, through: &BTreeSet<u32>, missed: u64) -> Findings {
    let mut findings = Findings::default();
    let walks = through.iter().filter_map(|packet| trail.walks.get(packet));
    let walks: Vec<&Walk> = walks.collect();
    let way = trail.way;
    let unrecognised = through.len().saturating_sub(walks.len());
    if unrecognised > 0 && trail.next(None).is_some() {
        findings.unclear.push(Doubt::Unrecognised {
            way,
            packets: count(unrecognised),
            of: count(through.len()),
        });
    }
    findings.unclear.extend(hidden_steps(trail, &walks));
    let lines = 0..trail.lines.len();
    let marks: Vec<_> = lines.map(|line| mark(trail, &walks, line)).collect();
    let is_foreign = |mark: &Mark| matches!(mark, Mark::Foreign(_));
    let is_missing = |mark: &Mark| matches!(mark, Mark::Missing(_));
    if missed > 0 && marks.iter().any(is_missing) && !marks.iter().any(is_foreign) {
        let crossings = missed;
        findings.unclear.push(Doubt::Missed { way, crossings });
        return findings;
    }
    let runs = runs(&marks).into_iter();
    let doors = runs.map(|run| detour(trail, &marks, &run, walks.len()));
    findings.detours.extend(doors);
    findings.detours.extend(tunnels(trail, &walks));
    findings
}

fn mark(trail: &Trail, walks: &[&Walk], line: usize) -> Mark {
    let crossed = walks.iter().filter(|walk| walk.crossed(line)).count();
    if trail.foreign(line) {
        return match crossed {
            0 => Mark::Silent,
            crossed => Mark::Foreign(count(crossed)),
        };
    }
    if !trail.required(line) {
        return Mark::Silent;
    }
    let missing = walks.iter().filter(|walk| !trail.satisfied(line, walk));
    match missing.count() {
        0 => Mark::Right,
        _ if trail.lines[line].hidden.is_some() => Mark::Silent,
        missing => Mark::Missing(count(missing)),
    }
}

/// Stretches between lines that are as expected.
fn runs(marks: &[Mark]) -> Vec<Vec<usize>> {
    let mut runs = vec![Vec::new()];
    for (line, mark) in marks.iter().enumerate() {
        match mark {
            Mark::Right => runs.push(Vec::new()),
            Mark::Silent => {}
            Mark::Foreign(_) | Mark::Missing(_) => {
                runs.last_mut().into_iter().for_each(|run| run.push(line));
            }
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn detour(trail: &Trail, marks: &[Mark], run: &[usize], of: usize) -> Detour {
    let is_foreign = |line: &usize| matches!(marks[*line], Mark::Foreign(_));
    let (crossed, passed_by) = run.iter().copied().partition(is_foreign);
    let packets = run.iter().map(|line| match marks[*line] {
        Mark::Foreign(packets) | Mark::Missing(packets) => packets,
        Mark::Right | Mark::Silent => 0,
    });
    Detour::Doors {
        way: trail.way,
        crossed,
        passed_by,
        packets: packets.max().unwrap_or_default(),
        of: count(of),
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
    let unseen = |line: &usize| {
        let satisfied = |walk: &&Walk| trail.satisfied(*line, walk);
        walks.is_empty() || !walks.iter().all(satisfied)
    };
    let steps = (0..trail.lines.len()).filter(|line| trail.lines[*line].step.is_some());
    hidden(trail, steps.filter(unseen))
}

/// Those of `lines` that are hidden, by reason.
pub(super) fn hidden(trail: &Trail, lines: impl Iterator<Item = usize>) -> Vec<Doubt> {
    let mut reasons: Vec<(_, Vec<usize>)> = Vec::new();
    for line in lines {
        let Some(reason) = &trail.lines[line].hidden else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, rows)) => rows.push(line),
            None => reasons.push((reason, vec![line])),
        }
    }
    let doubts = reasons.into_iter().map(|(reason, rows)| Doubt::Hidden {
        way: trail.way,
        rows,
        reason: reason.clone(),
    });
    doubts.collect()
}
