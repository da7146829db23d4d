//! ICMP: echo, and the kinds of messages.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// Type of a reply in each family.
const REPLY_V4: u8 = 0;
const REPLY_V6: u8 = 129;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    EchoRequest,
    EchoReply,
    PortUnreachable,
    ProtocolUnreachable,
    Redirect,
    /// Any other message: an error about the packet that it quotes.
    Error,
}

impl Message {
    /// By type and code in one of the families.
    pub(crate) const fn new(is_v4: bool, kind: u8, code: u8) -> Self {
        match (is_v4, kind, code) {
            (true, 8, _) | (false, 128, _) => Self::EchoRequest,
            (true, REPLY_V4, _) | (false, REPLY_V6, _) => Self::EchoReply,
            (true, 3, 3) | (false, 1, 4) => Self::PortUnreachable,
            (true, 3, 2) | (false, 4, 1) => Self::ProtocolUnreachable,
            (true, 5, _) | (false, 137, _) => Self::Redirect,
            _ => Self::Error,
        }
    }
}

/// A raw ICMP socket in the calling thread's namespace, to be used with `send` and `recv` once it
/// is connected, or with `send_to` and `recv_from`.
pub(crate) fn open(to: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    // Not a UDP socket: only its safe methods for datagrams are used.
    Ok(UdpSocket::from(socket))
}

/// The destination of a raw socket: it has no ports, and IPv6 refuses one.
pub(crate) fn destination(to: IpAddr) -> SocketAddr {
    SocketAddr::new(to, 0)
}

/// An echo request. In IPv6 the kernel adds the checksum, which covers the addresses.
pub(crate) fn request(to: IpAddr, id: u16, seq: u16, payload: &[u8]) -> Bytes {
    let echo = IcmpEchoHeader { id, seq };
    let mut message = BytesMut::with_capacity(8 + payload.len());
    match to {
        IpAddr::V4(_) => {
            let request = Icmpv4Type::EchoRequest(echo);
            message.put_slice(&Icmpv4Header::with_checksum(request, payload).to_bytes());
        }
        IpAddr::V6(_) => {
            message.put_slice(&Icmpv6Header::new(Icmpv6Type::EchoRequest(echo)).to_bytes());
        }
    }
    message.put_slice(payload);
    message.freeze()
}

/// Identifier and sequence number, if `datagram` is an echo reply as the raw socket gives it: an
/// IPv4 socket with the IP header, an IPv6 one without.
pub(crate) fn reply(datagram: &[u8], is_v4: bool) -> Option<(u16, u16)> {
    let header = match datagram.first() {
        Some(first) if is_v4 => usize::from(first & 0x0f) * 4,
        _ => 0,
    };
    let message = datagram.get(header..)?;
    let expected = if is_v4 { REPLY_V4 } else { REPLY_V6 };
    if *message.first()? != expected {
        return None;
    }
    let identifier = message.get(4..6)?.try_into().ok()?;
    let sequence = message.get(6..8)?.try_into().ok()?;
    Some((u16::from_be_bytes(identifier), u16::from_be_bytes(sequence)))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn request_has_a_valid_checksum() {
        let request = request(Ipv4Addr::LOCALHOST.into(), 0x1234, 7, &[0x6e; 32]);
        assert_eq!(request.len(), 40);
        let words = request.chunks(2);
        let sum: u32 = words
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn replies_are_recognised_in_both_families() {
        let mut v6 = request(Ipv6Addr::LOCALHOST.into(), 0x1234, 7, &[]).to_vec();
        assert_eq!(reply(&v6, false), None);
        v6[0] = REPLY_V6;
        assert_eq!(reply(&v6, false), Some((0x1234, 7)));
        let mut v4 = vec![0x45; 20];
        v4.extend_from_slice(&request(Ipv4Addr::LOCALHOST.into(), 1, 2, &[]));
        v4[20] = REPLY_V4;
        assert_eq!(reply(&v4, true), Some((1, 2)));
        assert_eq!(reply(&v4[..25], true), None);
        assert_eq!(reply(&[], true), None);
    }
}
