//! What the programs of `netviz verify` share with user space.
//!
//! A probe carries a [`Marker`] in the last 32 bytes of its packet, and so does every packet that
//! wraps it or quotes it: VXLAN puts headers in front, an echo gives the payload back, and an ICMP
//! error quotes the packet that it is about. So one look at a packet's end finds it, whatever
//! NAT, encapsulation or redirect did to its addresses, and without parsing anything.

/// First bytes of a [`Marker`]: whoever finds one in a capture can read whose it is.
pub const MAGIC: [u8; 8] = *b"netviz/1";
/// Bytes of a [`Marker`].
pub const MARKER_SIZE: usize = 32;

/// The end of a probe, in the order in which it stands in the packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// One for each run of netviz, by chance: several side by side do not see each other.
    pub cookie: [u8; 16],
    /// Which pair, in network order.
    pub flow: [u8; 4],
    /// Which packet of it, in network order.
    pub sequence: [u8; 4],
}

/// Ring buffer of [`Seen`].
pub const CROSSINGS_MAP: &str = "NETVIZ_SEEN";
/// Bytes of it, unless user space asks for more: for 300 packets, taken out as they come.
pub const CROSSINGS_ROOM: u32 = 64 * 1024;
/// Per-CPU array with one entry: marked packets for which the ring buffer had no room.
pub const MISSED_MAP: &str = "NETVIZ_MISSED";
/// Program for a door's ingress hook.
pub const SEE_INGRESS_PROGRAM: &str = "netviz_see_in";
/// Program for a door's egress hook.
pub const SEE_EGRESS_PROGRAM: &str = "netviz_see_out";
/// Global: [`Marker::cookie`] as it stands in the packet, read as two numbers.
pub const COOKIE_GLOBAL: &str = "NETVIZ_COOKIE";
/// Global: the shortest and the longest packet that is looked at, `skb->len` in bytes.
pub const LENGTHS_GLOBAL: &str = "NETVIZ_LENGTHS";
/// Global: see [`TcpReplies`].
pub const TCP_GLOBAL: &str = "NETVIZ_TCP";

/// How the answers to marked SYNs are recognised, which have no room for a marker: they acknowledge
/// the sequence number that the SYN began with, of which the upper half is chosen by chance.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpReplies {
    /// Whether to look for them.
    pub wanted: u32,
    /// The upper 16 bits of the initial sequence numbers.
    pub prefix: u32,
}

/// Bytes of a packet's beginning that user space gets to see: an outer Ethernet, IPv6 and UDP
/// header, VXLAN, and the inner Ethernet, IPv6 and TCP headers.
pub const HEAD_SIZE: usize = 160;

/// The packet had a tunnel key.
pub const HAS_TUNNEL: u32 = 1;
/// It was recognised by [`TcpReplies`]: `flow` and `sequence` hold the acknowledged number.
pub const IS_TCP_REPLY: u32 = 2;
/// Seen at the egress hook, otherwise at the ingress hook.
pub const IS_EGRESS: u32 = 4;

/// One marked packet at one hook.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `bpf_ktime_get_ns`: the monotonic clock.
    pub time: u64,
    /// [`Marker::flow`], in host order.
    pub flow: u32,
    /// [`Marker::sequence`], in host order.
    pub sequence: u32,
    /// [`HAS_TUNNEL`], [`IS_TCP_REPLY`], [`IS_EGRESS`].
    pub flags: u32,
    /// Security identity in the tunnel key.
    pub identity: u32,
    /// The tunnel's other end as the key has it at ingress, IPv4 in host order.
    pub remote: u32,
    /// The tunnel's other end as the key has it at egress, IPv4 in host order.
    pub local: u32,
    /// `skb->len`.
    pub length: u32,
    /// How much of `head` is filled.
    pub head_length: u32,
    /// Beginning of the packet as it stands at the hook.
    pub head: [u8; HEAD_SIZE],
}

/// Bytes of [`Seen`].
pub const SEEN_SIZE: usize = 8 + 8 * 4 + HEAD_SIZE;

#[cfg(feature = "user")]
mod user {
    use super::{Marker, SEEN_SIZE, Seen, TcpReplies};

    // SAFETY: plain `repr(C)` structures of integers without padding, every bit pattern is valid.
    unsafe impl aya::Pod for TcpReplies {}

    impl Seen {
        /// Reads what the kernel wrote; `None` where it is too short to be one.
        #[must_use]
        pub fn read(bytes: &[u8]) -> Option<Self> {
            let bytes = bytes.get(..SEEN_SIZE)?;
            // SAFETY: as many bytes as the structure has, and every bit pattern is valid.
            Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
        }
    }

    impl Marker {
        /// As it stands in the packet.
        #[must_use]
        pub fn bytes(&self) -> [u8; super::MARKER_SIZE] {
            let Self {
                magic,
                cookie,
                flow,
                sequence,
            } = self;
            let mut bytes = [0; super::MARKER_SIZE];
            bytes[..8].copy_from_slice(magic);
            bytes[8..24].copy_from_slice(cookie);
            bytes[24..28].copy_from_slice(flow);
            bytes[28..].copy_from_slice(sequence);
            bytes
        }

        /// The marker at the end of `packet`, of whichever run.
        #[must_use]
        pub fn at_end(packet: &[u8]) -> Option<Self> {
            let bytes = packet.last_chunk::<{ super::MARKER_SIZE }>()?;
            let marker = Self {
                magic: bytes[..8].try_into().ok()?,
                cookie: bytes[8..24].try_into().ok()?,
                flow: bytes[24..28].try_into().ok()?,
                sequence: bytes[28..].try_into().ok()?,
            };
            (marker.magic == super::MAGIC).then_some(marker)
        }
    }
}

const _: () = {
    assert!(size_of::<Marker>() == MARKER_SIZE);
    assert!(size_of::<Seen>() == SEEN_SIZE);
};
