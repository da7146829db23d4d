//! Packets as the kernel reports them.

use std::{
    fmt::Debug,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use netviz_ebpf::{
    crossing::{HAS_TUNNEL, IS_EGRESS, Seen},
    follow::Passed,
};

use crate::{
    model::{Direction, DoorId},
    verify::observation::TunnelKey,
};

/// What the kernel writes of one packet.
pub trait Record: Copy + Debug + Send + 'static {
    /// Parses a record; `None` if it is too short.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// What all records have.
    fn head(&self) -> Head;
}

/// What all records have.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Nanoseconds on the kernel's monotonic clock.
    time: u64,
    flags: u32,
    /// Identity, remote and local end of the tunnel key.
    tunnel: (u32, [u32; 2]),
}

impl Record for Seen {
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes)
    }

    fn head(&self) -> Head {
        Head {
            time: self.time,
            flags: self.flags,
            tunnel: (self.identity, [self.remote, self.local]),
        }
    }
}

impl Record for Passed {
    fn read(bytes: &[u8]) -> Option<Self> {
        Self::read(bytes)
    }

    fn head(&self) -> Head {
        Head {
            time: self.time,
            flags: self.flags,
            tunnel: (self.key, [self.remote, self.local]),
        }
    }
}

/// One packet at one hook.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<T = Seen> {
    /// Which door.
    pub door: DoorId,
    /// The packet.
    pub seen: T,
}

impl<T: Record> Sighting<T> {
    /// When, on the kernel's monotonic clock.
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.seen.head().time)
    }

    /// At which of the door's hooks.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.seen.head().flags & IS_EGRESS == 0 {
            Direction::Ingress
        } else {
            Direction::Egress
        }
    }

    /// The tunnel key. At ingress the kernel gives the other node as the remote end, at egress of a
    /// device in external mode as the local one (kernel 6.18, Cilium 1.19).
    #[must_use]
    pub fn tunnel(&self) -> Option<TunnelKey> {
        let Head { flags, tunnel, .. } = self.seen.head();
        let (identity, ends) = tunnel;
        let node = ends.into_iter().find(|address| *address != 0);
        (flags & HAS_TUNNEL != 0).then(|| TunnelKey {
            identity,
            node: node.map(|address| IpAddr::V4(Ipv4Addr::from(address))),
        })
    }
}
