//! Path tests as code: a file lists pairs, and what to expect of each.
//!
//! Three pure functions: [`parse`] makes a [`Plan`] of a text, [`expand`] makes [`PlannedPair`]s of a plan
//! and the pods that exist, and [`check`] makes a [`TestResult`] of a pair and its verdict.

mod check;
mod expand;
mod file;
mod read;

pub use check::check;
pub use expand::{MOST_PAIRS, all, expand};
pub use file::{DoorPattern, End, Limits, Plan, Selector, Test};
pub use read::{MOST_BYTES, parse, read};

use std::sync::Arc;

use super::{Note, Route};
pub use super::{protocol::Protocol, verdict::TestResult};
use crate::model::safe;

/// One pair of a test. Its ends are identities: they are not looked up again by a name or an address.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPair {
    /// Its test: the probes, and what to expect.
    pub test: Arc<Test>,
    /// A and B, with addresses of one family: each family is a pair of its own.
    pub route: Route,
    /// The protocol to send: the test's, or that of a service.
    pub protocol: Protocol,
    /// B's port.
    pub port: Option<u16>,
    /// How the ends were chosen.
    pub notes: Vec<Note>,
}

/// An invalid plan: where, what, and the remedy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {what}; {remedy}")]
pub struct PlanError {
    /// `paths.yaml:3:11`, or which test of it.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl PlanError {
    fn new(place: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: safe(place),
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}
