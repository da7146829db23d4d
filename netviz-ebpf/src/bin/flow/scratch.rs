//! Where a packet is taken apart.
//!
//! Not on the stack: the verifier follows each known value there on each path and checks the code after
//! it once for each. What is read from a map is unknown to it, so it checks that code once, and loading
//! is many times faster.

use core::ptr;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use netviz_ebpf::flow::FlowKey;

use super::bytes::COPY_SIZE;

/// A packet's flow, and what changes with each packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) key: FlowKey,
    pub(crate) tcp: Segment,
    pub(crate) outer_source: [u32; 4],
    pub(crate) outer_destination: [u32; 4],
}

/// A TCP segment; zeros for other packets.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) flags: u32,
    /// Sequence number after the segment.
    pub(crate) next: u32,
    /// Sequence numbers that it uses; 0 for a mere acknowledgement.
    pub(crate) length: u32,
    /// Not 0 if the packet's outer addresses are set.
    pub(crate) has_outer: u32,
}

/// An IP header.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Header {
    /// Offset of the header.
    pub(crate) at: u32,
    /// Offset of the transport header.
    pub(crate) transport: u32,
    /// Bytes from there on; 0 if the header has no length.
    pub(crate) length: u32,
    pub(crate) id: u32,
    /// [`WHOLE`], [`FIRST`] or [`REST`].
    pub(crate) part: u32,
}

/// A packet that is no fragment.
pub(crate) const WHOLE: u32 = 0;
/// A first fragment, which has a transport header.
pub(crate) const FIRST: u32 = 1;
/// Another fragment.
pub(crate) const REST: u32 = 2;

#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) packet: Packet,
    pub(crate) header: Header,
    /// The packet inside of a tunnel packet.
    pub(crate) inner: Packet,
    pub(crate) inner_header: Header,
    /// Time of the packet.
    pub(crate) now: u64,
    pub(crate) copy: [u8; COPY_SIZE],
}

#[map]
static NETVIZ_FLOW_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Returns the scratch memory of this CPU.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    let scratch = NETVIZ_FLOW_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the map's own entry on this CPU. A hook runs with softirqs off, so nothing else uses it
    // at the same time; a program takes it once.
    Some(unsafe { &mut *scratch })
}

/// Reads a value again, so that neither the compiler nor the verifier knows it.
#[inline(always)]
pub(crate) fn unknown(value: &u32) -> u32 {
    // SAFETY: a reference.
    unsafe { ptr::read_volatile(value) }
}

impl Packet {
    /// Begins with an empty packet.
    #[inline(always)]
    pub(crate) fn clear(&mut self, door: u16, flags: u8, epoch: u32) {
        clear(&mut self.key);
        clear(&mut self.tcp);
        self.key.door = door;
        self.key.flags = flags;
        self.key.epoch = epoch;
    }
}

/// Writes zeros. Volatile, because the compiler would otherwise call a function that writes each byte by
/// itself.
#[inline(always)]
pub(crate) fn clear<T>(value: &mut T) {
    let words: *mut u64 = ptr::from_mut(value).cast();
    for word in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: within the value, whose types are aligned to 8 bytes and consist of integers.
        unsafe { ptr::write_volatile(words.add(word), 0) };
    }
}
