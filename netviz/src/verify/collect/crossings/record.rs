//! Packets as the kernel reports them.

use std::{fmt::Debug, net::IpAddr, time::Duration};

use netviz_ebpf::{
    crossing::{HAS_TUNNEL, IS_EGRESS, MarkedPacket},
    follow::PairPacket,
};

use crate::{
    model::{Direction, DoorId},
    verify::{Crossing, Hook, ReplyKind, TunnelKey, Way},
};

/// What the kernel writes of one packet.
pub trait Record: Copy + Debug + Send + 'static {
    /// Parses a record; `None` if it is too short.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Nanoseconds on the kernel's monotonic clock, and the flags.
    fn head(&self) -> (u64, u32);

    /// Identity, remote and local end of the tunnel key.
    fn tunnel(&self) -> (u32, [u32; 2]);
}

impl Record for MarkedPacket {
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes)
    }

    fn head(&self) -> (u64, u32) {
        (self.time, self.flags)
    }

    fn tunnel(&self) -> (u32, [u32; 2]) {
        (self.identity, [self.remote, self.local])
    }
}

impl Record for PairPacket {
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes)
    }

    fn head(&self) -> (u64, u32) {
        (self.time, self.flags)
    }

    fn tunnel(&self) -> (u32, [u32; 2]) {
        (self.key, [self.remote, self.local])
    }
}

/// One packet at one hook.
#[derive(Clone, Copy, Debug)]
pub struct HookRecord<T = MarkedPacket> {
    /// Which door.
    pub door: DoorId,
    /// The packet.
    pub seen: T,
}

impl<T: Record> HookRecord<T> {
    /// When, on the kernel's monotonic clock.
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.seen.head().0)
    }

    /// At which hook.
    pub fn hook(&self) -> Hook {
        match self.seen.head().1 & IS_EGRESS {
            0 => (self.door, Direction::Ingress),
            _ => (self.door, Direction::Egress),
        }
    }

    /// The crossing of the packet with this number.
    pub fn crossing(&self, way: Way, sequence: u32, outer: bool) -> Crossing {
        let (door, direction) = self.hook();
        Crossing {
            at: self.at(),
            door,
            direction,
            way,
            kind: ReplyKind::default(),
            sequence,
            outer,
            fragment: false,
            tunnel: self.tunnel(),
        }
    }

    /// The tunnel key. At ingress the kernel gives the other node as the remote end, at egress of a
    /// device in external mode as the local one (kernel 6.18, Cilium 1.19).
    fn tunnel(&self) -> Option<TunnelKey> {
        let (identity, ends) = self.seen.tunnel();
        let node = ends.into_iter().find(|address| *address != 0);
        (self.seen.head().1 & HAS_TUNNEL != 0).then(|| TunnelKey {
            identity,
            node: node.map(|address| IpAddr::V4(address.into())),
        })
    }
}
