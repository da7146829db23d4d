//! Packets between two addresses, from any sender.

use std::{array, io, net::IpAddr, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, PerCpuArray},
};
use netviz_ebpf::follow::{
    FILTER_GLOBAL, FOLLOW_EGRESS_PROGRAM, FOLLOW_INGRESS_PROGRAM, OVERFLOW_MAP, PACE_MAP,
    PACKETS_MAP, PASSED_ROOM, Pace, PairFilter, PairPacket, TRAFFIC_MAP, Tally, Traffic,
};

use super::collector::{Collector, Maps, Totals};
use crate::{
    attach::object::{LoadError, Object, map},
    sys::objects,
};

/// Packets that are on their way at the start have passed the first doors already: those that leave in
/// this time are left out.
const SETTLE: Duration = Duration::from_millis(100);
/// How long the last packets are followed to later doors.
const ARRIVE: Duration = Duration::from_millis(300);
/// How many packets each door reports in a run, or little more.
const MOST_PACKETS: u32 = 20_000;
/// How many packets each door reports a second, apart from a burst.
const MOST_A_SECOND: u32 = 2_000;
/// How many packets a burst has.
const BURST: u32 = 512;

/// The packets to follow, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct AddressPair {
    sought: PairFilter,
    window: Duration,
}

/// The time in which packets leave that are followed, on the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub from: Duration,
    /// Its end.
    pub until: Duration,
}

/// The maps of one copy besides the ring buffer.
pub(crate) struct Follow {
    pace: Array<MapData, Pace>,
    traffic: PerCpuArray<MapData, Traffic>,
}

impl AddressPair {
    /// Packets between `from` and `to`, of one IP protocol and with B's port where these are given.
    /// `None` if the two are of different families.
    pub fn new(
        (from, to): (IpAddr, IpAddr),
        protocol: Option<u8>,
        port: Option<u16>,
        window: Duration,
    ) -> Option<Self> {
        if from.is_ipv4() != to.is_ipv4() {
            return None;
        }
        let seconds = window.as_secs_f64().max(1.0);
        let rate = (f64::from(MOST_PACKETS) / seconds).min(f64::from(MOST_A_SECOND));
        let step = Duration::from_secs_f64(1.0 / rate);
        let sought = PairFilter {
            from: words(from),
            to: words(to),
            family: if from.is_ipv4() { 4 } else { 6 },
            protocol: protocol.map_or(0, u32::from),
            port: port.map_or(0, u32::from),
            reserved: 0,
            step: nanoseconds(step),
            burst: nanoseconds(step * BURST),
        };
        Some(Self { sought, window })
    }

    /// The window of a run that is ready at this time.
    pub fn window(&self, ready: Duration) -> Window {
        let from = ready.saturating_add(SETTLE);
        Window {
            from,
            until: from.saturating_add(self.window),
        }
    }

    /// How long a run takes once it is ready.
    pub fn time(&self) -> Duration {
        SETTLE + self.window + ARRIVE
    }

    /// How long the last packets are followed after the window.
    pub const fn arrive() -> Duration {
        ARRIVE
    }
}

/// An address as in a packet.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [u32::from_ne_bytes(address.octets()), 0, 0, 0],
        IpAddr::V6(address) => {
            let octets = address.octets();
            array::from_fn(|word| u32::from_ne_bytes(octets.as_chunks().0[word]))
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Object for AddressPair {
    type Maps = Maps<Follow>;

    const PROGRAMS: [&'static str; 2] = [FOLLOW_INGRESS_PROGRAM, FOLLOW_EGRESS_PROGRAM];

    fn bytes() -> &'static [u8] {
        objects::FOLLOW
    }

    fn globals<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global(FILTER_GLOBAL, &self.sought, true);
        loader.map_max_entries(PACKETS_MAP, PASSED_ROOM);
    }

    fn maps(object: &mut Ebpf) -> Result<Self::Maps, LoadError> {
        let more = Follow {
            pace: map(object, PACE_MAP)?,
            traffic: map(object, TRAFFIC_MAP)?,
        };
        Maps::new(object, [PACKETS_MAP, OVERFLOW_MAP], more)
    }
}

impl Collector for AddressPair {
    type Record = PairPacket;
    type More = Follow;

    fn begin(&self, maps: &mut Follow, now: Duration) -> io::Result<()> {
        let window = self.window(now);
        let pace = Pace {
            from: nanoseconds(now),
            counted: nanoseconds(window.from),
            until: nanoseconds(window.until),
            end: nanoseconds(window.until.saturating_add(ARRIVE)),
            due: 0,
            level: 0,
        };
        maps.pace.set(0, pace, 0).map_err(io::Error::other)
    }

    fn totals(maps: &Follow) -> io::Result<Totals> {
        let pace = maps.pace.get(&0, 0).map_err(io::Error::other)?;
        let each = maps.traffic.get(&0, 0).map_err(io::Error::other)?;
        let mut traffic = Traffic::default();
        for cpu in each.iter() {
            for way in 0..2 {
                add(&mut traffic.ingress[way], &cpu.ingress[way]);
                add(&mut traffic.egress[way], &cpu.egress[way]);
            }
        }
        Ok(Totals {
            level: pace.level,
            traffic,
        })
    }
}

fn add(sum: &mut Tally, tally: &Tally) {
    sum.packets += tally.packets;
    sum.bytes += tally.bytes;
    sum.bundled += tally.bundled;
}
