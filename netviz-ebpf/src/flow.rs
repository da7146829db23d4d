//! Types that the programs which count flows share with user space.
//!
//! All doors share one table, an array in two halves, which user space maps into its memory. The
//! programs write into the half of the current epoch. To read, user space starts the next epoch,
//! waits until no program of the last one runs, and has that half for itself: what it reads is
//! complete, and nothing in it changes. A half has a part for each CPU, so no program waits or needs an
//! atomic operation. A part consists of sets of [`WAYS`] slots, and the hash of a flow selects the set.
//!
//! A flow whose set is full is counted as evicted, in all of its packets. Therefore the flows, the
//! evicted and the unparsed packets always add up to the door's counters. An epoch lasts until the next
//! reading, and its first flows have the slots: during a flood of new flows, those that send often keep
//! theirs.

use crate::Counters;

/// Program for a door's ingress hook.
pub const FLOW_INGRESS_PROGRAM: &str = "netviz_flow_in";
/// Program for a door's egress hook.
pub const FLOW_EGRESS_PROGRAM: &str = "netviz_flow_out";
/// Array of [`FlowSet`], one for all doors: the table, mapped into user space.
pub const FLOWS_MAP: &str = "NETVIZ_FLOWS";
/// Array of [`Fragment`], one for all doors.
pub const FRAGMENTS_MAP: &str = "NETVIZ_FRAGMENTS";
/// Per-CPU array with one entry, an [`Outside`]. Each door has its own.
pub const OUTSIDE_MAP: &str = "NETVIZ_OUTSIDE";
/// Map of the only variable, the epoch: a `u32`, one for all doors, mapped into user space.
pub const EPOCH_MAP: &str = ".bss";
/// Global: a [`FlowDoor`].
pub const DOOR_GLOBAL: &str = "NETVIZ_FLOW_DOOR";

/// Slots of a set.
pub const WAYS: usize = 4;
/// Number of the fragmented packets that each CPU remembers. A power of two.
pub const FRAGMENTS: u32 = 256;
/// For how long a fragmented packet is remembered, in nanoseconds: as long as Linux reassembles it.
pub const FRAGMENT_TIME: u64 = 30_000_000_000;

/// The flow is IPv6.
pub const IS_V6: u8 = 1;
/// At the egress hook; otherwise at the ingress hook.
pub const IS_EGRESS: u8 = 2;
/// A fragment without ports.
pub const IS_FRAGMENT: u8 = 4;
/// `tunnel` is a tunnel key or a number in a tunnel header.
pub const HAS_TUNNEL: u8 = 8;
/// The addresses are those of the packet inside of a tunnel packet.
pub const IS_ENCAPSULATED: u8 = 16;
/// The outer addresses are IPv6.
pub const IS_OUTER_V6: u8 = 32;

/// Constants of the programs of one door.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowDoor {
    /// Random number that is mixed into the hash.
    pub seed: u64,
    /// Number of the door in [`FlowKey::door`].
    pub door: u32,
    /// Number of CPUs for which the table has parts.
    pub cpus: u32,
    /// Power of two: the sets of each part.
    pub set_bits: u32,
    /// 1 for a tunnel's device, whose packets have a tunnel key, else 0.
    pub is_tunnel: u32,
    /// 1 to look inside of tunnel packets, else 0.
    pub sees_tunnels: u32,
    /// 1 if the kernel has the coarse clock (Linux 5.11), else 0.
    pub has_coarse_clock: u32,
}

/// What the packets of a flow have in common. Two keys are compared as numbers.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Source address in packet order; only the first word for IPv4.
    pub source: [u32; 4],
    /// Destination address.
    pub destination: [u32; 4],
    /// Ports in packet order; for ICMP type, code and identifier.
    pub ports: u32,
    /// Tunnel key or VNI, in host order.
    pub tunnel: u32,
    /// [`FlowDoor::door`].
    pub door: u16,
    /// IP protocol.
    pub protocol: u8,
    /// [`IS_V6`] and the flags after it.
    pub flags: u8,
    /// Epoch in which the slot is used; in another one it is free.
    pub epoch: u32,
}

/// A flow's packets on one CPU, in one epoch.
#[repr(C, align(128))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowSlot {
    /// Its key.
    pub key: FlowKey,
    /// As in [`Counters`].
    pub packets: u64,
    /// As in [`Counters`].
    pub bytes: u64,
    /// As in [`Counters`].
    pub segments: u64,
    /// Time of its first packet on the monotonic clock.
    pub first: u64,
    /// Time of its last packet; the lower 8 bits are the flags of all of its TCP segments.
    pub last: u64,
    /// TCP: the highest sequence number after a segment.
    pub next_sequence: u32,
    /// TCP: segments whose bytes end at or before `next_sequence`.
    pub retransmitted: u32,
    /// Source address of the tunnel packet, or of the tunnel key, in packet order.
    pub outer_source: [u32; 4],
    /// Destination address of the tunnel packet, or of the tunnel key.
    pub outer_destination: [u32; 4],
}

/// Slots among which the hash does not distinguish.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowSet {
    /// Filled from the first to the last.
    pub slots: [FlowSlot; WAYS],
}

/// The ports of a fragmented packet, which only its first fragment has.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Its flow without ports.
    pub key: FlowKey,
    /// Identification in the IP header.
    pub id: u32,
    /// As [`FlowKey::ports`].
    pub ports: u32,
    /// Time of the first fragment.
    pub time: u64,
}

/// Packets of one hook that are in no slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutsideHook {
    /// Packets whose set was full.
    pub evicted: Counters,
    /// Packets without a valid IP header.
    pub unparsed: Counters,
}

/// Both hooks of a door: the only value of [`OUTSIDE_MAP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The ingress hook.
    pub ingress: OutsideHook,
    /// The egress hook.
    pub egress: OutsideHook,
}

const _: () = {
    assert!(size_of::<FlowKey>() == 48);
    assert!(size_of::<FlowSlot>() == 128);
    assert!(size_of::<FlowSet>() == WAYS * 128);
    assert!(size_of::<Fragment>() == 64);
    assert!(size_of::<FlowDoor>() == 32);
};

#[cfg(feature = "user")]
mod user {
    use super::{FlowDoor, FlowSet, FlowSlot, Outside};

    // SAFETY: plain `repr(C)` structures of integers without padding, every bit pattern is valid.
    unsafe impl aya::Pod for FlowSlot {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowSet {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowDoor {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Outside {}

    impl FlowDoor {
        /// Returns the value of the global.
        #[must_use]
        pub fn bytes(&self) -> [u8; size_of::<Self>()] {
            let words = [
                self.door,
                self.cpus,
                self.set_bits,
                self.is_tunnel,
                self.sees_tunnels,
                self.has_coarse_clock,
            ];
            let mut bytes = [0; size_of::<Self>()];
            bytes[..8].copy_from_slice(&self.seed.to_ne_bytes());
            for (to, word) in bytes[8..].chunks_exact_mut(4).zip(words) {
                to.copy_from_slice(&word.to_ne_bytes());
            }
            bytes
        }
    }
}
