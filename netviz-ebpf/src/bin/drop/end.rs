//! Finds where a packet ends in a longer frame: Ethernet pads short frames, and some devices append
//! trailers. A packet that the kernel drops has no context to load bytes from: the kernel's memory is
//! read.

use netviz_ebpf::follow::{GENEVE, TUNNEL_PORTS};

use super::field;

const ETHERNET: usize = 14;
const TAG: usize = 4;
const IPV6_HEADER: usize = 40;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const TUNNEL_HEADER: usize = 8;

/// Addresses in a frame, by an IP header.
pub(super) struct Packet {
    pub(super) end: usize,
    transport: usize,
    is_udp: bool,
}

/// Reads the IP header at an address, or behind a VLAN tag there.
#[inline(always)]
pub(super) fn packet(at: usize) -> Option<Packet> {
    header(at).or_else(|| header(at.wrapping_add(TAG)))
}

#[inline(always)]
fn header(at: usize) -> Option<Packet> {
    let start: [u8; 10] = field(at, 0)?;
    let [
        first,
        _,
        total_high,
        total_low,
        high,
        low,
        next,
        _,
        _,
        protocol,
    ] = start;
    match first >> 4 {
        4 => Some(Packet {
            end: at.wrapping_add(usize::from(u16::from_be_bytes([total_high, total_low]))),
            transport: at.wrapping_add(usize::from(first & 0xf) * 4),
            is_udp: protocol == UDP,
        }),
        6 => Some(Packet {
            end: at.wrapping_add(IPV6_HEADER + usize::from(u16::from_be_bytes([high, low]))),
            transport: at.wrapping_add(IPV6_HEADER),
            is_udp: next == UDP,
        }),
        _ => None,
    }
}

impl Packet {
    /// Returns the packet inside of a tunnel's packet.
    #[inline(always)]
    pub(super) fn inside(&self) -> Option<Self> {
        if !self.is_udp {
            return None;
        }
        let [high, low]: [u8; 2] = field(self.transport, 2)?;
        let port = u16::from_be_bytes([high, low]);
        if port != TUNNEL_PORTS[0] && port != TUNNEL_PORTS[1] && port != TUNNEL_PORTS[2] {
            return None;
        }
        let first: u8 = field(self.transport, UDP_HEADER as u32)?;
        // Geneve: the lower six bits are the length of the options in words.
        let options = if port == GENEVE {
            usize::from(first & 0x3f) * 4
        } else {
            0
        };
        packet(
            self.transport
                .wrapping_add(UDP_HEADER + TUNNEL_HEADER + ETHERNET + options),
        )
    }
}
