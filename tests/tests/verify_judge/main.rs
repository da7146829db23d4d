//! Verdicts from expected and observed doors: named cases, and properties of all cases measured on
//! a running Cilium.

mod cases;
mod elsewhere;
mod large;
mod properties;
