//! The flows of one door.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use netviz_ebpf::flow::{
    FlowKey as Key, FlowSlot, HAS_TUNNEL, IS_EGRESS, IS_ENCAPSULATED, IS_FRAGMENT, IS_OUTER_V6,
    IS_V6, Outside, OutsideHook,
};

use super::table::FlowMaps;
use crate::model::{
    Counts, Direction, DoorFlows, Flow, FlowCounts, FlowKey, Outer, OutsideFlows, Reason,
    Transport, TunnelKey,
};

/// Protocols whose headers begin with two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
/// ICMP and ICMPv6.
const WITH_TYPE: [u8; 2] = [1, 58];

/// One reading of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    /// Since the one before.
    pub(super) window: Option<Duration>,
    /// What to add to the kernel's monotonic clock for Unix time, in nanoseconds.
    pub(super) to_unix: u64,
}

/// What is known of a door.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Of the programs that run.
    maps: Option<FlowMaps>,
    /// Of programs that do not run any more, until the next reading.
    ending: Vec<FlowMaps>,
    /// Nobody asks for its flows any more.
    is_over: bool,
    /// Packets in no slot, of programs that do not run any more, ingress and egress.
    earlier: [Sums; 2],
    /// Packets of flows that were forgotten.
    forgotten: [Counts; 2],
    /// As at the last reading.
    outside: [Sums; 2],
    flows: HashMap<Key, Tally, BuildHasherDefault<KeyHasher>>,
    since_ms: u64,
    pub(super) reason: Option<Reason>,
}

/// Packets in no slot.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    evicted: Counts,
    unparsed: Counts,
}

/// A flow in all readings so far.
#[derive(Clone, Copy, Debug)]
struct Tally {
    counts: FlowCounts,
    outer: Option<Outer>,
    /// Its packets in the last reading in which it was, and when that was.
    latest: Counts,
    read_at: Instant,
    window: Option<f64>,
}

impl Record {
    pub(super) fn switched(&mut self, maps: Option<FlowMaps>) {
        self.set_aside();
        self.is_over = maps.is_none();
        if self.since_ms == 0 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            self.since_ms = now.map_or(0, |now| now.as_millis() as u64);
        }
        self.maps = maps;
        self.reason = None;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.maps.is_some() || self.reason.is_some()
    }

    pub(super) fn set_aside(&mut self) {
        self.ending.extend(self.maps.take());
    }

    /// Adds what one CPU has seen of a flow.
    pub(super) fn add(&mut self, slot: &FlowSlot, reading: Reading) {
        let key = Key {
            door: 0,
            epoch: 0,
            ..slot.key
        };
        let counts = Counts {
            packets: slot.packets,
            segments: slot.segments,
            bytes: slot.bytes,
        };
        let milliseconds = |time: u64| time.saturating_add(reading.to_unix) / 1_000_000;
        let (first, last) = (milliseconds(slot.first), milliseconds(slot.last));
        let tally = self.flows.entry(key).or_insert_with(|| Tally {
            counts: FlowCounts {
                first_seen_ms: first,
                ..FlowCounts::default()
            },
            outer: outer(slot),
            latest: Counts::default(),
            read_at: reading.at,
            window: None,
        });
        if tally.read_at != reading.at {
            tally.latest = Counts::default();
        }
        tally.latest = tally.latest + counts;
        tally.read_at = reading.at;
        tally.window = reading.window.map(|window| window.as_secs_f64());
        let all = &mut tally.counts;
        all.counts = all.counts + counts;
        all.first_seen_ms = all.first_seen_ms.min(first);
        all.last_seen_ms = all.last_seen_ms.max(last);
        all.tcp_flags.0 |= slot.last as u8;
        all.retransmitted += u64::from(slot.retransmitted);
    }

    /// Reads the packets in no slot, after those in slots: what the door counts is never less than all
    /// of them together.
    pub(super) fn after_reading(&mut self, retire: impl Fn(u16)) {
        for maps in self.ending.drain(..) {
            let [ingress, egress] = sums(&maps);
            self.earlier = [self.earlier[0] + ingress, self.earlier[1] + egress];
            retire(maps.number);
        }
        let now = self.maps.as_ref().map(sums).unwrap_or_default();
        self.outside = [self.earlier[0] + now[0], self.earlier[1] + now[1]];
    }

    /// Whether there is nothing left to read or to show.
    pub(super) fn is_over(&self) -> bool {
        self.is_over && self.ending.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    /// When each flow was seen for the last time.
    pub(super) fn times(&self) -> impl Iterator<Item = u64> {
        self.flows.values().map(|tally| tally.counts.last_seen_ms)
    }

    /// Forgets `left` flows at the most, of those that were not seen after `last`.
    pub(super) fn forget(&mut self, last: u64, left: &mut usize) {
        let forgotten = &mut self.forgotten;
        self.flows.retain(|key, tally| {
            let stays = *left == 0 || tally.counts.last_seen_ms > last;
            if !stays {
                *left -= 1;
                let hook = &mut forgotten[usize::from(key.flags & IS_EGRESS != 0)];
                *hook = *hook + tally.counts.counts;
            }
            stays
        });
    }

    /// The flows, for the counters of both hooks; `None` if they never were counted.
    pub(super) fn flows(
        &self,
        counts: [Option<Counts>; 2],
        read_at: Option<Instant>,
    ) -> Option<DoorFlows> {
        if self.is_over || self.since_ms == 0 && self.reason.is_none() {
            return None;
        }
        let mut inside = [Counts::default(); 2];
        let flows = self.flows.iter().map(|(key, tally)| {
            let hook = &mut inside[usize::from(key.flags & IS_EGRESS != 0)];
            *hook = *hook + tally.counts.counts;
            tally.flow(key, read_at)
        });
        let flows = flows.collect();
        let outside = |at: usize| {
            let sums = self.outside[at];
            let evicted = sums.evicted + self.forgotten[at];
            let known = inside[at] + evicted + sums.unparsed;
            OutsideFlows {
                evicted,
                unparsed: sums.unparsed,
                unread: counts[at].unwrap_or_default().since(known),
            }
        };
        Some(DoorFlows {
            since_ms: self.since_ms,
            flows,
            ingress: outside(0),
            egress: outside(1),
            reason: self.reason.clone(),
        })
    }
}

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            evicted: self.evicted + other.evicted,
            unparsed: self.unparsed + other.unparsed,
        }
    }
}

/// Sums of all CPUs, ingress and egress.
fn sums(maps: &FlowMaps) -> [Sums; 2] {
    // An array that exists can be read.
    let outside = maps.outside().unwrap_or_default();
    let sum = |of: fn(&Outside) -> &OutsideHook| {
        let hooks = outside.iter().map(of);
        hooks.fold(Sums::default(), |sum, hook| {
            sum + Sums {
                evicted: counts(&hook.evicted),
                unparsed: counts(&hook.unparsed),
            }
        })
    };
    [sum(|it| &it.ingress), sum(|it| &it.egress)]
}

fn counts(counters: &netviz_ebpf::Counters) -> Counts {
    Counts {
        packets: counters.packets,
        segments: counters.segments,
        bytes: counters.bytes,
    }
}

impl Tally {
    fn flow(&self, key: &Key, read_at: Option<Instant>) -> Flow {
        let is_latest = read_at == Some(self.read_at);
        let rate = |count: u64| {
            let window = self.window.filter(|window| *window > 0.0)?;
            Some(if is_latest {
                count as f64 / window
            } else {
                0.0
            })
        };
        Flow {
            direction: match key.flags & IS_EGRESS {
                0 => Direction::Ingress,
                _ => Direction::Egress,
            },
            key: flow_key(key),
            outer: self.outer,
            counts: self.counts,
            packets_per_second: rate(self.latest.packets),
            bytes_per_second: rate(self.latest.bytes),
        }
    }
}

fn flow_key(key: &Key) -> FlowKey {
    let is_v6 = key.flags & IS_V6 != 0;
    let is_fragment = key.flags & IS_FRAGMENT != 0;
    let [a, b, c, d] = key.ports.to_ne_bytes();
    let transport = if is_fragment {
        Transport::None
    } else if WITH_PORTS.contains(&key.protocol) {
        Transport::Ports {
            source: u16::from_be_bytes([a, b]),
            destination: u16::from_be_bytes([c, d]),
        }
    } else if WITH_TYPE.contains(&key.protocol) {
        Transport::Icmp {
            kind: a,
            code: b,
            id: u16::from_be_bytes([c, d]),
        }
    } else {
        Transport::None
    };
    FlowKey {
        source: address(key.source, is_v6),
        destination: address(key.destination, is_v6),
        protocol: key.protocol,
        transport,
        tunnel: (key.flags & HAS_TUNNEL != 0).then_some(TunnelKey {
            id: key.tunnel,
            encapsulated: key.flags & IS_ENCAPSULATED != 0,
        }),
        fragment: is_fragment,
    }
}

fn outer(slot: &FlowSlot) -> Option<Outer> {
    let is_v6 = slot.key.flags & IS_OUTER_V6 != 0;
    let end = |words: [u32; 4]| (words != [0; 4]).then(|| address(words, is_v6));
    let (source, destination) = (end(slot.outer_source), end(slot.outer_destination));
    let is_known = source.is_some() || destination.is_some();
    is_known.then_some(Outer {
        source,
        destination,
    })
}

fn address(words: [u32; 4], is_v6: bool) -> IpAddr {
    let mut bytes = [0; 16];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    match is_v6 {
        true => Ipv6Addr::from(bytes).into(),
        false => Ipv4Addr::from(words[0].to_ne_bytes()).into(),
    }
}

/// A fast hash for keys that a stranger chooses only as far as the kernel's table, with its secret seed,
/// has slots for them.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl KeyHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_ne_bytes(word));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn finish(&self) -> u64 {
        let hash = self.0 ^ self.0 >> 32;
        hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
