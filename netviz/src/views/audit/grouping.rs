//! Doors about which there is nothing to be said, many in one line.

use std::collections::BTreeMap;

use crate::{
    audit::{AuditedDoor, Hook, Way},
    model::{Direction, Role, Side},
    views::text::list,
};

/// Doors of one node at which the same programs stand.
pub(super) struct Fold {
    pub(super) doors: String,
    pub(super) ingress: String,
    pub(super) egress: String,
}

/// In the order in which the doors are given, by the first of each line.
pub(super) fn fold(doors: &[&AuditedDoor]) -> Vec<Fold> {
    let mut groups: BTreeMap<usize, Vec<&AuditedDoor>> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for (place, door) in doors.iter().enumerate() {
        let health = door.role == Role::Health;
        let role = if health { Role::Pod } else { door.role };
        let alike = (
            door.side,
            role,
            chain(door, Direction::Ingress),
            chain(door, Direction::Egress),
        );
        let first = *places.entry(alike).or_insert(place);
        groups.entry(first).or_default().push(door);
    }
    let line = |doors: &Vec<&AuditedDoor>| Fold {
        doors: label(doors),
        ingress: chain(doors[0], Direction::Ingress),
        egress: chain(doors[0], Direction::Egress),
    };
    groups.values().map(line).collect()
}

fn label(doors: &[&AuditedDoor]) -> String {
    let first = doors[0];
    let number = doors.len();
    match (number, first.role, first.side) {
        (1, ..) => one(first),
        (_, Role::Pod | Role::Health, Side::Pod) => {
            format!("the pods' ends of {number} veth pairs")
        }
        (_, Role::Pod | Role::Health, _) => format!("{number} lxc devices"),
        _ => list(doors.iter().map(|door| door.label()), ", "),
    }
}

/// `lxc174c023046ff  networking101/busybox-…`
pub(super) fn one(door: &AuditedDoor) -> String {
    let what = match (door.pod_label(), door.side, door.role) {
        (Some(pod), ..) => pod.to_string(),
        (None, Side::Host, _) => "outside of the node".to_owned(),
        (None, Side::Pod, Role::Health) => "Cilium's health endpoint".to_owned(),
        (None, _, Role::Uplink) => "uplink".to_owned(),
        _ => return door.label().to_string(),
    };
    format!("{}  {what}", door.label())
}

fn chain(door: &AuditedDoor, direction: Direction) -> String {
    let chains = door.chains.as_ref();
    chains.map_or_else(|| "?".into(), |chains| brief(chains.hook(direction)))
}

/// `netviz_ingress → cil_from_netdev`, or that there is none.
pub(super) fn brief(hook: &Hook) -> String {
    let names = hook.programs.iter().map(|it| match it.way {
        Way::Tcx => it.name.to_string(),
        way => format!("{} ({})", it.name, way.name()),
    });
    let names: Vec<_> = names.collect();
    match names.is_empty() {
        true => "none".into(),
        false => names.join(" → "),
    }
}
