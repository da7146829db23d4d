//! For a pipe: one line per change.

use std::collections::{HashMap, HashSet};

use jiff::tz::TimeZone;

use super::{
    door::Status,
    text::{count, local_time, rate},
};
use crate::model::{DoorId, DoorState, Reason, Side, Snapshot, Traffic};

/// The doors as they were printed last.
#[derive(Debug)]
pub struct Lines {
    zone: TimeZone,
    last: HashMap<DoorId, DoorState>,
}

impl Lines {
    /// Lines with times in the reader's time zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        let last = HashMap::new();
        Self { zone, last }
    }

    /// The changes since the snapshot before.
    pub fn next(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let time = local_time(&snapshot.taken_at, &self.zone);
        let mut lines = Vec::new();
        // A door that is not attached yet will be in a moment.
        let doors = snapshot.doors.iter();
        for door in doors.filter(|door| door.reason != Some(Reason::Pending)) {
            let before = self.last.insert(door.id, door.clone());
            if let Some(change) = change(before.as_ref(), door) {
                lines.push(format!("{time}  {}  {change}", place(door)));
            }
        }
        let present: HashSet<_> = snapshot.doors.iter().map(|door| door.id).collect();
        self.last.retain(|id, _| present.contains(id));
        lines
    }
}

fn place(door: &DoorState) -> String {
    let interface = door.interface.clone();
    let interface = interface.unwrap_or_else(|| format!("if{}", door.ifindex).into());
    // Every pod has an eth0, and so has its node.
    let owner = match (&door.pod, &door.peer_interface, door.side) {
        (Some(pod), ..) => format!(" ({pod})"),
        (None, Some(peer), Side::Pod) => format!(" (behind {peer})"),
        _ => String::new(),
    };
    format!("{}  {interface}{owner}", door.node)
}

fn change(before: Option<&DoorState>, door: &DoorState) -> Option<String> {
    let Some(before) = before.filter(|before| before.state == door.state) else {
        let reason = door.reason.as_ref();
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        return Some(format!("{}{reason}", Status::of(door).word()));
    };
    // The state is the same again after a gap.
    if before.gaps < door.gaps {
        return door.reason.as_ref().map(ToString::to_string);
    }
    let more = |before: &Traffic, now: &Traffic| {
        let before = before.packets.unwrap_or(0);
        now.packets.unwrap_or(0).saturating_sub(before)
    };
    let ingress = more(&before.ingress, &door.ingress);
    let egress = more(&before.egress, &door.egress);
    (ingress + egress > 0).then(|| {
        let [ingress, egress] = [ingress, egress].map(|packets| count(Some(packets)));
        let [down, up] = [&door.ingress, &door.egress].map(|it| rate(it.packets_per_second));
        format!("▼ +{ingress} ▲ +{egress} packets  ▼ {down}/s ▲ {up}/s")
    })
}
