//! Recognises unmarked packets from door to door, and makes crossings of them.
//!
//! A marked packet carries its number; these are numbered as they leave. Several may have the same
//! identity (a datagram that is sent repeatedly, a retransmitted segment): they are assumed to arrive at
//! each door in the order in which they left, as in a queue.

mod stream;

use std::{collections::BTreeMap, time::Duration};

use netviz_ebpf::follow::{ASKS, IS_OUTER, IS_REPLY, IS_STREAM, PairPacket, is_chosen};

use super::crossings::{HookRecord, Window};
use crate::verify::{Crossing, Hook, Way};

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
    /// The highest sampling level of all doors: all of them report the same packets at this level.
    pub level: u64,
}

/// Packets that were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Following {
    /// Each way numbered from 0, in the order in which they left.
    pub crossings: Vec<Crossing>,
    /// How many left A, and B.
    pub left: [u32; 2],
    /// Packets of A that B must answer and that left early enough.
    pub asked: u32,
    /// Packets that were not seen leaving their sender, by the hook that saw them first.
    pub strays: BTreeMap<(Way, Hook), u32>,
}

/// One packet, door by door. There is always a first one.
struct Packet<'a> {
    way: Way,
    seen: Vec<&'a HookRecord<PairPacket>>,
    is_stray: bool,
}

/// Follows packets from door to door.
pub fn follow(records: &[HookRecord<PairPacket>], known: &Known) -> Following {
    let mut records: Vec<&HookRecord<PairPacket>> = records.iter().collect();
    records.sort_by_key(|record| (record.at(), record.hook()));
    // By way and identity: packets that look alike, and streams.
    let mut packets: BTreeMap<(Way, u64), Vec<_>> = BTreeMap::new();
    let mut streams = packets.clone();
    for record in records {
        let way = match record.seen.flags & IS_REPLY {
            0 => Way::Request,
            _ => Way::Reply,
        };
        let key = (way, record.seen.identity);
        if record.seen.flags & IS_STREAM != 0 {
            streams.entry(key).or_default().push(record);
        } else if is_chosen(record.seen.identity, known.level) {
            packets.entry(key).or_default().push(record);
        }
    }
    let mut all = Vec::new();
    for ((way, _), alike) in &packets {
        all.extend(separated(*way, alike, known));
    }
    for ((way, _), stream) in &streams {
        let origins = &known.origins[*way as usize];
        for alike in stream::by_byte(stream, origins, known.level).values() {
            all.extend(separated(*way, alike, known));
        }
    }
    let within = |packet: &Packet<'_>| {
        let began = packet.began();
        known.window.from <= began && began < known.window.until
    };
    all.retain(within);
    all.sort_by_key(Packet::began);
    numbered(&all, known)
}

fn numbered(packets: &[Packet<'_>], known: &Known) -> Following {
    let mut following = Following::default();
    for packet in packets {
        let (way, first) = (packet.way, packet.seen[0]);
        if packet.is_stray {
            *following.strays.entry((way, first.hook())).or_default() += 1;
            continue;
        }
        let left = &mut following.left[way as usize];
        let number = *left;
        *left += 1;
        let in_time = packet.began().saturating_add(PATIENCE) <= known.window.until;
        if way == Way::Request && in_time && first.seen.flags & ASKS != 0 {
            following.asked += 1;
        }
        let crossing =
            |it: &&HookRecord<PairPacket>| it.crossing(way, number, it.seen.flags & IS_OUTER != 0);
        let crossings = packet.seen.iter().map(crossing);
        following.crossings.extend(crossings);
    }
    following
}

impl<'a> Packet<'a> {
    fn new(way: Way, first: &'a HookRecord<PairPacket>, is_stray: bool) -> Self {
        Self {
            way,
            seen: vec![first],
            is_stray,
        }
    }

    fn began(&self) -> Duration {
        self.seen[0].at()
    }

    /// Its TTL when it last crossed a hook.
    fn ttl_at(&self, hook: Hook) -> Option<u32> {
        let mut seen = self.seen.iter().rev();
        let last = seen.find(|record| record.hook() == hook)?;
        Some(last.seen.ttl)
    }
}

/// Separates packets of the same identity. A record where packets leave begins another packet, unless
/// its TTL is lower: that one comes round again.
fn separated<'a>(way: Way, alike: &[&'a HookRecord<PairPacket>], known: &Known) -> Vec<Packet<'a>> {
    let origins = &known.origins[way as usize];
    let first = alike.first().map(|first| first.hook());
    let mut packets: Vec<Packet<'a>> = Vec::new();
    // The first packet that each hook has not seen.
    let mut next: BTreeMap<Hook, usize> = BTreeMap::new();
    let mut oldest = 0;
    for record in alike {
        let here = record.hook();
        if origins.contains(&here) || origins.is_empty() && Some(here) == first {
            match packets.last_mut() {
                Some(last) if last.ttl_at(here) > Some(record.seen.ttl) => {
                    last.seen.push(record);
                }
                _ => packets.push(Packet::new(way, record, false)),
            }
            continue;
        }
        let young = |packet: &Packet<'_>| packet.began().saturating_add(MOST_AGE) >= record.at();
        while packets.get(oldest).is_some_and(|packet| !young(packet)) {
            oldest += 1;
        }
        let place = next.entry(here).or_default();
        *place = (*place).max(oldest);
        if let Some(packet) = packets.get_mut(*place) {
            packet.seen.push(record);
            *place += 1;
        } else if let Some(last) = packets.last_mut().filter(|last| young(last)) {
            last.seen.push(record);
        } else {
            packets.push(Packet::new(way, record, true));
            *place = packets.len();
        }
    }
    packets
}
