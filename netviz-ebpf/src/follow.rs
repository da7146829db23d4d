//! Types that the programs of `netviz verify --passive` share with user space.
//!
//! Packets of other programs carry no marker. They are selected by their two addresses, in the
//! packet itself or in an encapsulated one, and identified by a hash of the fields that do not
//! change on the path: protocol, IP ID, ports, sequence numbers, beginning of the payload. All
//! packets are counted. To limit the cost of heavy traffic, only a sample is reported: each door
//! samples by the hash, so all doors select the same packets (Duffield and Grossglauser,
//! "Trajectory sampling for direct traffic observation", 2001), and a door at a higher sampling
//! level selects a subset of the others' packets. TCP payload is followed by byte positions,
//! because segments are split and merged.

/// UDP ports of tunnels: VXLAN as in Linux and Cilium, VXLAN as registered, and Geneve.
pub const TUNNEL_PORTS: [u16; 3] = [8472, 4789, GENEVE];
/// UDP port of Geneve, whose header has options.
pub const GENEVE: u16 = 6081;

/// Program for a door's ingress hook.
pub const FOLLOW_INGRESS_PROGRAM: &str = "netviz_fol_in";
/// Program for a door's egress hook.
pub const FOLLOW_EGRESS_PROGRAM: &str = "netviz_fol_out";
/// Ring buffer of [`PairPacket`].
pub const PACKETS_MAP: &str = "NETVIZ_PACKETS";
/// Size of the ring buffer in bytes: 2 000 packets, because user space reads continuously.
pub const PASSED_ROOM: u32 = 128 * 1024;
/// Per-CPU array with one entry: selected packets that did not fit into the ring buffer.
pub const OVERFLOW_MAP: &str = "NETVIZ_OVERFLOW";
/// Array with one entry, a [`Pace`].
pub const PACE_MAP: &str = "NETVIZ_PACE";
/// Per-CPU array with one entry, a [`Traffic`].
pub const TRAFFIC_MAP: &str = "NETVIZ_TRAFFIC";
/// Global: a [`PairFilter`].
pub const FILTER_GLOBAL: &str = "NETVIZ_FILTER";

/// Filter for packets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairFilter {
    /// A's address in packet order; only the first word for IPv4.
    pub from: [u32; 4],
    /// B's address.
    pub to: [u32; 4],
    /// 4 or 6.
    pub family: u32,
    /// IP protocol; 0 for any.
    pub protocol: u32,
    /// B's port; 0 for any.
    pub port: u32,
    /// Unused; avoids padding.
    pub reserved: u32,
    /// Budget, in nanoseconds, that one reported packet costs.
    pub step: u64,
    /// Budget, in nanoseconds, that a burst can use in advance.
    pub burst: u64,
}

/// Time limits and sampling level.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Nothing is reported before this time (`bpf_ktime_get_ns`).
    pub from: u64,
    /// Nothing is counted before this time.
    pub counted: u64,
    /// Nothing is counted from this time on.
    pub until: u64,
    /// Nothing is reported from this time on.
    pub end: u64,
    /// Time until which the budget is used up.
    pub due: u64,
    /// One in 2^level packets is reported; the level only rises.
    pub level: u64,
}

/// Highest level.
pub const MOST_LEVEL: u64 = 24;
/// At level 1, byte positions of a TCP stream that are multiples of 2 to this power are followed;
/// at each higher level, half of them.
pub const MARK_SHIFT: u32 = 11;

/// Packets of one direction at one hook.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets on the wire, `max(1, gso_segs)` for each socket buffer.
    pub packets: u64,
    /// `skb->len` in bytes.
    pub bytes: u64,
    /// Packets that shared a socket buffer and are not part of a TCP stream (UDP GSO and GRO). They
    /// are split and merged on the way, and therefore not reported.
    pub bundled: u64,
}

/// All packets of the pair at one door, reported or not.
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
/// Inside a tunnel packet.
pub const IS_OUTER: u32 = 16;
/// Carries bytes of a TCP stream: `start` and `length`.
pub const IS_STREAM: u32 = 32;
/// Needs a reply: an echo request, a TCP segment with a payload, SYN or FIN.
pub const ASKS: u32 = 64;

/// One packet at one hook. `flags` contains [`IS_REPLY`] and the flags after it, and
/// [`crate::crossing::IS_EGRESS`] and [`crate::crossing::HAS_TUNNEL`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairPacket {
    /// `bpf_ktime_get_ns`: the monotonic clock.
    pub time: u64,
    /// Identity of the packet; for TCP with a payload, identity of its stream.
    pub identity: u64,
    /// See above.
    pub flags: u32,
    /// Security identity in the tunnel key.
    pub key: u32,
    /// As [`crate::crossing::MarkedPacket::remote`].
    pub remote: u32,
    /// As [`crate::crossing::MarkedPacket::local`].
    pub local: u32,
    /// TCP sequence number of its first byte.
    pub start: u32,
    /// Bytes of TCP payload.
    pub length: u32,
    /// Time to live, or hop limit.
    pub ttl: u32,
    /// Unused; avoids padding.
    pub reserved: u32,
}

/// Bytes of [`PairPacket`].
pub const PAIR_PACKET_SIZE: usize = 2 * 8 + 8 * 4;

const _: () = {
    assert!(size_of::<PairPacket>() == PAIR_PACKET_SIZE);
    assert!(size_of::<PairFilter>() == 12 * 4 + 2 * 8);
    assert!(size_of::<Pace>() == 6 * 8);
};

/// Returns true if a level selects a packet with this identity.
#[inline(always)]
#[must_use]
pub const fn is_chosen(identity: u64, level: u64) -> bool {
    identity & ((1 << level) - 1) == 0
}

/// Returns the distance of the followed byte positions of a TCP stream at a level above 0, as a
/// power of two.
#[inline(always)]
#[must_use]
pub const fn mark_shift(level: u64) -> u32 {
    let shift = MARK_SHIFT + level as u32 - 1;
    if shift < 31 { shift } else { 31 }
}

/// Returns true if these bytes of a TCP stream contain a position that the level selects.
#[inline(always)]
#[must_use]
pub const fn holds_mark(start: u32, length: u32, level: u64) -> bool {
    if level == 0 {
        return true;
    }
    let shift = mark_shift(level);
    // The first selected position at or after the start.
    let mask = (1u32 << shift) - 1;
    let to_mark = start.wrapping_neg() & mask;
    to_mark < length
}

#[cfg(feature = "user")]
mod user {
    use super::{PAIR_PACKET_SIZE, Pace, PairFilter, PairPacket, Traffic};

    // SAFETY: plain `repr(C)` structures of integers without padding, every bit pattern is valid.
    unsafe impl aya::Pod for PairFilter {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Pace {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Traffic {}

    impl PairPacket {
        /// Parses an event of the kernel; `None` if it is too short.
        #[must_use]
        pub fn read(bytes: &[u8]) -> Option<Self> {
            let bytes = bytes.get(..PAIR_PACKET_SIZE)?;
            // SAFETY: as many bytes as the structure has, and every bit pattern is valid.
            Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_level_selects_a_subset() {
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
    fn stream_position_is_in_exactly_one_segment() {
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
