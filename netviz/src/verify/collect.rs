//! Observes packets at the hooks: the only part of `verify` that knows the kernel.

pub(crate) mod cilium_drops;
pub mod crossings;
pub mod following;
pub(crate) mod inspector;
pub mod kernel_drops;
pub mod probe;
pub mod reading;
pub(crate) mod routes;
