//! What the node has, what it is called and what was counted, as one stream of snapshots.
//!
//! A view reads a [`Feed`] and nothing else, so it works on every source of snapshots.

mod assemble;
mod cluster;
mod gone;
mod live;

use std::sync::Arc;

use anyhow::Result;
pub use assemble::assemble;
pub(crate) use assemble::uncounted;
pub(crate) use cluster::{ClusterWatch, NAMES_LIMIT, NEEDED_NAMES_LIMIT};
pub(crate) use live::{FeedOptions, FlowSwitch, Live, Pace};

use crate::model::Snapshot;

/// A stream of snapshots.
pub trait Feed {
    /// Waits for the next snapshot; `None` at the end. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When there can be no further snapshot.
    fn next(&mut self) -> impl Future<Output = Result<Option<Arc<Snapshot>>>>;

    /// The snapshot that the reader still needs when a signal ends the stream early, if any.
    ///
    /// # Errors
    /// As [`Self::next`].
    fn last(&mut self) -> impl Future<Output = Result<Option<Arc<Snapshot>>>> {
        std::future::ready(Ok(None))
    }
}
