//! The header fields that the lab's programs read.

use aya_ebpf::programs::TcContext;
use netviz_ebpf::lab::mapped;

/// Ethernet types in network order, as in `skb->protocol`.
const IPV4: u32 = 0x0800_u16.to_be() as u32;
const IPV6: u32 = 0x86dd_u16.to_be() as u32;

/// Offset of the network header: all packets here are Ethernet.
pub(super) const NETWORK: usize = 14;

/// Addresses of one packet.
#[derive(Clone, Copy)]
pub(super) struct Packet {
    /// False for IPv6.
    pub(super) is_v4: bool,
    pub(super) source: [u8; 16],
    pub(super) destination: [u8; 16],
}

impl Packet {
    /// Reads the addresses; `None` for other protocols than IPv4 and IPv6.
    #[inline(always)]
    pub(super) fn read(ctx: &TcContext) -> Result<Option<Self>, i64> {
        let packet = match ctx.skb.protocol() {
            IPV4 => Self {
                is_v4: true,
                source: mapped(ctx.load(NETWORK + 12)?),
                destination: mapped(ctx.load(NETWORK + 16)?),
            },
            IPV6 => Self {
                is_v4: false,
                source: ctx.load(NETWORK + 8)?,
                destination: ctx.load(NETWORK + 24)?,
            },
            _ => return Ok(None),
        };
        Ok(Some(packet))
    }

    #[inline(always)]
    pub(super) fn source_v4(&self) -> Option<[u8; 4]> {
        let [.., a, b, c, d] = self.source;
        self.is_v4.then_some([a, b, c, d])
    }

    #[inline(always)]
    pub(super) fn destination_v4(&self) -> Option<[u8; 4]> {
        let [.., a, b, c, d] = self.destination;
        self.is_v4.then_some([a, b, c, d])
    }

    /// Returns the same packet with another destination.
    #[inline(always)]
    pub(super) fn sent_to(self, destination: [u8; 4]) -> Self {
        Self {
            destination: mapped(destination),
            ..self
        }
    }

    /// Decrements the TTL, as every router does; an error if it is used up.
    #[inline(always)]
    pub(super) fn age(&self, ctx: &TcContext) -> Result<(), i64> {
        let offset = if self.is_v4 { NETWORK + 8 } else { NETWORK + 7 };
        let ttl: u8 = ctx.load(offset)?;
        if ttl <= 1 {
            return Err(-1);
        }
        if self.is_v4 {
            // The checksum is over 16-bit words, and the TTL is the first byte of its word.
            let from = u64::from(u16::from_ne_bytes([ttl, 0]));
            let to = u64::from(u16::from_ne_bytes([ttl - 1, 0]));
            ctx.l3_csum_replace(NETWORK + 10, from, to, 2)?;
        }
        ctx.store(offset, &(ttl - 1), 0)
    }
}
