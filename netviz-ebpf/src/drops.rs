//! Types that the program for dropped packets shares with user space.
//!
//! The program is attached to the tracepoint `skb:kfree_skb`, which passes each packet that the
//! kernel drops. The offset of the packet's end in the kernel's structures differs between kernels;
//! user space reads it from the kernel's BTF.

/// Program for kernels that give a reason (Linux 5.17).
pub const DROP_PROGRAM: &str = "netviz_drop";
/// Program for older kernels, which report only the location.
pub const DROP_PROGRAM_BEFORE: &str = "netviz_drop_old";
/// Name of the tracepoint.
pub const TRACEPOINT: &str = "kfree_skb";
/// Ring buffer of [`Dropped`].
pub const DROPS_MAP: &str = "NETVIZ_DROPS";
/// Array with one entry: marked packets that did not fit into the ring buffer.
pub const LOST_EVENTS_MAP: &str = "NETVIZ_LOST";
/// Global: an [`Offsets`].
pub const OFFSETS_GLOBAL: &str = "NETVIZ_OFFSETS";

/// Offsets in the running kernel's structures, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `sk_buff.len`
    pub len: u32,
    /// `sk_buff.data_len`
    pub data_len: u32,
    /// `sk_buff.head`
    pub head: u32,
    /// `sk_buff.tail`: an offset from `head`, on 64-bit machines.
    pub tail: u32,
    /// `sk_buff.network_header`: an offset from `head`.
    pub network_header: u32,
    /// `sk_buff.dev`
    pub dev: u32,
    /// `net_device.ifindex`
    pub ifindex: u32,
    /// `net_device.nd_net`, a pointer to a `net`.
    pub net: u32,
    /// `net.ns.inum`
    pub inum: u32,
}

/// The kernel gave no reason.
pub const NO_REASON: u32 = u32::MAX;

/// A marked packet that the kernel dropped.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// `bpf_ktime_get_ns`: the monotonic clock.
    pub time: u64,
    /// Address of the dropping code in the kernel's text.
    pub location: u64,
    /// [`crate::crossing::Marker::flow`], in host order.
    pub flow: u32,
    /// [`crate::crossing::Marker::sequence`], in host order.
    pub sequence: u32,
    /// `enum skb_drop_reason` of the running kernel, or [`NO_REASON`].
    pub reason: u32,
    /// The packet's device; 0 without one.
    pub ifindex: u32,
    /// Inode of its network namespace.
    pub netns: u32,
    /// Unused; avoids padding.
    pub reserved: u32,
}

/// Bytes of [`Dropped`].
pub const DROPPED_SIZE: usize = 2 * 8 + 6 * 4;

const _: () = assert!(size_of::<Dropped>() == DROPPED_SIZE);

#[cfg(feature = "user")]
mod user {
    use super::{DROPPED_SIZE, Dropped, Offsets};

    // SAFETY: a plain `repr(C)` structure of integers without padding, every bit pattern is valid.
    unsafe impl aya::Pod for Offsets {}

    impl Dropped {
        /// Parses an event of the kernel; `None` if it is too short.
        #[must_use]
        pub fn read(bytes: &[u8]) -> Option<Self> {
            let bytes = bytes.get(..DROPPED_SIZE)?;
            // SAFETY: as many bytes as the structure has, and every bit pattern is valid.
            Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
        }
    }
}
