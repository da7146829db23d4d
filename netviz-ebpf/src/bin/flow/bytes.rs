//! The bytes of a packet: where they are, or as a copy.

use core::{mem, ptr};

use aya_ebpf::{helpers::bpf_skb_load_bytes, programs::TcContext};

/// Upper bound for the offset of a header, which the verifier requires: at most two Ethernet headers
/// with tags, two IP headers with options and one Geneve header precede it.
const OFFSET_MASK: u32 = 0x1ff;
/// Bytes of a copy, which has room for words at each offset.
pub(crate) const COPY_SIZE: usize = 640;
/// Number of bytes that are copied at most. A power of two.
const COPIED: u32 = 256;

/// Reads words of a packet, in packet order.
pub(crate) trait Bytes {
    /// Returns `N` words at an offset, or `None` if they are not there.
    fn words<const N: usize>(&self, at: u32) -> Option<[u32; N]>;
}

/// The linear part of a packet.
pub(crate) struct Linear {
    start: usize,
    end: usize,
}

impl Linear {
    #[inline(always)]
    pub(crate) fn of(ctx: &TcContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
        }
    }

    /// Whether the packet continues behind the linear part.
    #[inline(always)]
    pub(crate) fn is_partial(&self, ctx: &TcContext) -> bool {
        self.end - self.start < ctx.len() as usize
    }
}

impl Bytes for Linear {
    #[inline(always)]
    fn words<const N: usize>(&self, at: u32) -> Option<[u32; N]> {
        let start = self.start + (at & OFFSET_MASK) as usize;
        if start + N * mem::size_of::<u32>() > self.end {
            return None;
        }
        Some(words_at(start as *const u32))
    }
}

/// A copy of the beginning of a packet.
pub(crate) struct Copy<'a> {
    bytes: &'a [u8; COPY_SIZE],
    length: u32,
}

impl<'a> Copy<'a> {
    #[inline(always)]
    pub(crate) fn of(ctx: &TcContext, bytes: &'a mut [u8; COPY_SIZE]) -> Option<Self> {
        let last = if ctx.len() < COPIED {
            ctx.len().wrapping_sub(1)
        } else {
            COPIED - 1
        };
        // Volatile, because the compiler would otherwise remove the mask. The verifier needs the mask
        // to see that the length is at least one and at most the size of the buffer. SAFETY: a local
        // variable.
        let last = unsafe { ptr::read_volatile(&raw const last) } & (COPIED - 1);
        let length = last + 1;
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: the buffer has room for the bytes.
        let failed = unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), 0, to, length) };
        (failed == 0).then_some(Self { bytes, length })
    }
}

impl Bytes for Copy<'_> {
    #[inline(always)]
    fn words<const N: usize>(&self, at: u32) -> Option<[u32; N]> {
        let at = at & OFFSET_MASK;
        if at + (N * mem::size_of::<u32>()) as u32 > self.length {
            return None;
        }
        // SAFETY: within the buffer, by the mask.
        Some(words_at(
            unsafe { self.bytes.as_ptr().add(at as usize) }.cast(),
        ))
    }
}

/// Reads words that need not be aligned: the instruction has no such requirement on the machines that
/// netviz runs on, and `read_unaligned` would read each byte by itself.
#[inline(always)]
fn words_at<const N: usize>(start: *const u32) -> [u32; N] {
    let mut words = [0; N];
    for (place, word) in words.iter_mut().enumerate() {
        // SAFETY: the caller has compared the range with the bounds, and so does the verifier.
        *word = unsafe { ptr::read_volatile(start.add(place)) };
    }
    words
}
