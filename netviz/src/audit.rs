//! Who stands at each door, in which order, and what that means.
//!
//! [`inspect`] asks the kernel and gives plain data ([`Chains`]); [`judge`] is a function of plain
//! data alone. Nothing here attaches, changes or removes anything.

mod inspect;
mod model;
mod rules;

pub use inspect::{InspectError, Keepers, inspect};
pub use model::{
    Attached, Audit, AuditedDoor, Chains, FilterPlace, Finding, Hook, Owner, Process, SCHEMA,
    Severity, Summary, Way,
};
pub use rules::{RULES, Rule, judge};
