//! Which doors did packets from A to B really cross, and were those the right ones?
//!
//! Three steps, of which only the middle one knows the kernel: what is expected ([`expectations`]), what
//! was observed ([`Observation`], from marked packets at the doors), and what follows from the two
//! ([`judge`], a pure function). Every view is a function of one [`Verdict`].

mod doors;
mod expect;
pub mod following;
mod fragments;
mod halves;
mod judge;
mod mode;
mod nobody;
mod observation;
pub mod plan;
pub mod probe;
pub mod reading;
mod route;
mod verdict;

pub use expect::{expectations, not_expected};
pub use fragments::{Shape, hide};
pub use judge::{PASSIVE, judge, label};
pub use mode::{Hooks, Modes, candidates};
pub use nobody::nobody;
pub use observation::{Answer, Crossing, Dropping, Found, Hidden, Observation, TunnelKey, Way};
pub use route::{Expectation, Mode, ModeSource, Party, Place, Route, Step};
pub use verdict::{
    CrossingRow, DropReason, Hop, Kind, Loss, Probes, SCHEMA, Traffic, Tunnel, Verdict,
};
