//! Finds where a packet ends in a longer frame: Ethernet pads short frames, and some devices append
//! trailers.

use core::ptr;

use aya_ebpf::programs::TcContext;

use crate::packet::{UDP, beginning, inside, near};

const IPV6_HEADER: u32 = 40;

/// Offsets in a frame, by an IP header.
struct Packet {
    end: u32,
    transport: u32,
    is_udp: bool,
}

/// Returns the offset at which the packet ends by its header; that of the inner packet of a tunnel's.
#[inline(always)]
pub(crate) fn of_packet(ctx: &TcContext) -> Option<u32> {
    let outside = packet(ctx, unknown(beginning(ctx)?))?;
    let end = if outside.is_udp
        && let Some(at) = inside(ctx, unknown(outside.transport))
    {
        packet(ctx, unknown(at))?.end
    } else {
        outside.end
    };
    Some(unknown(end))
}

#[inline(always)]
fn packet(ctx: &TcContext, at: u32) -> Option<Packet> {
    let [first, second, third]: [u32; 3] = near(ctx, at)?;
    let [version, _, high, low] = first.to_ne_bytes();
    if version >> 4 == 4 {
        let [_, protocol, ..] = third.to_ne_bytes();
        return Some(Packet {
            end: at + u32::from(u16::from_be_bytes([high, low])),
            transport: at + u32::from(version & 0xf) * 4,
            is_udp: u32::from(protocol) == UDP,
        });
    }
    let [high, low, next, _] = second.to_ne_bytes();
    (version >> 4 == 6).then(|| Packet {
        end: at + IPV6_HEADER + u32::from(u16::from_be_bytes([high, low])),
        transport: at + IPV6_HEADER,
        is_udp: u32::from(next) == UDP,
    })
}

/// Returns the same number, unknown to the verifier, which checks what follows once per known value:
/// it loses track of a number that is written in halves.
#[inline(always)]
fn unknown(number: u32) -> u32 {
    let mut whole = 0_u32;
    let halves = (&raw mut whole).cast::<u16>();
    // SAFETY: a local variable. The accesses are volatile because the compiler would otherwise remove
    // the detour through memory.
    unsafe {
        ptr::write_volatile(halves, number as u16);
        ptr::write_volatile(halves.add(1), (number >> 16) as u16);
        ptr::read_volatile(&raw const whole)
    }
}
