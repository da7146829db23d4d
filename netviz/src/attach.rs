//! Attaches programs to the hooks of doors, and keeps them attached.
//!
//! An `Object` describes what is attached. The `Engine` attaches copies of it and inspects the other
//! programs at the hooks. The `Attacher` keeps the copies attached, on its own thread: a tcx
//! attachment takes one RCU grace period, about 9 ms, which must delay nothing else.

pub(crate) mod attached;
pub(crate) mod attacher;
pub mod clsact;
pub(crate) mod engine;
pub(crate) mod errors;
pub(crate) mod expedite;
pub(crate) mod linked;
pub(crate) mod object;
mod tcx;

use std::io;

pub use attached::AttachMode;
pub use expedite::{GUARD_COMMAND, guard as expedite_guard};

/// How to attach.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttachOptions {
    /// Have the kernel end RCU grace periods at once while there is much to attach.
    pub fast: bool,
    /// Use this way instead of the one that the kernel offers.
    pub mode: Option<AttachMode>,
}

impl AttachOptions {
    /// Returns the options of a command. `NETVIZ_ATTACH=tcx|clsact` in the environment selects the way.
    pub(crate) fn of_command(fast: bool) -> Self {
        let mode = match std::env::var("NETVIZ_ATTACH").as_deref() {
            Ok("tcx") => Some(AttachMode::Tcx),
            Ok("clsact") => Some(AttachMode::Clsact),
            _ => None,
        };
        Self { fast, mode }
    }
}

/// Why attaching could not begin.
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
        /// The kernel's error.
        source: io::Error,
    },
}
