//! TCP by the byte: segments are cut and merged on the way (GSO, GRO), but each byte is in exactly one
//! of them at each door. So the packet that contains a certain byte is followed.

use std::collections::BTreeMap;

use netviz_ebpf::follow::{Passed, mark_shift};

use super::{Alike, Known, hook, way};
use crate::verify::{collect::crossings::Sighting, observation::Way};

/// More bytes than a Linux packet can have (`GSO_MAX_SIZE`, 512 KiB): bounds the memory for the marks of
/// a malformed one.
const LONGEST: u32 = 1 << 24;

/// Adds the sightings of packets that contain it to each followed byte.
pub(super) fn mark<'a>(sightings: Vec<&'a Sighting<Passed>>, known: &Known, alike: &mut Alike<'a>) {
    let mut streams: BTreeMap<(Way, u64), Vec<&Sighting<Passed>>> = BTreeMap::new();
    for sighting in sightings {
        let key = (way(sighting), sighting.seen.identity);
        streams.entry(key).or_default().push(sighting);
    }
    for ((way, identity), stream) in streams {
        let marks = Marks::new(&stream, way, known);
        for sighting in stream {
            for mark in marks.within(&sighting.seen) {
                alike
                    .entry((way, identity, mark))
                    .or_default()
                    .push(sighting);
            }
        }
    }
}

/// The followed bytes of one stream.
enum Marks {
    /// The first of each packet as it left, sorted by their distance from one of them.
    Each { base: u32, distances: Vec<i64> },
    /// Those whose number is divisible by two to this power.
    Every { shift: u32 },
}

impl Marks {
    fn new(stream: &[&Sighting<Passed>], way: Way, known: &Known) -> Self {
        if known.level > 0 {
            return Self::Every {
                shift: mark_shift(known.level),
            };
        }
        let base = stream.first().map_or(0, |first| first.seen.start);
        let first = stream.first().map(|first| hook(first));
        let origins = &known.origins[way as usize];
        let leaves = |sighting: &&&Sighting<Passed>| {
            let here = hook(sighting);
            origins.contains(&here) || origins.is_empty() && Some(here) == first
        };
        let leaving = stream.iter().filter(leaves);
        let mut distances: Vec<_> = leaving
            .map(|sighting| distance(base, sighting.seen.start))
            .collect();
        distances.sort_unstable();
        distances.dedup();
        Self::Each { base, distances }
    }

    /// Numbers of the marked bytes that a packet contains.
    fn within(&self, packet: &Passed) -> Vec<u32> {
        let Passed { start, length, .. } = *packet;
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
