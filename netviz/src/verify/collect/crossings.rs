//! Reports packets at the doors: what `netviz verify` observes.
//!
//! As for counting, every door gets a copy of the object, so that the ring buffer of a record names the
//! door. One thread attaches, reads the ring buffers, and detaches however it ends.

mod collector;
mod pair;
mod record;
mod watcher;

pub(crate) use collector::Collector;
pub use collector::{Marks, Totals};
pub use pair::{AddressPair, Window};
pub use record::HookRecord;
pub(crate) use watcher::{Ready, Sightings, Summary, Watcher};
