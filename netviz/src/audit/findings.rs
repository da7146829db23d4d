//! Plain data: what was found at the doors, and all of it together.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::model::{AuditedDoor, Chains};
use crate::{
    model::{Direction, DoorId, SourceStatus, Untrusted},
    sys::netns::NetNsId,
};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.audit/2";

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something does not do what it is there for, or may take packets away.
    Warning,
    /// Packets go where they should not, or nowhere.
    Error,
}

impl Severity {
    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// Identity of the door; not in the JSON form.
    #[serde(skip)]
    pub door: DoorId,
    /// Which rule: a name that stays what it is.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Name of the node.
    pub node: Untrusted,
    /// The door's pod.
    pub pod: Option<Untrusted>,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<Untrusted>,
    /// The door's interface.
    pub interface: Untrusted,
    /// Its index, in its own network namespace.
    pub ifindex: u32,
    /// Inode of its network namespace.
    pub netns: Option<NetNsId>,
    /// Which hook; `null` where it is about the door as a whole.
    pub direction: Option<Direction>,
    /// Ids of the programs that it is about.
    pub program_ids: Vec<u32>,
    /// What was found, in a sentence.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Threads and documents that explain it.
    pub explained_by: Vec<String>,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Doors that were looked at.
    pub doors: usize,
    /// Doors that could not be looked at.
    pub not_seen: usize,
    /// Findings of severity `error`.
    pub errors: usize,
    /// Findings of severity `warning`.
    pub warnings: usize,
    /// Findings of severity `info`.
    pub infos: usize,
}

/// All of it: the one input of the views.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Audit {
    /// `netviz.audit/2`.
    pub schema: String,
    /// Wall-clock time, UTC.
    pub taken_at: String,
    /// How much there is of what.
    pub summary: Summary,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Doors, with the programs at their hooks.
    pub doors: Vec<AuditedDoor>,
    /// What the reader should know about the set as a whole.
    pub notes: Vec<String>,
    /// Where the names come from.
    pub sources: Vec<SourceStatus>,
}

impl Audit {
    /// Puts together what is shown: `doors`, and the findings about them.
    #[must_use]
    pub fn new(taken_at: String, doors: Vec<AuditedDoor>, mut findings: Vec<Finding>) -> Self {
        let shown: BTreeSet<_> = doors.iter().map(|door| door.id).collect();
        findings.retain(|finding| shown.contains(&finding.door));
        let of = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let not_seen = doors.iter().filter(|door| door.chains.is_none()).count();
        let notes = without_tcx(&doors).into_iter().collect();
        Self {
            schema: SCHEMA.into(),
            taken_at,
            summary: Summary {
                doors: doors.len() - not_seen,
                not_seen,
                errors: of(Severity::Error),
                warnings: of(Severity::Warning),
                infos: of(Severity::Info),
            },
            findings,
            doors,
            notes,
            sources: Vec::new(),
        }
    }

    /// The worst that was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

fn without_tcx(doors: &[AuditedDoor]) -> Option<String> {
    let mut seen = doors.iter().filter_map(|door| door.chains.as_ref());
    let first = seen.next()?;
    let lacks = |chains: &Chains| chains.ingress.revision.is_none();
    (lacks(first) && seen.all(lacks)).then(|| {
        "this kernel has no tcx (Linux 6.6 or newer): only clsact filters can be attached"
            .to_owned()
    })
}
