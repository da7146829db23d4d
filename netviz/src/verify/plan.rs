//! Path tests as code: a file says which pairs are to be tried, and what is to come of it.
//!
//! Three steps, each a pure function: a text becomes a [`Plan`] ([`parse`]), a plan and the pods
//! that are there become [`PlannedPair`]s ([`expand`]), a pair and its verdict an [`Outcome`] ([`check`]).

mod check;
mod expand;
mod file;
mod read;

pub use check::{Outcome, check};
pub use expand::{MOST_PAIRS, all, expand};
pub use file::{DoorPattern, End, Expected, Limits, Plan, Selector, Test};
pub use read::{MOST_BYTES, parse, read};

use std::net::IpAddr;

pub use super::collect::probe::Protocol;

/// One pair to be tried, and what is to come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedPair {
    /// Name of the test that asked for it.
    pub test: Option<String>,
    /// A, as the command takes it: `namespace/pod`, `node/NAME`, an address.
    pub from: String,
    /// A's address, where a pod was selected: of several families, each is a pair of its own.
    pub from_address: Option<IpAddr>,
    /// B; also a service or an address outside.
    pub to: String,
    /// B's address, of the same family.
    pub to_address: Option<IpAddr>,
    /// What is sent.
    pub protocol: Protocol,
    /// Destination port.
    pub port: Option<u16>,
    /// How many packets.
    pub count: u32,
    /// Length of the IP packet in bytes.
    pub size: Option<u16>,
    /// What is to come of it.
    pub wanted: Wanted,
}

/// What is to come of a pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The verdict; where none is named, `verified`, or with a list of doors, delivered.
    pub verdict: Option<Expected>,
    /// The doors that packets are to cross from A to B, all of them and in this order.
    pub doors: Option<Vec<DoorPattern>>,
    /// How long a round trip may take.
    pub round_trip: Limits,
}

/// A plan that cannot be followed: where, what, and the remedy.
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
