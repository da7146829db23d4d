//! netviz shows which doors of a Kubernetes node packets really cross.
//!
//! Data flows one way: [`sys`] and the kernel's hooks at the bottom, plain data in the middle,
//! views at the top. See `docs/architecture.md`.

pub mod app;
pub mod audit;
pub mod cli;
pub mod discover;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod fuzz;
pub mod lab;
pub mod model;
pub mod objects;
pub mod preflight;
pub mod sys;
pub mod trace;
pub mod verify;
pub mod views;
