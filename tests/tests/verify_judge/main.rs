//! Verdicts from expected and observed doors: named cases, and properties of all cases measured on
//! a running Cilium.

mod backends;
mod cases;
mod causes;
mod fragments;
mod history;
mod properties;
mod unknown_targets;
