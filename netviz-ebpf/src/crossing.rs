//! Types that the programs of `netviz verify` share with user space.
//!
//! A probe carries a [`Marker`] in the last 32 bytes of its packet. So does every packet that
//! encapsulates or quotes it: VXLAN prepends headers, an echo returns the payload, and an ICMP
//! error quotes the original packet. Comparing the end of a packet therefore finds a probe, whatever
//! NAT, encapsulation or redirects did to its addresses. A frame may be longer than its packet, as
//! Ethernet pads short frames: the packet ends where its IP header says.

/// First bytes of a [`Marker`], which identify netviz in a packet capture.
pub const MAGIC: [u8; 8] = *b"netviz/1";
/// Bytes of a [`Marker`].
pub const MARKER_SIZE: usize = 32;

/// The last bytes of a probe, in packet order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marker {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// A random number for each run of netviz, so that concurrent runs ignore each other's packets.
    pub cookie: [u8; 16],
    /// Index of the pair, in network order.
    pub flow: [u8; 4],
    /// Number of the packet within its pair, in network order.
    pub sequence: [u8; 4],
}

/// Ring buffer of [`MarkedPacket`].
pub const CROSSINGS_MAP: &str = "NETVIZ_SEEN";
/// Default size of the ring buffer in bytes: 300 packets, because user space reads continuously.
pub const CROSSINGS_ROOM: u32 = 64 * 1024;
/// Per-CPU array with one entry: marked packets that did not fit into the ring buffer.
pub const MISSED_MAP: &str = "NETVIZ_MISSED";
/// Program for a door's ingress hook.
pub const SEE_INGRESS_PROGRAM: &str = "netviz_see_in";
/// Program for a door's egress hook.
pub const SEE_EGRESS_PROGRAM: &str = "netviz_see_out";
/// Global: [`Marker::cookie`] in packet order, as two numbers.
pub const COOKIE_GLOBAL: &str = "NETVIZ_COOKIE";
/// Global: length of the shortest and the longest packet to compare, `skb->len` in bytes.
pub const LENGTHS_GLOBAL: &str = "NETVIZ_LENGTHS";
/// Global: see [`TcpReplies`].
pub const TCP_GLOBAL: &str = "NETVIZ_TCP";

/// How to recognise replies to marked SYNs, which have no room for a marker: by the acknowledged
/// sequence number, whose upper half is random.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpReplies {
    /// 1 to recognise replies, else 0.
    pub wanted: u32,
    /// The upper 16 bits of the initial sequence numbers.
    pub prefix: u32,
}

/// Bytes from the beginning of a packet that user space receives: outer Ethernet, IPv6 and UDP
/// headers, VXLAN, and the inner Ethernet, IPv6 and TCP headers.
pub const HEAD_SIZE: usize = 160;

/// The packet had a tunnel key.
pub const HAS_TUNNEL: u32 = 1;
/// Recognised by [`TcpReplies`]: `flow` and `sequence` hold the acknowledgement number.
pub const IS_TCP_REPLY: u32 = 2;
/// At the egress hook; otherwise at the ingress hook.
pub const IS_EGRESS: u32 = 4;

/// One marked packet at one hook.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkedPacket {
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
    /// Remote address of the tunnel key at ingress, IPv4 in host order.
    pub remote: u32,
    /// Local address of the tunnel key at egress, IPv4 in host order: the remote end.
    pub local: u32,
    /// `skb->len`.
    pub length: u32,
    /// Number of valid bytes in `head`.
    pub head_length: u32,
    /// Beginning of the packet at the hook.
    pub head: [u8; HEAD_SIZE],
}

/// Bytes of [`MarkedPacket`].
pub const MARKED_PACKET_SIZE: usize = 8 + 8 * 4 + HEAD_SIZE;

#[cfg(feature = "user")]
mod user {
    use super::{MARKED_PACKET_SIZE, MarkedPacket, Marker, TcpReplies};

    // SAFETY: plain `repr(C)` structures of integers without padding, every bit pattern is valid.
    unsafe impl aya::Pod for TcpReplies {}

    impl MarkedPacket {
        /// Parses an event of the kernel; `None` if it is too short.
        #[must_use]
        pub fn read(bytes: &[u8]) -> Option<Self> {
            let bytes = bytes.get(..MARKED_PACKET_SIZE)?;
            // SAFETY: as many bytes as the structure has, and every bit pattern is valid.
            Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
        }
    }

    impl Marker {
        /// Returns the marker in packet order.
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

        /// Returns the marker at the end of `packet`, of any run.
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
    assert!(size_of::<MarkedPacket>() == MARKED_PACKET_SIZE);
};
