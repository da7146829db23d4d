//! What the kernel told of one packet.

use std::{
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

/// One packet at one hook, as the kernel told of it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<T = Seen> {
    /// Which door.
    pub door: DoorId,
    /// The packet.
    pub seen: T,
}

impl Sighting {
    /// When, on the kernel's monotonic clock.
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.seen.time)
    }

    /// At which of the door's hooks.
    #[must_use]
    pub fn direction(&self) -> Direction {
        direction(self.seen.flags)
    }

    /// The tunnel key.
    #[must_use]
    pub fn tunnel(&self) -> Option<TunnelKey> {
        let Seen {
            flags,
            identity,
            remote,
            local,
            ..
        } = self.seen;
        tunnel(flags, identity, [remote, local])
    }
}

impl Sighting<Passed> {
    /// When, on the kernel's monotonic clock.
    #[must_use]
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.seen.time)
    }

    /// At which of the door's hooks.
    #[must_use]
    pub fn direction(&self) -> Direction {
        direction(self.seen.flags)
    }

    /// The tunnel key.
    #[must_use]
    pub fn tunnel(&self) -> Option<TunnelKey> {
        let Passed {
            flags,
            key,
            remote,
            local,
            ..
        } = self.seen;
        tunnel(flags, key, [remote, local])
    }
}

fn direction(flags: u32) -> Direction {
    if flags & IS_EGRESS == 0 {
        Direction::Ingress
    } else {
        Direction::Egress
    }
}

/// At ingress the kernel gives the other node as the remote end, at egress of a device in external
/// mode as the local one (kernel 6.18, Cilium 1.19).
fn tunnel(flags: u32, identity: u32, ends: [u32; 2]) -> Option<TunnelKey> {
    (flags & HAS_TUNNEL != 0).then(|| {
        let node = ends.into_iter().find(|address| *address != 0);
        TunnelKey {
            identity,
            node: node.map(|address| IpAddr::V4(Ipv4Addr::from(address))),
        }
    })
}
