//! From what doors told of packets that were there anyway to crossings: which packet is which, from
//! door to door.
//!
//! A marked packet says its number; these are numbered as they leave. What tells them apart may be
//! the same for several (a datagram that is sent again and again, a segment that is repeated): at each
//! door they are taken to come in the order in which they left, as in a queue.

mod stream;

use std::{collections::BTreeMap, time::Duration};

use netviz_ebpf::follow::{ASKS, IS_OUTER, IS_REPLY, IS_STREAM, Passed, is_chosen};

use super::crossings::{Sighting, Window};
use crate::{
    model::{Direction, DoorId},
    verify::observation::{Crossing, Way},
};

/// So long after a packet left, another that looks the same is not taken for it any more.
const MOST_AGE: Duration = Duration::from_secs(1);
/// So long has an answer to come, at the least, before it is missed.
const PATIENCE: Duration = Duration::from_millis(500);

/// A door in one direction.
pub type Hook = (DoorId, Direction);

/// What is known beforehand.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// By which hooks packets leave A, and B. Where that is not known or cannot be seen, it is the
    /// hook at which they are seen first.
    pub origins: [Vec<Hook>; 2],
    /// When they had to leave.
    pub window: Window,
    /// The highest level of all doors: at this one all doors have told of the same packets.
    pub level: u64,
}

/// Packets that were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// Each way numbered from 0, in the order in which they left.
    pub crossings: Vec<Crossing>,
    /// How many left A, and B.
    pub left: [u32; 2],
    /// How many of A's had to be answered, and left early enough.
    pub asked: u32,
    /// Packets that were not seen where they should have left, by the hook that saw them first.
    pub strays: BTreeMap<(usize, Hook), u32>,
}

/// One packet, door by door.
struct Packet<'a> {
    seen: Vec<&'a Sighting<Passed>>,
    is_stray: bool,
}

/// Follows packets from door to door.
#[must_use]
pub fn follow(sightings: &[Sighting<Passed>], known: &Known) -> Following {
    let mut sightings: Vec<&Sighting<Passed>> = sightings.iter().collect();
    sightings.sort_by_key(|sighting| (sighting.at(), hook(sighting)));
    let mut alike: BTreeMap<(usize, u64, u32), Vec<&Sighting<Passed>>> = BTreeMap::new();
    let is_stream = |sighting: &&Sighting<Passed>| sighting.seen.flags & IS_STREAM != 0;
    let (streams, others): (Vec<&Sighting<Passed>>, Vec<&Sighting<Passed>>) =
        sightings.into_iter().partition(is_stream);
    for sighting in others {
        if is_chosen(sighting.seen.identity, known.level) {
            let key = (way(sighting), sighting.seen.identity, 0);
            alike.entry(key).or_default().push(sighting);
        }
    }
    stream::mark(streams, known, &mut alike);
    let mut packets: Vec<(usize, Packet<'_>)> = Vec::new();
    for ((way, ..), sightings) in alike {
        let found = told_apart(&sightings, &known.origins[way]);
        packets.extend(found.into_iter().map(|packet| (way, packet)));
    }
    let within = |packet: &Packet<'_>| {
        let began = packet.began();
        known.window.from <= began && began < known.window.until
    };
    packets.retain(|(_, packet)| within(packet));
    packets.sort_by_key(|(_, packet)| packet.began());
    numbered(&packets, known)
}

fn numbered(packets: &[(usize, Packet<'_>)], known: &Known) -> Following {
    let mut following = Following::default();
    for (way, packet) in packets {
        let Some(first) = packet.seen.first() else {
            continue;
        };
        if packet.is_stray {
            let strays = following.strays.entry((*way, hook(first))).or_default();
            *strays = strays.saturating_add(1);
            continue;
        }
        let number = following.left[*way];
        following.left[*way] = number.saturating_add(1);
        let in_time = packet.began().saturating_add(PATIENCE) <= known.window.until;
        if *way == 0 && in_time && first.seen.flags & ASKS != 0 {
            following.asked = following.asked.saturating_add(1);
        }
        let crossings = packet.seen.iter();
        following
            .crossings
            .extend(crossings.map(|sighting| crossing(sighting, *way, number)));
    }
    following
}

fn crossing(sighting: &Sighting<Passed>, way: usize, sequence: u32) -> Crossing {
    Crossing {
        at: sighting.at(),
        door: sighting.door,
        direction: sighting.direction(),
        way: if way == 0 { Way::Request } else { Way::Reply },
        sequence,
        outer: sighting.seen.flags & IS_OUTER != 0,
        fragment: false,
        tunnel: sighting.tunnel(),
    }
}

impl Packet<'_> {
    fn began(&self) -> Duration {
        self.seen.first().map_or(Duration::ZERO, |first| first.at())
    }

    /// With which TTL it crossed a hook last.
    fn ttl_at(&self, at: Hook) -> Option<u32> {
        let mut seen = self.seen.iter().rev();
        let last = seen.find(|sighting| hook(sighting) == at)?;
        Some(last.seen.ttl)
    }
}

/// Tells packets apart that look the same. Where one leaves, another one begins, but for one that
/// comes round again, which has a lower TTL then.
fn told_apart<'a>(sightings: &[&'a Sighting<Passed>], origins: &[Hook]) -> Vec<Packet<'a>> {
    let mut packets: Vec<Packet<'a>> = Vec::new();
    // The first packet that each hook has not seen yet.
    let mut next: BTreeMap<Hook, usize> = BTreeMap::new();
    let first = sightings.first().map(|first| hook(first));
    let mut oldest = 0;
    for sighting in sightings {
        let here = hook(sighting);
        let leaves = if origins.is_empty() {
            Some(here) == first
        } else {
            origins.contains(&here)
        };
        if leaves {
            match packets.last_mut() {
                Some(last) if last.ttl_at(here) > Some(sighting.seen.ttl) => {
                    last.seen.push(sighting);
                }
                _ => packets.push(Packet {
                    seen: vec![sighting],
                    is_stray: false,
                }),
            }
            continue;
        }
        let young = |packet: &Packet<'_>| packet.began().saturating_add(MOST_AGE) >= sighting.at();
        while packets.get(oldest).is_some_and(|packet| !young(packet)) {
            oldest += 1;
        }
        let place = next.entry(here).or_default();
        *place = (*place).max(oldest);
        if let Some(packet) = packets.get_mut(*place) {
            packet.seen.push(sighting);
            *place += 1;
        } else if let Some(last) = packets.last_mut().filter(|last| young(last)) {
            last.seen.push(sighting);
        } else {
            packets.push(Packet {
                seen: vec![sighting],
                is_stray: true,
            });
            *place = packets.len();
        }
    }
    packets
}

fn hook(sighting: &Sighting<Passed>) -> Hook {
    (sighting.door, sighting.direction())
}

fn way(sighting: &Sighting<Passed>) -> usize {
    usize::from(sighting.seen.flags & IS_REPLY != 0)
}
