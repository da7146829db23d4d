//! The interfaces at which flows are counted.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{DoorId, DoorState, Role, Side, Snapshot, State},
    views::filter::Filter,
};

/// The interfaces that `filter` selects. Unless it names devices, of those the ends of paths.
#[must_use]
pub fn interfaces(snapshot: &Snapshot, filter: &Filter) -> HashSet<DoorId> {
    if filter.names_devices() {
        let selected = snapshot.doors.iter().filter(|door| filter.fits(door));
        return selected.map(|door| door.id).collect();
    }
    ends(snapshot, |door| filter.fits(door))
}

/// The ends of paths: the own interfaces of pods, and uplinks. What crosses other interfaces is the same
/// packets again, at the same cost.
pub(in crate::views) fn ends(
    snapshot: &Snapshot,
    is_selected: impl Fn(&DoorState) -> bool,
) -> HashSet<DoorId> {
    let ends = snapshot.pairs.iter().map(|pair| pair.ends);
    let ends = ends.flat_map(|[a, b]| [(a, b), (b, a)]);
    let peers: HashMap<DoorId, DoorId> = ends.collect();
    let inside = snapshot.doors.iter().filter(|door| is_own(door));
    let inside: HashSet<DoorId> = inside.map(|door| door.id).collect();
    let is_end = |door: &&DoorState| match (door.side, door.role) {
        (Side::Pod, _) => inside.contains(&door.id),
        (Side::Node, Role::Uplink) => true,
        // The nearest to a pod that cannot be entered.
        (Side::Node, Role::Pod) => {
            let peer = peers.get(&door.id);
            peer.is_none_or(|peer| !inside.contains(peer))
        }
        _ => false,
    };
    let selected = snapshot.doors.iter().filter(|door| is_selected(door));
    let selected = selected.filter(|door| door.state != State::Gone);
    selected.filter(is_end).map(|door| door.id).collect()
}

/// Whether it is an interface of a pod that can be observed.
fn is_own(door: &DoorState) -> bool {
    door.side == Side::Pod && door.netns.is_some()
}
