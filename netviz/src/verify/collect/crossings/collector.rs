//! Objects that report packets at the doors.

use std::{fmt, io, time::Duration};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, PerCpuArray, RingBuf},
};
use netviz_ebpf::{
    crossing::{
        COOKIE_GLOBAL, CROSSINGS_MAP, CROSSINGS_ROOM, LENGTHS_GLOBAL, MISSED_MAP, MarkedPacket,
        SEE_EGRESS_PROGRAM, SEE_INGRESS_PROGRAM, TCP_GLOBAL, TcpReplies,
    },
    follow::Traffic,
};

use super::record::Record;
use crate::{
    attach::object::{LoadError, Object, map},
    model::{Door, Role},
    sys::objects,
};

/// An [`Object`] that writes a record of each packet to a ring buffer.
pub(crate) trait Collector: Object<Maps = Maps<Self::More>> {
    /// What the kernel writes of one packet.
    type Record: Record;
    /// The copy's maps besides the ring buffer.
    type More: Send + 'static;

    /// Begins at a door, once all are attached. `now` is on the monotonic clock, and the same for all.
    ///
    /// # Errors
    /// When a map cannot be written.
    fn begin(&self, maps: &mut Self::More, now: Duration) -> io::Result<()> {
        let _ = (maps, now);
        Ok(())
    }

    /// Reads the totals, if the object counts.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn totals(maps: &Self::More) -> io::Result<Totals> {
        let _ = maps;
        Ok(Totals::default())
    }
}

/// The totals of one door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// One packet in two to this power was reported.
    pub level: u64,
    /// All packets in the window.
    pub traffic: Traffic,
}

/// The maps of one copy.
pub(crate) struct Maps<M> {
    pub(super) ring: RingBuf<MapData>,
    /// Packets for which the ring buffer had no room.
    missed: PerCpuArray<MapData, u64>,
    pub(super) more: M,
}

impl<M> fmt::Debug for Maps<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maps")
    }
}

impl<M> Maps<M> {
    pub(super) fn new(
        object: &mut Ebpf,
        [ring, missed]: [&'static str; 2],
        more: M,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            ring: map(object, ring)?,
            missed: map(object, missed)?,
            more,
        })
    }

    /// The number of packets for which there was no room.
    pub(super) fn missed(&self) -> io::Result<u64> {
        let values = self.missed.get(&0, 0).map_err(io::Error::other)?;
        Ok(values.iter().sum())
    }
}

/// How to recognise marked packets.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// A random value of this run.
    pub cookie: [u8; 16],
    /// The shortest and the longest `skb->len` of a marked packet at any door.
    pub lengths: [u32; 2],
    /// How to recognise replies to marked SYNs.
    pub tcp: TcpReplies,
    /// How many pairs share the doors that are not a pod's.
    pub pairs: usize,
}

/// Ring buffer size for a second and more of all packets of a run, with their replies.
const ROOM_FOR_MANY: u32 = 1024 * 1024;

impl Object for Marks {
    type Maps = Maps<()>;

    const PROGRAMS: [&'static str; 2] = [SEE_INGRESS_PROGRAM, SEE_EGRESS_PROGRAM];

    fn bytes() -> &'static [u8] {
        objects::SEE
    }

    fn globals<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader.override_global(COOKIE_GLOBAL, &self.cookie[..], true);
        loader.override_global(LENGTHS_GLOBAL, &self.lengths[..], true);
        loader.override_global(TCP_GLOBAL, &self.tcp, true);
    }

    fn sizes(&self, door: &Door, loader: &mut EbpfLoader<'_>) {
        let shared = matches!(
            door.role,
            Role::CiliumHost | Role::Overlay | Role::Encryption | Role::Uplink | Role::Bridge
        );
        let room = match shared && self.pairs > 1 {
            true => ROOM_FOR_MANY,
            false => CROSSINGS_ROOM,
        };
        loader.map_max_entries(CROSSINGS_MAP, room);
    }

    fn maps(object: &mut Ebpf) -> Result<Self::Maps, LoadError> {
        Maps::new(object, [CROSSINGS_MAP, MISSED_MAP], ())
    }
}

impl Collector for Marks {
    type Record = MarkedPacket;
    type More = ();
}
