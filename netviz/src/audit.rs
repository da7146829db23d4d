//! The programs at each door, in run order, and what is wrong with them.
//!
//! [`inspect()`] reads the kernel into plain data ([`Chains`]); [`judge`] is a pure function of that data.
//! Nothing here attaches, changes or removes programs.

mod findings;
pub mod inspect;
mod model;
mod rules;

pub use findings::{Audit, Finding, SCHEMA, Severity, Summary};
pub use inspect::{InspectError, Keepers, inspect};
pub use model::{Attached, AuditedDoor, Chains, FilterPlace, Hook, Owner, Process, Way};
pub use rules::{RULES, Rule, judge};
