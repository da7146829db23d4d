//! In a pipe: one line per change.

use std::collections::HashMap;

use super::text::{count, rate};
use crate::model::{DoorId, DoorState, Reason, Side, Snapshot, State, Traffic};

/// Remembers what was last said of each door.
#[derive(Debug, Default)]
pub struct Lines {
    last: HashMap<DoorId, DoorState>,
}

impl Lines {
    /// The lines for what is different from the snapshot before.
    pub fn next(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let time = snapshot.taken_at.get(11..19).unwrap_or(&snapshot.taken_at);
        let mut lines = Vec::new();
        for door in &snapshot.doors {
            // What will be said of it in a moment is the news.
            if door.reason == Some(Reason::Pending) {
                continue;
            }
            let before = self.last.insert(door.id, door.clone());
            if let Some(change) = change(before.as_ref(), door) {
                lines.push(format!("{time}  {}  {change}", place(door)));
            }
        }
        let there: std::collections::HashSet<_> =
            snapshot.doors.iter().map(|door| door.id).collect();
        self.last.retain(|id, _| there.contains(id));
        lines
    }
}

fn place(door: &DoorState) -> String {
    let interface = door
        .interface
        .clone()
        .unwrap_or_else(|| format!("if{}", door.ifindex).into());
    // Every pod has an eth0, and the node itself has one as well.
    let whose = match (&door.pod, &door.peer_interface, door.side) {
        (Some(pod), ..) => format!(" ({pod})"),
        (None, Some(peer), Side::Pod) => format!(" (behind {peer})"),
        _ => String::new(),
    };
    format!("{}  {interface}{whose}", door.node)
}

fn change(before: Option<&DoorState>, door: &DoorState) -> Option<String> {
    let known = before.map(|before| before.state);
    if known != Some(door.state) {
        let reason = door
            .reason
            .as_ref()
            .map(|reason| format!(": {}", reason))
            .unwrap_or_default();
        return Some(format!("{}{reason}", word(door.state)));
    }
    // The state is the same as before, and for a while it was not so.
    if before.is_some_and(|before| before.gaps < door.gaps) {
        return door.reason.as_ref().map(ToString::to_string);
    }
    let ingress = difference(before.map(|before| before.ingress), &door.ingress);
    let egress = difference(before.map(|before| before.egress), &door.egress);
    (ingress + egress > 0).then(|| {
        format!(
            "▼ +{} ▲ +{} packets  ▼ {}/s ▲ {}/s",
            count(Some(ingress)),
            count(Some(egress)),
            rate(door.ingress.packets_per_second),
            rate(door.egress.packets_per_second)
        )
    })
}

fn difference(before: Option<Traffic>, now: &Traffic) -> u64 {
    let before = before.and_then(|before| before.packets).unwrap_or(0);
    now.packets.unwrap_or(0).saturating_sub(before)
}

/// A state as the views name it.
#[must_use]
pub fn word(state: State) -> &'static str {
    match state {
        State::Counting => "counting",
        State::Blind => "blind",
        State::Bypassed => "bypassed",
        State::Gone => "gone",
    }
}
