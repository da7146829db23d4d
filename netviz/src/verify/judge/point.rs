//! The place of a loss.

use super::{outcomes::Evidence, trail::Trail};
use crate::{model::DoorId, verify::DropReason};

/// Where packets ended.
#[derive(Clone, Copy)]
pub(super) struct Point<'a> {
    pub(super) evidence: &'a Evidence<'a>,
    pub(super) trail: &'a Trail,
    /// The last line that saw them.
    pub(super) after: Option<usize>,
    /// The line that should be next.
    pub(super) before: Option<usize>,
    /// How many.
    pub(super) packets: u32,
    /// One of them; `None` if no door saw them.
    pub(super) packet: Option<u32>,
}

/// A drop, and the device at which it happened.
pub(super) type Dropped = (DropReason, Option<DoorId>);
