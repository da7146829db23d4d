//! What stands around the rows of the table: headings, sums, sources, notes. Other views say the
//! same in the same words.

use super::word;
use crate::{
    model::{Disagreement, DoorState, Node, Snapshot, State},
    views::{
        sources,
        text::{list, safe},
    },
};

/// `mycluster-worker  172.18.0.2/16  pods 10.10.2.0/24  vxlan, legacy host routing`
pub(super) fn heading(snapshot: &Snapshot, door: &DoorState) -> String {
    let node = snapshot
        .nodes
        .iter()
        .find(|node| node.netns == door.node_netns);
    let mut parts = vec![door.node.to_string()];
    if let Some(node) = node {
        parts.push(list(&node.addresses, " "));
        parts.extend(cluster(node));
    }
    safe(&parts.join("  ")).trim_end().to_owned()
}

/// What is known of a node's part in the cluster: `pods 10.10.2.0/24`, `vxlan, legacy host routing`.
/// Not cleaned.
pub(in crate::views) fn cluster(node: &Node) -> Vec<String> {
    let ranges = list(&node.pod_cidrs, " ");
    let ranges = (!ranges.is_empty()).then(|| format!("pods {ranges}"));
    let routing = node.datapath.as_ref().and_then(|path| path.summary());
    ranges.into_iter().chain(routing).collect()
}

/// `24 doors: 22 counting, 2 bypassed.  window 1.0 s  names: kernel`
pub(super) fn footer(snapshot: &Snapshot) -> String {
    let number = |state| {
        snapshot
            .doors
            .iter()
            .filter(|door| door.state == state)
            .count()
    };
    let mut parts = vec![
        format!("{} counting", number(State::Counting)),
        format!("{} blind", number(State::Blind)),
    ];
    for state in [State::Bypassed, State::Gone] {
        if number(state) > 0 {
            parts.push(format!("{} {}", number(state), word(state)));
        }
    }
    let window = snapshot
        .window_seconds
        .map(|s| format!("  window {s:.1} s"))
        .unwrap_or_default();
    format!(
        "{} doors: {}.{window}  names: {}",
        snapshot.doors.len(),
        parts.join(", "),
        sources::line(snapshot)
    )
}

/// Disagreements that are shown before the rest is left to the other views.
const DISAGREEMENTS: usize = 6;

/// `! mycluster-worker: default/a: cni cache says …`
pub(in crate::views) fn disagreement(said: &Disagreement) -> String {
    let Disagreement { node, about, what } = said;
    safe(&format!("! {node}: {about}: {what}"))
}

/// Where the sources do not agree, and what else the reader should know.
pub(in crate::views) fn said(snapshot: &Snapshot) -> Vec<String> {
    let said = &snapshot.disagreements;
    let mut lines: Vec<String> = said.iter().take(DISAGREEMENTS).map(disagreement).collect();
    if let Some(more) = said
        .len()
        .checked_sub(DISAGREEMENTS)
        .filter(|more| *more > 0)
    {
        lines.push(format!("! {more} more disagreements: see -o json"));
    }
    lines.extend(snapshot.notes.iter().map(|note| safe(note)));
    lines
}
