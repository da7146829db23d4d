//! Findings about the programs at the hooks: a function of plain data.
//!
//! Rules claim only what is known. What a foreign program returns is unknown, so no rule claims that
//! it ends a chain.

mod foreign;
mod hook;
mod node;
mod table;

use std::cmp::Reverse;

pub use table::{RULES, Rule};

use super::{
    findings::{Finding, Severity},
    model::AuditedDoor,
};
use crate::model::Direction;

/// Findings about these doors, the worst first, regardless of their order.
#[must_use]
pub fn judge(doors: &[AuditedDoor]) -> Vec<Finding> {
    let mut findings: Vec<_> = doors.iter().flat_map(hook::judge).collect();
    findings.extend(node::judge(doors));
    findings.extend(foreign::judge(doors, &findings));
    findings.sort_by(|a, b| key(a).cmp(&key(b)));
    findings
}

#[expect(clippy::type_complexity, reason = "a key to sort by, used once")]
fn key(
    it: &Finding,
) -> (
    Reverse<Severity>,
    &str,
    &str,
    u32,
    crate::model::DoorId,
    Option<Direction>,
    &str,
    &[u32],
    &str,
) {
    (
        Reverse(it.severity),
        it.node.raw(),
        it.interface.raw(),
        it.ifindex,
        it.door,
        it.direction,
        &it.rule,
        &it.program_ids,
        &it.message,
    )
}
