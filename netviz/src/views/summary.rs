//! Headings, sums, sources and notes, the same in every view.

use super::{
    door::Status,
    sources,
    text::{list, safe},
};
use crate::model::{Node, Snapshot};

/// Disagreements to list.
const DISAGREEMENTS: usize = 6;

/// `pods 10.10.2.0/24`, `vxlan, legacy host routing`: a node's part in the cluster. Not escaped.
pub(super) fn cluster(node: &Node) -> Vec<String> {
    let ranges = list(&node.pod_cidrs, " ");
    let ranges = (!ranges.is_empty()).then(|| format!("pods {ranges}"));
    let routing = node.datapath.as_ref().and_then(|path| path.summary());
    ranges.into_iter().chain(routing).collect()
}

/// How many interfaces have which status, the good ones first.
pub(super) fn states(snapshot: &Snapshot) -> Vec<(Status, usize)> {
    let others = Status::ALL.into_iter().filter(|it| *it != Status::Ok);
    let number = |status: Status| {
        let doors = snapshot.doors.iter();
        doors.filter(|door| Status::of(door) == status).count()
    };
    let states = [Status::Ok].into_iter().chain(others);
    let states = states.map(|status| (status, number(status)));
    let worth_saying = |(status, number): &(Status, usize)| *number > 0 || *status == Status::Ok;
    states.filter(worth_saying).collect()
}

/// `  window 1.0 s`
pub(super) fn window(snapshot: &Snapshot) -> String {
    let window = snapshot.window_seconds;
    window.map_or_else(String::new, |seconds| format!("  window {seconds:.1} s"))
}

/// `24 interfaces: 22 ok, 2 losing.  window 1.0 s  names: kernel`
pub(super) fn footer(snapshot: &Snapshot) -> String {
    let states = states(snapshot).into_iter();
    let states = states.map(|(status, number)| format!("{number} {}", status.word()));
    format!(
        "{} interfaces: {}.{}  names: {}",
        snapshot.doors.len(),
        list(states, ", "),
        window(snapshot),
        sources::line(snapshot)
    )
}

/// Disagreements of the sources, and notes.
pub(super) fn notes(snapshot: &Snapshot) -> Vec<String> {
    let all = &snapshot.disagreements;
    let shown = all.iter().take(DISAGREEMENTS);
    let mut lines: Vec<_> = shown
        .map(|it| safe(&format!("! {}: {}: {}", it.node, it.about, it.what)))
        .collect();
    if all.len() > DISAGREEMENTS {
        let more = all.len() - DISAGREEMENTS;
        lines.push(format!("! {more} more disagreements: see -o json"));
    }
    lines.extend(snapshot.notes.iter().map(|note| safe(note)));
    lines
}
