//! Doors without findings, many in one line.

use std::collections::BTreeMap;

use crate::{
    audit::{AuditedDoor, Hook, Way},
    model::{Direction, Role, Side},
    views::text::list,
};

/// Groups the doors of a node that have the same programs. Returns their names and the programs at
/// both hooks, in the order of the first door of each group.
pub(super) fn group(doors: &[&AuditedDoor]) -> Vec<[String; 3]> {
    let mut groups: BTreeMap<usize, Vec<&AuditedDoor>> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for (place, door) in doors.iter().enumerate() {
        let health = door.role == Role::Health;
        let role = if health { Role::Pod } else { door.role };
        let kind = door.kind.as_ref().map(ToString::to_string);
        let [ingress, egress] = chains(door);
        let first = *places
            .entry((door.side, role, kind, ingress, egress))
            .or_insert(place);
        groups.entry(first).or_default().push(door);
    }
    let line = |doors: &Vec<&AuditedDoor>| {
        let [ingress, egress] = chains(doors[0]);
        [label(doors), ingress, egress]
    };
    groups.values().map(line).collect()
}

fn label(doors: &[&AuditedDoor]) -> String {
    let number = doors.len();
    match (doors, doors[0].role, doors[0].side) {
        ([door], ..) => one(door),
        (_, Role::Pod | Role::Health, Side::Pod) => match &doors[0].kind {
            Some(kind) if kind.is_pair() => format!("the pods' ends of {number} {kind} pairs"),
            Some(kind) => format!("{number} {kind} interfaces of pods"),
            None => format!("{number} interfaces of pods"),
        },
        (_, Role::Pod | Role::Health, _) if doors[0].cilium => format!("{number} lxc devices"),
        (_, Role::Pod | Role::Health, _) => format!("the node's ends of {number} pods"),
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

fn chains(door: &AuditedDoor) -> [String; 2] {
    let chains = door.chains.as_ref();
    Direction::BOTH
        .map(|direction| chains.map_or_else(|| "?".into(), |chains| brief(chains.hook(direction))))
}

/// `netviz_ingress → cil_from_netdev`, or `none`.
pub(super) fn brief(hook: &Hook) -> String {
    if hook.programs.is_empty() {
        return "none".into();
    }
    let names = hook.programs.iter().map(|it| match it.way {
        Way::Tcx => it.name.to_string(),
        way => format!("{} ({way})", it.name),
    });
    list(names, " → ")
}
