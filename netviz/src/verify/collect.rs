//! Observes packets at the hooks: the only part of `verify` that knows the kernel.

pub(crate) mod attached_programs;
pub(crate) mod cilium_drops;
pub mod crossings;
pub(crate) mod drop_names;
pub mod following;
mod fragments;
pub mod kernel_drops;
pub(crate) mod passive;
pub mod probe;
pub mod reading;
pub(crate) mod round;
pub(crate) mod watch_set;

pub use fragments::{Shape, hide};
