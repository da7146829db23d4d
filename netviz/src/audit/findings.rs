//! Plain data: findings about doors, and a whole audit.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{AuditedDoor, Chains};
use crate::{
    model::{Direction, DoorId, SourceStatus, Untrusted},
    sys::netns::NetNsId,
};

/// Name and version of the JSON form.
pub const SCHEMA: &str = "netviz.audit/2";

/// Severity of a finding.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A program has no effect, or may consume packets.
    Warning,
    /// Packets take a wrong path, or none.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Identity of the door.
    pub door: DoorId,
    /// Name of the rule, which never changes.
    pub rule: String,
    /// Its severity.
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
    /// Which hook; `null` for the whole door.
    pub direction: Option<Direction>,
    /// IDs of the programs concerned.
    pub program_ids: Vec<u32>,
    /// The finding in one sentence.
    pub message: String,
    /// The remedy.
    pub remedy: String,
    /// Issues and documents that explain it.
    pub explained_by: Vec<String>,
}

/// Numbers of doors and findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Inspected doors.
    pub doors: usize,
    /// Doors that could not be inspected.
    pub not_seen: usize,
    /// Findings of severity `error`.
    pub errors: usize,
    /// Findings of severity `warning`.
    pub warnings: usize,
    /// Findings of severity `info`.
    pub infos: usize,
}

/// A whole audit: the input of the views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// `netviz.audit/2`.
    pub schema: String,
    /// Wall-clock time, UTC.
    pub taken_at: String,
    /// Numbers of doors and findings.
    pub summary: Summary,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Doors, with the programs at their hooks.
    pub doors: Vec<AuditedDoor>,
    /// Remarks about the whole.
    pub notes: Vec<String>,
    /// The sources of the names.
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
