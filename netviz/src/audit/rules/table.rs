//! The rules by name.

use crate::{
    audit::{
        findings::{Finding, Severity},
        model::{Attached, AuditedDoor},
    },
    model::Direction,
};

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
        $(pub(super) const $name: Rule = Rule {
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
        "A node has Cilium's devices but none of Cilium's programs.",
        ["microsoft/retina#1804", "cilium/cilium#28433"];
    CILIUM_MISSING = "cilium-missing", Error,
        "Cilium's program is missing at a hook where Cilium always has one, or has one at other interfaces of this kind.",
        ["cilium/cilium#28433", "microsoft/retina#1804", "DataDog/datadog-agent#13692"];
    FOREIGN_BEFORE_CILIUM = "foreign-before-cilium", Warning,
        "A foreign program runs before Cilium's: Cilium does not see the packets that it consumes.",
        ["microsoft/retina#252", "cilium/cilium#28433"];
    DEAD_PROGRAM = "dead-program", Warning,
        "A program is attached behind Cilium's, which ends the chain: it never runs.",
        ["microsoft/retina#1958"];
    DEAD_FILTER = "dead-filter", Warning,
        "A clsact filter is attached behind a tcx chain that Cilium's program ends: it never runs.",
        ["microsoft/retina#1958", "cilium/cilium#41393"];
    CILIUM_IN_BOTH = "cilium-in-both", Warning,
        "Cilium is attached to one hook through both tcx and clsact: one is left over from a migration.",
        ["cilium/cilium#41393"];
    CILIUM_PLACE_TAKEN = "cilium-place-taken", Warning,
        "A foreign filter has the priority and handle that Cilium uses for its own.",
        ["DataDog/datadog-agent#13692"];
    DUPLICATE_PROGRAM = "duplicate-program", Warning,
        "The same program is attached twice to one hook.",
        [];
    NETVIZ_LEFT_OVER = "netviz-left-over", Warning,
        "A clsact filter of a netviz that no longer runs.",
        [];
    FOREIGN_PROGRAM = "foreign-program", Info,
        "Another tool's program at a pod's interface, or another tool's XDP program.",
        [];
    ENDPOINT_ROUTES_MIXED = "endpoint-routes-mixed", Info,
        "Some pods of a node have endpoint routes and others do not.",
        [];
    UPLINK_WITHOUT_CILIUM = "uplink-without-cilium", Info,
        "An uplink without Cilium's program, beside one that has it.",
        [];
    NETKIT = "netkit", Info,
        "A netkit device, which drops a packet on an unknown return code.",
        ["aya-rs/aya#1540"];
    CHANGED_WHILE_LOOKING = "changed-while-looking", Info,
        "A hook changed during the audit.",
        [];
    NOT_SEEN = "not-seen", Info,
        "The programs at an interface could not be read.",
        [];
}

impl Rule {
    /// A finding by this rule.
    pub(super) fn at(
        &self,
        door: &AuditedDoor,
        direction: Option<Direction>,
        message: String,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding {
            door: door.id,
            rule: self.id.into(),
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
    pub(super) fn about<'a>(mut self, programs: impl IntoIterator<Item = &'a Attached>) -> Self {
        let ids = programs.into_iter().filter_map(|it| it.program_id);
        self.program_ids = ids.collect();
        self
    }

    pub(super) fn with(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }
}
