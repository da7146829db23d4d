//! What follows from expected and observed doors: properties over all cases that
//! were counted on a running Cilium.

mod properties;
