//! Which doors in place of which.

use std::collections::BTreeSet;

use super::{
    names::{label, labels},
    trail::{Trail, Walk},
};
use crate::{model::Cluster, verify::observation::Way};

/// What is to be said of the doors of those who got through.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Other doors.
    pub(super) detours: Vec<String>,
    /// Doors of which it cannot be told.
    pub(super) unclear: Vec<String>,
}

/// How one line fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Crossed by all, as expected.
    Right,
    /// Crossed by so many who should not.
    Foreign(u32),
    /// Not crossed by so many who should.
    Missing(u32),
    /// Says nothing.
    Silent,
}

/// Compares the doors of packets that got through with those expected. `missed` crossings were seen
/// and not kept.
pub(super) fn findings(
    cluster: &Cluster,
    course: &Trail,
    through: &BTreeSet<u32>,
    missed: u64,
) -> Findings {
    let mut findings = Findings::default();
    let walks = through.iter().filter_map(|packet| course.walks.get(packet));
    let walks: Vec<&Walk> = walks.collect();
    let way = name(course.way);
    let nowhere = through.len().saturating_sub(walks.len());
    if nowhere > 0 && course.next(None).is_some() {
        findings.unclear.push(format!(
            "{way}: {nowhere} of {} got through and were recognised at no door: whether those were the right ones is not known; try --proto icmp or udp",
            through.len()
        ));
    }
    let marks: Vec<_> = (0..course.lines.len())
        .map(|line| mark(course, &walks, line))
        .collect();
    findings.hidden(cluster, course, &walks);
    if missed > 0
        && marks.iter().any(|mark| matches!(mark, Mark::Missing(_)))
        && !has_foreign(&marks)
    {
        findings.unclear.push(format!(
            "{way}: {missed} crossings could not be kept, so that doors may have been crossed unseen; send fewer, or slower"
        ));
        return findings;
    }
    findings.detours.extend(
        runs(&marks)
            .into_iter()
            .map(|run| sentence(cluster, course, &marks, &run, walks.len())),
    );
    findings.detours.extend(wrapped(cluster, course, &walks));
    findings
}

fn has_foreign(marks: &[Mark]) -> bool {
    marks.iter().any(|mark| matches!(mark, Mark::Foreign(_)))
}

fn mark(course: &Trail, walks: &[&Walk], line: usize) -> Mark {
    let crossed = walks.iter().filter(|walk| walk.crossed(line)).count();
    if course.foreign(line) {
        return if crossed > 0 {
            Mark::Foreign(super::losses::count(crossed))
        } else {
            Mark::Silent
        };
    }
    if !course.required(line) {
        return Mark::Silent;
    }
    let missing = walks
        .iter()
        .filter(|walk| !course.satisfied(line, walk))
        .count();
    match missing {
        0 => Mark::Right,
        _ if course.lines[line].hidden.is_some() => Mark::Silent,
        _ => Mark::Missing(super::losses::count(missing)),
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
                runs.last_mut().into_iter().for_each(|run| run.push(line))
            }
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn sentence(cluster: &Cluster, course: &Trail, marks: &[Mark], run: &[usize], of: usize) -> String {
    let is_foreign = |line: &usize| matches!(marks[*line], Mark::Foreign(_));
    let (foreign, missing): (Vec<_>, Vec<_>) = run.iter().copied().partition(is_foreign);
    let packets = run.iter().map(|line| match marks[*line] {
        Mark::Foreign(packets) | Mark::Missing(packets) => packets,
        Mark::Right | Mark::Silent => 0,
    });
    let packets = packets.max().unwrap_or_default();
    let way = name(course.way);
    let (by, instead) = (
        labels(cluster, course, &foreign),
        labels(cluster, course, &missing),
    );
    let what = match (foreign.is_empty(), missing.is_empty()) {
        (false, false) => format!("by {by} in place of {instead}"),
        (false, true) => format!(
            "by {by}, which {} not on the expected path",
            are(foreign.len())
        ),
        (true, _) => format!("past {instead}, which {} not crossed", were(missing.len())),
    };
    format!("{way}: {what} ({packets} of {of})")
}

fn are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

fn were(number: usize) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// Lines where packets travelled in the tunnel and should not, or the other way round.
fn wrapped(cluster: &Cluster, course: &Trail, walks: &[&Walk]) -> Vec<String> {
    let lines: BTreeSet<_> = walks
        .iter()
        .flat_map(|walk| &walk.wrapped_otherwise)
        .copied()
        .collect();
    let say = |line: usize| {
        let packets = walks
            .iter()
            .filter(|walk| walk.wrapped_otherwise.contains(&line))
            .count();
        let expected = course.lines[line]
            .step
            .as_ref()
            .is_some_and(|step| step.outer);
        let (was, should) = if expected {
            ("as they were", "inside of the tunnel's packets")
        } else {
            ("inside of a tunnel's packets", "as they are")
        };
        let door = label(cluster, course.lines[line].hook);
        let (way, of) = (name(course.way), walks.len());
        format!("{way}: across {door} {was}, and not {should} ({packets} of {of})")
    };
    lines.into_iter().map(say).collect()
}

impl Findings {
    /// Doors of the path that were not seen by all, or that should be passed by, and are hidden:
    /// a sentence for each reason.
    fn hidden(&mut self, cluster: &Cluster, course: &Trail, walks: &[&Walk]) {
        let unseen = |line: usize| {
            let satisfied = |walk: &&Walk| course.satisfied(line, walk);
            walks.is_empty() || !walks.iter().all(satisfied)
        };
        let lines = 0..course.lines.len();
        let lines = lines.filter(|line| course.lines[*line].step.is_some() && unseen(*line));
        self.unclear.extend(unseen_doors(cluster, course, lines));
    }
}

/// What cannot be seen at those of `lines` that are hidden, and why.
pub(super) fn unseen_doors(
    cluster: &Cluster,
    course: &Trail,
    lines: impl Iterator<Item = usize>,
) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<usize>)> = Vec::new();
    for line in lines {
        let Some(reason) = course.lines[line].hidden.as_deref() else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, lines)) => lines.push(line),
            None => reasons.push((reason, vec![line])),
        }
    }
    let say = |(reason, lines): (&str, Vec<usize>)| {
        let (way, doors) = (name(course.way), labels(cluster, course, &lines));
        format!("{way}: nothing can be seen at {doors}: {reason}")
    };
    reasons.into_iter().map(say).collect()
}

pub(super) fn name(way: Way) -> &'static str {
    match way {
        Way::Request => "request",
        Way::Reply => "reply",
    }
}
