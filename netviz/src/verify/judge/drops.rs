//! Packets that the kernel dropped, by reason.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use super::outcomes::Evidence;
use crate::verify::{observation::Way, verdict::DropReason};

/// Reasons, and how many packets each.
#[derive(Default)]
pub(super) struct Drops(BTreeMap<DropReason, u32>);

impl Drops {
    /// Adds the drop of a packet after it was last seen: an earlier one is of a copy, or of a packet
    /// that was delivered.
    pub(super) fn add(&mut self, evidence: &Evidence<'_>, packet: u32, way: Way) {
        let last = |way| {
            let walk = evidence.trail(way).walks.get(&packet)?;
            Some(walk.ended)
        };
        let seen = match way {
            Way::Request => last(Way::Request),
            Way::Reply => last(Way::Reply).or(last(Way::Request)),
        };
        let seen = seen.unwrap_or(Duration::ZERO);
        let drops = evidence.observation.drops.iter();
        let behind = drops.filter(|drop| drop.sequence == packet && drop.at >= seen);
        if let Some(first) = behind.min_by_key(|drop| drop.at) {
            *self.0.entry(first.reason.clone()).or_default() += 1;
        }
    }

    /// All reasons, the most frequent first.
    pub(super) fn sorted(self) -> Vec<DropReason> {
        let counted = |(reason, packets)| DropReason { packets, ..reason };
        let mut all: Vec<_> = self.0.into_iter().map(counted).collect();
        all.sort_by_key(|reason| Reverse(reason.packets));
        all
    }
}
