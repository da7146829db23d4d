//! Packets that two addresses exchange, whoever sent them.

use std::{io, net::IpAddr, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, PerCpuArray},
};
use netviz_ebpf::follow::{
    FOLLOW_EGRESS_PROGRAM, FOLLOW_INGRESS_PROGRAM, PACE_MAP, PASSED_MAP, PASSED_ROOM, Pace, Passed,
    SOUGHT_GLOBAL, Sought, TRAFFIC_MAP, Tally, Traffic, UNTOLD_MAP,
};

use super::collector::Collector;
use crate::{model::Door, sys::objects};

/// Packets that are on their way when looking begins are past the first doors already: who leaves in
/// this time is not taken.
const SETTLE: Duration = Duration::from_millis(100);
/// Packets that leave last are looked for at later doors for so long.
const ARRIVE: Duration = Duration::from_millis(300);
/// Each door tells of so many packets in a run, or little more.
const MOST_TOLD: u32 = 20_000;
/// And of no more than so many a second, but for a burst.
const MOST_A_SECOND: u32 = 2_000;
/// So many at once.
const BURST: u32 = 512;

/// Whose packets, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct AddressPair {
    sought: Sought,
    window: Duration,
}

/// When packets had to leave to be followed, on the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From this time on.
    pub from: Duration,
    /// Before this time.
    pub until: Duration,
}

/// What one door says in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// One in two to this power was told of.
    pub level: u64,
    /// All of them in the window.
    pub traffic: Traffic,
}

/// The maps of one copy.
pub struct Maps {
    pace: Array<MapData, Pace>,
    traffic: PerCpuArray<MapData, Traffic>,
}

impl std::fmt::Debug for Maps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Maps")
    }
}

impl AddressPair {
    /// Packets between `from` and `to`, of one IP protocol if it is named, with B's port if it is.
    /// `None` where the two are not of one family.
    #[must_use]
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
        let rate = (f64::from(MOST_TOLD) / seconds).min(f64::from(MOST_A_SECOND));
        let step = Duration::from_secs_f64(1.0 / rate);
        let sought = Sought {
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

    /// The window of a run at whose doors everything stood at this time.
    #[must_use]
    pub fn window(&self, stood: Duration) -> Window {
        let from = stood.saturating_add(SETTLE);
        Window {
            from,
            until: from.saturating_add(self.window),
        }
    }

    /// How long a run takes from the time at which everything stands.
    #[must_use]
    pub fn time(&self) -> Duration {
        SETTLE + self.window + ARRIVE
    }

    /// How long after the window the last packets are looked for.
    #[must_use]
    pub const fn arrive() -> Duration {
        ARRIVE
    }
}

/// An address as it stands in a packet.
fn words(address: IpAddr) -> [u32; 4] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.copy_from_slice(&address.octets()),
    }
    let mut words = [0; 4];
    for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes([four[0], four[1], four[2], four[3]]);
    }
    words
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Collector for AddressPair {
    type Record = Passed;
    type Maps = Maps;
    type Totals = Totals;

    const PROGRAMS: [&'static str; 2] = [FOLLOW_INGRESS_PROGRAM, FOLLOW_EGRESS_PROGRAM];
    const MAPS: [&'static str; 2] = [PASSED_MAP, UNTOLD_MAP];

    fn object() -> &'static [u8] {
        objects::FOLLOW
    }

    fn globals<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global(SOUGHT_GLOBAL, &self.sought, true);
    }

    fn room(&self, _: &Door) -> u32 {
        PASSED_ROOM
    }

    fn read(bytes: &[u8]) -> Option<Passed> {
        Passed::read(bytes)
    }

    fn open(object: &mut Ebpf) -> io::Result<Maps> {
        let mut map = |name: &str| {
            let map = object.take_map(name);
            map.ok_or_else(|| io::Error::other(format!("the object has no {name}")))
        };
        let (pace, traffic) = (map(PACE_MAP)?, map(TRAFFIC_MAP)?);
        Ok(Maps {
            pace: Array::try_from(pace).map_err(io::Error::other)?,
            traffic: PerCpuArray::try_from(traffic).map_err(io::Error::other)?,
        })
    }

    fn begin(&self, books: &mut Maps, now: Duration) -> io::Result<()> {
        let window = self.window(now);
        let pace = Pace {
            from: nanoseconds(now),
            counted: nanoseconds(window.from),
            until: nanoseconds(window.until),
            end: nanoseconds(window.until.saturating_add(ARRIVE)),
            due: 0,
            level: 0,
        };
        books.pace.set(0, pace, 0).map_err(io::Error::other)
    }

    fn balance(books: &Maps) -> io::Result<Totals> {
        let pace = books.pace.get(&0, 0).map_err(io::Error::other)?;
        let each = books.traffic.get(&0, 0).map_err(io::Error::other)?;
        let mut traffic = Traffic::default();
        for one in each.iter() {
            let pairs = [
                (&mut traffic.ingress, &one.ingress),
                (&mut traffic.egress, &one.egress),
            ];
            for (sums, tallies) in pairs {
                for (sum, tally) in sums.iter_mut().zip(tallies) {
                    add(sum, tally);
                }
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
