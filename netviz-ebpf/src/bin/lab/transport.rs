//! Ports and checksums of TCP and UDP, and the translation of one end of a flow.

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    programs::TcContext,
};

use super::packet::NETWORK;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// One flow, as the pod or the network sees it, in network order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub(super) near: [u8; 4],
    pub(super) far: [u8; 4],
    pub(super) near_port: u16,
    pub(super) far_port: u16,
    pub(super) protocol: u32,
}

impl Flow {
    pub(super) const fn near_end(&self) -> End {
        End::new(self.near, self.near_port)
    }

    pub(super) const fn far_end(&self) -> End {
        End::new(self.far, self.far_port)
    }
}

/// One end of a flow, in network order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) address: [u8; 4],
    pub(super) port: u16,
    padding: u16,
}

impl End {
    pub(super) const fn new(address: [u8; 4], port: u16) -> Self {
        Self {
            address,
            port,
            padding: 0,
        }
    }
}

/// Source or destination.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Offset of its address in an IPv4 header.
    const fn address(self) -> usize {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }

    /// Offset of its port in a TCP or UDP header.
    const fn port(self) -> usize {
        match self {
            Self::Source => 0,
            Self::Destination => 2,
        }
    }
}

/// Offsets of the fields to rewrite.
pub(super) struct Layout {
    /// The end's port; in ICMP echo, the identifier.
    pub(super) port: usize,
    pub(super) checksum: usize,
    /// Flags for the checksum when an address changes; `None` if the checksum covers no address.
    pub(super) address_flags: Option<u64>,
    pub(super) port_flags: u64,
}

impl Layout {
    /// Returns the offsets of one end, after an IPv4 header that ends at `transport`; `None` for
    /// other protocols than TCP and UDP.
    #[inline(always)]
    pub(super) fn of(protocol: u8, transport: usize, side: Side) -> Option<Self> {
        let pseudo = u64::from(BPF_F_PSEUDO_HDR);
        let mangled = u64::from(BPF_F_MARK_MANGLED_0);
        let port = transport + side.port();
        match protocol {
            TCP => Some(Self {
                port,
                checksum: transport + 16,
                address_flags: Some(pseudo),
                port_flags: 0,
            }),
            UDP => Some(Self {
                port,
                checksum: transport + 6,
                address_flags: Some(pseudo | mangled),
                port_flags: mangled,
            }),
            _ => None,
        }
    }
}

/// Returns the end of the IPv4 header, and the protocol after it.
#[inline(always)]
pub(super) fn behind_ip(ctx: &TcContext) -> Result<(usize, u8), i64> {
    let words: u8 = ctx.load(NETWORK)?;
    let transport = NETWORK + usize::from(words & 0x0f) * 4;
    Ok((transport, ctx.load(NETWORK + 9)?))
}

/// Rewrites one end of a packet from `from` to the address and port of `to`.
#[inline(always)]
pub(super) fn rewrite(
    ctx: &TcContext,
    layout: &Layout,
    side: Side,
    from: End,
    to: End,
) -> Result<(), i64> {
    let old = u64::from(u32::from_ne_bytes(from.address));
    let new = u64::from(u32::from_ne_bytes(to.address));
    if let Some(flags) = layout.address_flags {
        ctx.l4_csum_replace(layout.checksum, old, new, flags | 4)?;
    }
    let (old_port, new_port) = (u64::from(from.port), u64::from(to.port));
    ctx.l4_csum_replace(layout.checksum, old_port, new_port, layout.port_flags | 2)?;
    ctx.l3_csum_replace(NETWORK + 10, old, new, 4)?;
    ctx.store(layout.port, &to.port, 0)?;
    ctx.store(NETWORK + side.address(), &to.address, 0)
}
