//! What the programs of `netviz verify --passive` share with user space.
//!
//! Foreign packets carry no marker. They are found by the two addresses, in the packet itself or in
//! the one inside of a tunnel's, and told apart by a number made of what nobody on the way changes:
//! protocol, IP id, ports, sequence numbers, the beginning of the payload. All are counted. So that
//! heavy traffic costs no more than light one, not all are told of: each door thins out by that same
//! number, so that all doors choose the same packets (Duffield and Grossglauser, "Trajectory sampling
//! for direct traffic observation", 2001), and a door that is thinned out further has chosen a part of
//! what the others have. TCP's payload is followed by the byte, for segments are cut and merged.

/// UDP ports of tunnels: VXLAN as Linux and Cilium have it and as registered, Geneve.
pub const TUNNEL_PORTS: [u16; 3] = [8472, 4789, GENEVE];
/// UDP port of Geneve, whose header has options.
pub const GENEVE: u16 = 6081;

/// Program for a door's ingress hook.
pub const FOLLOW_INGRESS_PROGRAM: &str = "netviz_fol_in";
/// Program for a door's egress hook.
pub const FOLLOW_EGRESS_PROGRAM: &str = "netviz_fol_out";
/// Ring buffer of [`Passed`].
pub const PASSED_MAP: &str = "NETVIZ_PASSED";
/// Bytes of it: for 2 000 packets, taken out as they come.
pub const PASSED_ROOM: u32 = 128 * 1024;
/// Per-CPU array with one entry: packets that were chosen and for which there was no room.
pub const UNTOLD_MAP: &str = "NETVIZ_UNTOLD";
/// Array with one entry, a [`Pace`].
pub const PACE_MAP: &str = "NETVIZ_PACE";
/// Per-CPU array with one entry, a [`Traffic`].
pub const TRAFFIC_MAP: &str = "NETVIZ_TRAFFIC";
/// Global: a [`Sought`].
pub const SOUGHT_GLOBAL: &str = "NETVIZ_SOUGHT";

/// Which packets are meant.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// A's address as it stands in a packet; of IPv4 the first word alone.
    pub from: [u32; 4],
    /// B's.
    pub to: [u32; 4],
    /// 4 or 6.
    pub family: u32,
    /// IP protocol; 0 for all of them.
    pub protocol: u32,
    /// B's port; 0 for all of them.
    pub port: u32,
    /// Nothing; no padding.
    pub reserved: u32,
    /// Nanoseconds that one packet that is told of uses up.
    pub step: u64,
    /// So many nanoseconds may be used up in advance: a burst.
    pub burst: u64,
}

/// When to look, and how closely.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Nothing is told of before this time (`bpf_ktime_get_ns`).
    pub from: u64,
    /// Nothing is counted before this time.
    pub counted: u64,
    /// Nothing is counted from this time on.
    pub until: u64,
    /// Nothing is told of from this time on.
    pub end: u64,
    /// Time up to which the packets told of have used it up.
    pub due: u64,
    /// One in two to this power is told of: it only rises.
    pub level: u64,
}

/// No level is higher.
pub const MOST_LEVEL: u64 = 24;
/// At level 1, bytes of a TCP stream whose number divides by two to this power are followed; at
/// each level above half of them.
pub const MARK_SHIFT: u32 = 11;

/// Packets of one way at one hook.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets on the wire, `max(1, gso_segs)` for each socket buffer.
    pub packets: u64,
    /// `skb->len` in bytes.
    pub bytes: u64,
    /// Of the packets those that were one socket buffer with others and no TCP stream (UDP GSO and
    /// GRO): they are cut and merged on the way, and so are not told of.
    pub bundled: u64,
}

/// All packets of the two at one door, told of or not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// At the ingress hook, from A and from B.
    pub ingress: [Tally; 2],
    /// At the egress hook.
    pub egress: [Tally; 2],
}

/// From B to A; otherwise from A to B.
pub const IS_REPLY: u32 = 8;
/// Inside of a tunnel's packet.
pub const IS_OUTER: u32 = 16;
/// It carries bytes of a TCP stream: `start` and `length` say which.
pub const IS_STREAM: u32 = 32;
/// It has to be answered: an echo request, a TCP segment with a payload, SYN or FIN.
pub const ASKS: u32 = 64;

/// One packet at one hook. `flags` has [`IS_REPLY`] and those after it, and
/// [`crate::crossing::IS_EGRESS`] and [`crate::crossing::HAS_TUNNEL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// `bpf_ktime_get_ns`: the monotonic clock.
    pub time: u64,
    /// What tells it from others; of TCP with a payload, what tells its stream from others.
    pub identity: u64,
    /// See above.
    pub flags: u32,
    /// Security identity in the tunnel key.
    pub key: u32,
    /// As [`crate::crossing::Seen::remote`].
    pub remote: u32,
    /// As [`crate::crossing::Seen::local`].
    pub local: u32,
    /// TCP sequence number of its first byte.
    pub start: u32,
    /// Bytes of TCP payload.
    pub length: u32,
    /// Time to live, or hop limit.
    pub ttl: u32,
    /// Nothing; no padding.
    pub reserved: u32,
}

/// Bytes of [`Passed`].
pub const PASSED_SIZE: usize = 2 * 8 + 8 * 4;

const _: () = {
    assert!(size_of::<Passed>() == PASSED_SIZE);
    assert!(size_of::<Sought>() == 12 * 4 + 2 * 8);
    assert!(size_of::<Pace>() == 6 * 8);
};

/// Whether a packet of this identity is chosen at a level.
#[inline(always)]
#[must_use]
pub const fn is_chosen(identity: u64, level: u64) -> bool {
    identity & ((1 << level) - 1) == 0
}

/// Distance of the bytes of a TCP stream that are followed at a level above 0, as a power of two.
#[inline(always)]
#[must_use]
pub const fn mark_shift(level: u64) -> u32 {
    let shift = MARK_SHIFT + level as u32 - 1;
    if shift < 31 { shift } else { 31 }
}

/// Whether bytes of a TCP stream hold one that is chosen at a level.
#[inline(always)]
#[must_use]
pub const fn holds_mark(start: u32, length: u32, level: u64) -> bool {
    if level == 0 {
        return true;
    }
    let shift = mark_shift(level);
    // The first marked byte at or behind the start.
    let mask = (1u32 << shift) - 1;
    let to_mark = start.wrapping_neg() & mask;
    to_mark < length
}

#[cfg(feature = "user")]
mod user {
    use super::{PASSED_SIZE, Pace, Passed, Sought, Traffic};

    // SAFETY: plain `repr(C)` structures of integers without padding, every bit pattern is valid.
    unsafe impl aya::Pod for Sought {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Pace {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Traffic {}

    impl Passed {
        /// Reads what the kernel wrote; `None` where it is too short to be one.
        #[must_use]
        pub fn read(bytes: &[u8]) -> Option<Self> {
            let bytes = bytes.get(..PASSED_SIZE)?;
            // SAFETY: as many bytes as the structure has, and every bit pattern is valid.
            Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_at_a_level_is_chosen_at_all_below() {
        for level in 1..MOST_LEVEL {
            for n in 0..4_000_u64 {
                let identity = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                assert!(!is_chosen(identity, level) || is_chosen(identity, level - 1));
                let (start, length) = (identity as u32, (n * 17) as u32);
                assert!(!holds_mark(start, length, level) || holds_mark(start, length, level - 1));
            }
        }
    }

    #[test]
    fn however_a_stream_is_cut_each_mark_is_in_one_piece() {
        let marks = |start: u32, length: u32| {
            let bytes = 0..length;
            bytes
                .filter(|at| start.wrapping_add(*at).is_multiple_of(2048))
                .count()
        };
        for start in [0, 1, 2047, 2048, u32::MAX - 700, u32::MAX - 4000] {
            for length in [1, 700, 1448, 2048, 9000] {
                assert_eq!(holds_mark(start, length, 1), marks(start, length) > 0);
            }
        }
        assert!(!holds_mark(2048, 0, 1));
    }
}
