//! What it means who stands where: a function of plain data.
//!
//! Rules say what is known. What a program of somebody else's returns cannot be known without
//! reading it, so no rule says that it ends a chain.

mod hook;
mod node;

use std::cmp::Reverse;

use super::{
    findings::{Finding, Severity},
    model::{Attached, AuditedDoor},
};
use crate::model::Direction;

/// One rule: its name stays what it is, for scripts and for SARIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// How much it matters, as a rule.
    pub severity: Severity,
    /// What it finds, in a sentence.
    pub summary: &'static str,
    /// Threads that explain it, `owner/repository#number`.
    pub explained_by: &'static [&'static str],
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $summary:literal, [$($thread:literal),*];)*) => {
        $(const $name: Rule = Rule {
            id: $id,
            severity: Severity::$severity,
            summary: $summary,
            explained_by: &[$($thread),*],
        };)*
        /// All rules, the worst first.
        pub const RULES: &[Rule] = &[$($name),*];
    };
}

rules! {
    NO_CILIUM = "no-cilium", Error,
        "A node has Cilium's devices, and none of Cilium's programs on any of them.",
        ["microsoft/retina#1804", "cilium/cilium#28433"];
    CILIUM_MISSING = "cilium-missing", Error,
        "Cilium's program is missing at a hook where Cilium always has one, or has one at the other doors of this kind.",
        ["cilium/cilium#28433", "microsoft/retina#1804", "DataDog/datadog-agent#13692"];
    FOREIGN_BEFORE_CILIUM = "foreign-before-cilium", Warning,
        "Somebody else's program runs before Cilium's: what it ends, Cilium never sees.",
        ["microsoft/retina#252", "cilium/cilium#28433"];
    DEAD_PROGRAM = "dead-program", Warning,
        "A program stands behind Cilium's, which ends the chain: it never runs.",
        ["microsoft/retina#1958"];
    DEAD_FILTER = "dead-filter", Warning,
        "A clsact filter stands behind a tcx chain that Cilium's program ends: it never runs.",
        ["microsoft/retina#1958", "cilium/cilium#41393"];
    CILIUM_IN_BOTH = "cilium-in-both", Warning,
        "Cilium stands at one hook in tcx and in clsact: the filter is left over from a switch.",
        ["cilium/cilium#41393"];
    CILIUM_PLACE_TAKEN = "cilium-place-taken", Warning,
        "Somebody else's filter has the priority and the handle at which Cilium puts its own.",
        ["DataDog/datadog-agent#13692"];
    DUPLICATE_PROGRAM = "duplicate-program", Warning,
        "The same program stands twice at one hook.",
        [];
    NETVIZ_LEFT_OVER = "netviz-left-over", Warning,
        "A clsact filter of a netviz that does not run any more.",
        [];
    ENDPOINT_ROUTES_MIXED = "endpoint-routes-mixed", Info,
        "Some pods of a node have endpoint routes and others have not.",
        [];
    UPLINK_WITHOUT_CILIUM = "uplink-without-cilium", Info,
        "A device to the network that Cilium does not stand at, beside one that it does.",
        [];
    NETKIT = "netkit", Info,
        "A netkit device, which drops a packet on an unknown return code.",
        ["aya-rs/aya#1540"];
    CHANGED_WHILE_LOOKING = "changed-while-looking", Info,
        "A hook was changed while it was looked at.",
        [];
    NOT_SEEN = "not-seen", Info,
        "A door at which it could not be seen who stands there.",
        [];
}

/// What is to be said of these doors, the worst first; the order in which they are given is of no
/// matter.
#[must_use]
pub fn judge(doors: &[AuditedDoor]) -> Vec<Finding> {
    let mut findings: Vec<_> = doors.iter().flat_map(hook::judge).collect();
    findings.extend(node::judge(doors));
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
        it.rule,
        &it.program_ids,
        &it.message,
    )
}

impl Rule {
    /// A finding by this rule.
    fn at(
        &self,
        door: &AuditedDoor,
        direction: Option<Direction>,
        message: String,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding {
            door: door.id,
            rule: self.id,
            severity: self.severity,
            node: door.node.clone(),
            pod: door.pod.clone(),
            namespace: door.namespace.clone(),
            interface: door.label(),
            ifindex: door.ifindex,
            netns: door.netns,
            direction,
            program_ids: Vec::new(),
            message,
            remedy: remedy.into(),
            explained_by: self
                .explained_by
                .iter()
                .map(|it| (*it).to_owned())
                .collect(),
        }
    }
}

impl Finding {
    /// About these programs.
    fn about<'a>(mut self, programs: impl IntoIterator<Item = &'a Attached>) -> Self {
        let ids = programs.into_iter().filter_map(|it| it.program_id);
        self.program_ids = ids.collect();
        self
    }

    fn with(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}
