//! What follows from expected and observed doors: cases by name, and properties over all cases that
//! were counted on a running Cilium.

mod cases;
mod elsewhere;
mod large;
mod properties;
