//! Headings, sums, sources and notes, the same in every view.

use super::{
    door::word,
    sources,
    text::{list, safe},
};
use crate::model::{Node, Snapshot, State};

/// Disagreements to list.
const DISAGREEMENTS: usize = 6;

/// `pods 10.10.2.0/24`, `vxlan, legacy host routing`: a node's part in the cluster. Not escaped.
pub(super) fn cluster(node: &Node) -> Vec<String> {
    let ranges = list(&node.pod_cidrs, " ");
    let ranges = (!ranges.is_empty()).then(|| format!("pods {ranges}"));
    let routing = node.datapath.as_ref().and_then(|path| path.summary());
    ranges.into_iter().chain(routing).collect()
}

/// `24 doors: 22 counting, 0 blind, 2 bypassed`
pub(super) fn states(snapshot: &Snapshot) -> String {
    let states = [State::Counting, State::Blind, State::Bypassed, State::Gone];
    let states = states.into_iter().filter_map(|state| {
        let doors = snapshot.doors.iter();
        let number = doors.filter(|door| door.state == state).count();
        let always = matches!(state, State::Counting | State::Blind);
        (always || number > 0).then(|| format!("{number} {}", word(state)))
    });
    let states: Vec<_> = states.collect();
    format!("{} doors: {}", snapshot.doors.len(), states.join(", "))
}

/// `  window 1.0 s`
pub(super) fn window(snapshot: &Snapshot) -> String {
    let window = snapshot.window_seconds;
    window.map_or_else(String::new, |seconds| format!("  window {seconds:.1} s"))
}

/// `24 doors: 22 counting, 0 blind.  window 1.0 s  names: kernel`
pub(super) fn footer(snapshot: &Snapshot) -> String {
    format!(
        "{}.{}  names: {}",
        states(snapshot),
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
