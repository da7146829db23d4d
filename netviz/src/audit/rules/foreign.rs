//! Other tools' programs at pods' interfaces, and their XDP programs.

use super::{hook::holders, table::FOREIGN_PROGRAM};
use crate::{
    audit::{
        findings::Finding,
        model::{Attached, AuditedDoor, Owner, Way},
    },
    model::{Direction, Role},
};

/// Those that no finding in `known` is about.
pub(super) fn judge(doors: &[AuditedDoor], known: &[Finding]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for door in doors {
        let at_pod = matches!(door.role, Role::Pod | Role::Health);
        for direction in Direction::BOTH {
            let hook = door.chains.as_ref().map(|chains| chains.hook(direction));
            let programs = hook.into_iter().flat_map(|hook| &hook.programs);
            let foreign = programs.filter(|it| {
                it.owner == Owner::Other
                    && (at_pod || it.way == Way::Xdp)
                    && !is_known(known, door, direction, it)
            });
            findings.extend(foreign.map(|it| finding(door, direction, it)));
        }
    }
    findings
}

fn is_known(known: &[Finding], door: &AuditedDoor, direction: Direction, it: &Attached) -> bool {
    let mut here = known
        .iter()
        .filter(|finding| finding.door == door.id && finding.direction == Some(direction));
    here.any(|finding| {
        finding
            .program_ids
            .iter()
            .any(|id| Some(*id) == it.program_id)
    })
}

fn finding(door: &AuditedDoor, direction: Direction, it: &Attached) -> Finding {
    let message = format!(
        "{} ({}) is neither Cilium's nor netviz's: it can drop, redirect or change packets. Whether it does is unknown.",
        it.name, it.way,
    );
    let inspect = match it.program_id {
        Some(id) => format!("bpftool prog dump xlated id {id}"),
        None => format!("tc -s filter show dev {} {direction}", door.label()),
    };
    let remedy = format!(
        "none needed if it is intended; inspect it: {inspect}{}",
        holders(it)
    );
    let finding = FOREIGN_PROGRAM.at(door, Some(direction), message, remedy);
    finding.about([it])
}
