//! TCP by the byte: segments are cut and merged on the way (GSO, GRO), but each byte is in exactly one
//! of them at each door. So the packet that contains a certain byte is followed.

use std::collections::BTreeMap;

use netviz_ebpf::follow::{PairPacket, mark_shift};

use crate::verify::{Hook, collect::crossings::HookRecord};

/// More bytes than a Linux packet can have (`GSO_MAX_SIZE`, 512 KiB): bounds the memory for the marks of
/// a malformed one.
const LONGEST: u32 = 1 << 24;

/// The records of packets that contain it, by followed byte. `stream` is one way of one connection,
/// which leaves by the hooks `origins`.
pub(super) fn by_byte<'a>(
    stream: &[&'a HookRecord<PairPacket>],
    origins: &[Hook],
    level: u64,
) -> BTreeMap<u32, Vec<&'a HookRecord<PairPacket>>> {
    let marks = Marks::new(stream, origins, level);
    let mut bytes: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for record in stream {
        for mark in marks.within(&record.seen) {
            bytes.entry(mark).or_default().push(*record);
        }
    }
    bytes
}

/// The followed bytes of one stream.
enum Marks {
    /// The first of each packet as it left, sorted by their distance from one of them.
    Each { base: u32, distances: Vec<i64> },
    /// Those whose number is divisible by two to this power.
    Every { shift: u32 },
}

impl Marks {
    fn new(stream: &[&HookRecord<PairPacket>], origins: &[Hook], level: u64) -> Self {
        if level > 0 {
            let shift = mark_shift(level);
            return Self::Every { shift };
        }
        let first = stream.first();
        let base = first.map_or(0, |first| first.seen.start);
        let first = first.map(|first| first.hook());
        let leaves = |record: &&&HookRecord<PairPacket>| {
            let here = record.hook();
            origins.contains(&here) || origins.is_empty() && Some(here) == first
        };
        let leaving = stream.iter().filter(leaves);
        let distances = leaving.map(|record| distance(base, record.seen.start));
        let mut distances: Vec<_> = distances.collect();
        distances.sort_unstable();
        distances.dedup();
        Self::Each { base, distances }
    }

    /// Numbers of the marked bytes that a packet contains.
    fn within(&self, packet: &PairPacket) -> Vec<u32> {
        let PairPacket { start, length, .. } = *packet;
        match self {
            Self::Each { base, distances } => {
                let from = distance(*base, start);
                let until = from + i64::from(length);
                let first = distances.partition_point(|mark| *mark < from);
                let held = distances[first..].iter().take_while(|mark| **mark < until);
                held.map(|mark| base.wrapping_add(*mark as u32)).collect()
            }
            Self::Every { shift } => {
                let distance = 1_u32 << shift;
                let to_first = start.wrapping_neg() & (distance - 1);
                let ahead = (to_first..length.min(LONGEST)).step_by(distance as usize);
                ahead.map(|ahead| start.wrapping_add(ahead)).collect()
            }
        }
    }
}

/// Sequence numbers wrap around.
fn distance(base: u32, number: u32) -> i64 {
    i64::from(number.wrapping_sub(base).cast_signed())
}
