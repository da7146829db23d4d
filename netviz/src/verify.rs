//! Which doors do packets from A to B cross, and are those the expected ones?
//!
//! [`expectations`] returns the expected path, `collect` observes packets at the hooks
//! ([`Observation`]), and [`judge`], a pure function, compares the two. Only `collect` knows the kernel;
//! `run` puts the steps together. Every view is a function of a [`Verdict`].

mod cause;
pub mod collect;
pub(crate) mod context;
mod expect;
mod facts;
mod history;
mod judge;
pub mod lookups;
mod observation;
pub mod plan;
mod protocol;
mod route;
pub(crate) mod run;
pub(crate) mod target;
mod verdict;

pub use cause::{Cause, DropReason, Interface, Location, Program};
pub use expect::{
    Modes, Shape, candidates, expectations, hide, kernel_path, not_expected, unassigned,
};
pub use facts::{BackendShare, Detour, Doubt, HiddenReason, Note, RowNote, Way};
pub use history::{Change, History, Outage, PathHook, Round, Why};
pub use judge::{BackendPaths, distribute, judge};
pub use observation::{
    Answer, CiliumDrops, Crossing, Dropping, Found, Hidden, Hook, Hooks, Observation, Refusal,
    ReplyKind, TunnelKey,
};
pub use protocol::Protocol;
pub use route::{
    Backend, Expectation, Mode, ModeSource, NextHop, Party, Place, Route, Routes, Step,
};
pub use verdict::{
    CrossingRow, Hop, Kind, Loss, Probes, SCHEMA, TestResult, Traffic, Tunnel, Verdict,
};
