//! Which doors did packets from A to B really cross, and were those the right ones?
//!
//! Three steps, of which only the middle one knows the kernel: what is expected ([`expectations`]), what
//! was observed ([`Observation`], from marked packets at the doors), and what follows from the two
//! ([`judge`], a pure function). Every view is a function of one [`Verdict`].

pub mod collect;
pub(crate) mod context;
mod expect;
mod judge;
mod observation;
pub mod plan;
mod route;
pub(crate) mod target;
mod verdict;

pub use collect::{Shape, hide};
pub use expect::{Hooks, Modes, candidates, expectations, nobody, not_expected};
pub use judge::{PASSIVE, judge, label};
pub use observation::{Answer, Crossing, Dropping, Found, Hidden, Observation, TunnelKey, Way};
pub use route::{Expectation, Mode, ModeSource, Party, Place, Route, Step};
pub use verdict::{
    CrossingRow, DropReason, Hop, Kind, Loss, Probes, SCHEMA, Traffic, Tunnel, Verdict,
};
