//! Path tests as code: a file lists pairs, and what to expect of each.
//!
//! Three pure functions: [`parse`] makes a [`Plan`] of a text, [`expand`] makes [`PlannedPair`]s of a plan
//! and the pods that exist, and [`check`] makes an [`Outcome`] of a pair and its verdict.

mod check;
mod expand;
mod file;
mod read;

pub use check::{Outcome, check};
pub use expand::{MOST_PAIRS, all, expand};
pub use file::{DoorPattern, End, Limits, Plan, Selector, Test};
pub use read::{MOST_BYTES, parse, read};

use std::net::IpAddr;

pub use super::protocol::Protocol;
use super::verdict::Kind;

/// One pair, and what to expect of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPair {
    /// Name of its test.
    pub test: Option<String>,
    /// A, as on the command line: `namespace/pod`, `node/NAME`, an address.
    pub from: String,
    /// A's address if it is a selected pod: each address family is a pair of its own.
    pub from_address: Option<IpAddr>,
    /// B, which can also be a service or an external address.
    pub to: String,
    /// B's address, of the same family.
    pub to_address: Option<IpAddr>,
    /// The protocol to send.
    pub protocol: Protocol,
    /// Destination port.
    pub port: Option<u16>,
    /// How many packets.
    pub count: u32,
    /// Length of the IP packet in bytes.
    pub size: Option<u16>,
    /// What to expect.
    pub wanted: Wanted,
}

/// What to expect of a pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The verdict; the default is `verified`, or with a list of doors, delivered.
    pub verdict: Option<Kind>,
    /// All doors that packets have to cross from A to B, in order.
    pub doors: Option<Vec<DoorPattern>>,
    /// How long a round trip may take.
    pub round_trip: Limits,
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
