//! Structures, and names of maps and programs, that the kernel half shares with user space.
#![no_std]

/// One CPU's counters of one door in one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Socket buffers: a GSO super-packet counts once, as in `ip -s link`.
    pub packets: u64,
    /// Packets on the wire: `max(1, gso_segs)` per socket buffer.
    pub segments: u64,
    /// `skb->len` at the hook, in bytes, with the Ethernet header.
    pub bytes: u64,
}

/// Both directions of one door: the only value of [`COUNTERS_MAP`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorCounters {
    /// Into the device: packets at its ingress hook.
    pub ingress: Counters,
    /// Out of the device: packets at its egress hook, before any queue.
    pub egress: Counters,
}

// SAFETY: plain `repr(C)` structures of u64, no padding, every bit pattern is valid.
#[cfg(feature = "user")]
unsafe impl aya::Pod for DoorCounters {}

/// Per-CPU array with one entry, a [`DoorCounters`]. Each door has its own map.
pub const COUNTERS_MAP: &str = "NETVIZ_COUNTERS";
/// Program for a door's ingress hook.
pub const INGRESS_PROGRAM: &str = "netviz_ingress";
/// Program for a door's egress hook.
pub const EGRESS_PROGRAM: &str = "netviz_egress";
/// Prefix of all of netviz's programs; the kernel keeps 15 bytes of a name.
pub const PROGRAM_PREFIX: &str = "netviz_";
/// Return value of all of netviz's programs: continue with the next program (`TCX_NEXT`, the same
/// value as `TC_ACT_UNSPEC` in clsact).
pub const TCX_NEXT: i32 = -1;

/// Upper half of the handles of netviz's clsact filters, "nv"; the lower half identifies the netviz
/// process.
pub const FILTER_HANDLE: u16 = 0x6e76;

pub mod crossing;
pub mod drops;
pub mod flow;
pub mod follow;
pub mod lab;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_names_fit_the_kernels_limit() {
        for name in [
            INGRESS_PROGRAM,
            EGRESS_PROGRAM,
            crossing::SEE_INGRESS_PROGRAM,
            crossing::SEE_EGRESS_PROGRAM,
            drops::DROP_PROGRAM,
            drops::DROP_PROGRAM_BEFORE,
            flow::FLOW_INGRESS_PROGRAM,
            flow::FLOW_EGRESS_PROGRAM,
            follow::FOLLOW_INGRESS_PROGRAM,
            follow::FOLLOW_EGRESS_PROGRAM,
        ] {
            assert!(name.starts_with(PROGRAM_PREFIX));
            assert!(name.len() <= 15);
        }
    }

    #[test]
    fn door_counters_have_no_padding() {
        assert_eq!(size_of::<DoorCounters>(), 6 * size_of::<u64>());
    }
}
