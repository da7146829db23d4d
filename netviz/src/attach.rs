//! Puts programs at the hooks of a door and keeps them there.
//!
//! One thread attaches and detaches: a tcx attachment costs the kernel an RCU grace period, about
//! 9 ms, and nothing else may wait for that. Every door gets a copy of the object with maps of its
//! own, so that no key can ever be confused.

pub(crate) mod attacher;
pub(crate) mod clsact;
mod errors;
pub(crate) mod expedite;
pub(crate) mod hook;
pub(crate) mod load;
mod tcx;

use std::io;

pub use attacher::AttachOptions;
pub use expedite::{GUARD_COMMAND, guard as expedite_guard};
pub use hook::AttachMode;

/// Why tracing could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The thread could not be started.
    #[error(transparent)]
    Thread(io::Error),
    /// The machine's RCU switch could not be set.
    #[error("cannot write to {path}; run without --fast-attach, or where /sys is writable")]
    Expedite {
        /// The switch.
        path: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}
