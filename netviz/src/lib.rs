//! netviz shows which doors of a Kubernetes node packets really cross.
//!
//! Data flows one way: [`sys`] and the kernel's hooks at the bottom, plain data in the middle,
//! views at the top. See `docs/architecture.md`.

pub mod lab;
pub mod objects;
pub mod sys;
