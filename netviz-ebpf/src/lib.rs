//! What the kernel half and user space share: structures, and the names of maps and programs, once.
#![no_std]

/// Counters of one door in one direction, as one CPU keeps them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Socket buffers: a GSO super-packet counts once, as it does in `ip -s link`.
    pub packets: u64,
    /// Packets on the wire: `max(1, gso_segs)` per socket buffer.
    pub segments: u64,
    /// `skb->len` at the hook, in bytes, with the Ethernet header.
    pub bytes: u64,
}

/// Both directions of one door: the one value of [`COUNTERS_MAP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorCounters {
    /// Into the device, as the kernel names it: what its ingress hook saw.
    pub ingress: Counters,
    /// Out of the device: what its egress hook saw, before any queue.
    pub egress: Counters,
}

// SAFETY: plain `repr(C)` structures of u64, no padding, every bit pattern is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for DoorCounters {}

/// Per-CPU array with one entry, a [`DoorCounters`]. Each door has a map of its own.
pub const COUNTERS_MAP: &str = "NETVIZ_COUNTERS";
/// Program for a door's ingress hook.
pub const INGRESS_PROGRAM: &str = "netviz_ingress";
/// Program for a door's egress hook.
pub const EGRESS_PROGRAM: &str = "netviz_egress";
/// All programs of netviz begin like this; the kernel keeps 15 bytes of a name.
pub const PROGRAM_PREFIX: &str = "netviz_";
/// What every program of netviz returns: go on with the next one (`TCX_NEXT`, the same value as
/// `TC_ACT_UNSPEC` in clsact).
pub const TCX_NEXT: i32 = -1;

/// Upper half of the handles of netviz's filters in clsact, "nv"; the lower half says which netviz.
pub const FILTER_HANDLE: u16 = 0x6e76;

pub mod crossing;
pub mod drops;
pub mod follow;
pub mod lab;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_the_whole_name_of_a_program() {
        for name in [
            INGRESS_PROGRAM,
            EGRESS_PROGRAM,
            crossing::SEE_INGRESS_PROGRAM,
            crossing::SEE_EGRESS_PROGRAM,
            drops::DROP_PROGRAM,
            drops::DROP_PROGRAM_BEFORE,
            follow::FOLLOW_INGRESS_PROGRAM,
            follow::FOLLOW_EGRESS_PROGRAM,
        ] {
            assert!(name.starts_with(PROGRAM_PREFIX));
            assert!(name.len() <= 15);
        }
    }

    #[test]
    fn a_door_has_six_counters_and_no_padding() {
        assert_eq!(size_of::<DoorCounters>(), 6 * size_of::<u64>());
    }
}
