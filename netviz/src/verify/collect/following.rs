//! Recognises unmarked packets from door to door, and makes crossings of them.
//!
//! A marked packet carries its number; these are numbered as they leave. Several may have the same
//! identity (a datagram that is sent repeatedly, a retransmitted segment): they are assumed to arrive at
//! each door in the order in which they left, as in a queue.

mod stream;

use std::{collections::BTreeMap, time::Duration};

use netviz_ebpf::follow::{ASKS, IS_OUTER, IS_REPLY, IS_STREAM, Passed, is_chosen};

use super::crossings::{Sighting, Window};
use crate::verify::observation::{Crossing, Hook, Way};

/// How long after a packet left another with the same identity is taken for it.
const MOST_AGE: Duration = Duration::from_secs(1);
/// How long to wait for a reply at least.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is known in advance.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The hooks by which packets leave A, and B. If unknown or hidden, it is the hook that sees them
    /// first.
    pub origins: [Vec<Hook>; 2],
    /// When they have to leave.
    pub window: Window,
    /// The highest thinning level of all doors: all of them report the same packets at this level.
    pub level: u64,
}

/// Packets that were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// Each way numbered from 0, in the order in which they left.
    pub crossings: Vec<Crossing>,
    /// How many left A, and B.
    pub left: [u32; 2],
    /// How many of A's B has to answer, and left early enough.
    pub asked: u32,
    /// Packets that were not seen leaving their sender, by the hook that saw them first.
    pub strays: BTreeMap<(Way, Hook), u32>,
}

/// Sightings of one identity: the way, the packet or stream, and the byte of a stream.
type Alike<'a> = BTreeMap<(Way, u64, u32), Vec<&'a Sighting<Passed>>>;

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
    let mut alike: Alike<'_> = BTreeMap::new();
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
    let mut packets: Vec<(Way, Packet<'_>)> = Vec::new();
    for ((way, ..), sightings) in alike {
        let found = separated(&sightings, &known.origins[way as usize]);
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

fn numbered(packets: &[(Way, Packet<'_>)], known: &Known) -> Following {
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
        let left = &mut following.left[*way as usize];
        let number = *left;
        *left = number.saturating_add(1);
        let in_time = packet.began().saturating_add(PATIENCE) <= known.window.until;
        if *way == Way::Request && in_time && first.seen.flags & ASKS != 0 {
            following.asked = following.asked.saturating_add(1);
        }
        let crossings = packet.seen.iter();
        following
            .crossings
            .extend(crossings.map(|sighting| crossing(sighting, *way, number)));
    }
    following
}

fn crossing(sighting: &Sighting<Passed>, way: Way, sequence: u32) -> Crossing {
    Crossing {
        at: sighting.at(),
        door: sighting.door,
        direction: sighting.direction(),
        way,
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

    /// Its TTL when it last crossed a hook.
    fn ttl_at(&self, at: Hook) -> Option<u32> {
        let mut seen = self.seen.iter().rev();
        let last = seen.find(|sighting| hook(sighting) == at)?;
        Some(last.seen.ttl)
    }
}

/// Separates packets of the same identity. A sighting where packets leave begins another packet, unless
/// its TTL is lower: that one comes round again.
fn separated<'a>(sightings: &[&'a Sighting<Passed>], origins: &[Hook]) -> Vec<Packet<'a>> {
    let mut packets: Vec<Packet<'a>> = Vec::new();
    // The first packet that each hook has not seen.
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

fn way(sighting: &Sighting<Passed>) -> Way {
    match sighting.seen.flags & IS_REPLY {
        0 => Way::Request,
        _ => Way::Reply,
    }
}
