//! ICMP echo, built and read by hand.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// What a request asks to have back.
const PAYLOAD: &[u8] = b"netviz laboratory echo, 32 bytes";

/// Type of (request, reply) in each family.
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// A raw ICMP socket in the calling thread's namespace, to be used with `send` and `recv` once it
/// is connected, or with `send_to` and `recv_from`.
pub(super) fn open(to: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    // Not a UDP socket; the type only lends its safe methods, which are those of any datagrams.
    Ok(UdpSocket::from(socket))
}

/// Where a raw socket sends to: ports mean nothing there, and IPv6 wants none.
pub(super) fn destination(to: IpAddr) -> SocketAddr {
    SocketAddr::new(to, 0)
}

/// An echo request. In IPv6 the kernel adds the checksum, which covers the addresses.
pub(super) fn request(to: IpAddr, identifier: u16, sequence: u16) -> Bytes {
    let mut message = BytesMut::with_capacity(8 + PAYLOAD.len());
    message.put_u8(if to.is_ipv4() { ECHO_V4.0 } else { ECHO_V6.0 });
    message.put_u8(0);
    message.put_u16(0);
    message.put_u16(identifier);
    message.put_u16(sequence);
    message.put_slice(PAYLOAD);
    if to.is_ipv4() {
        let checksum = checksum(&message).to_be_bytes();
        message[2..4].copy_from_slice(&checksum);
    }
    message.freeze()
}

/// Identifier and sequence number, if `datagram` is an echo reply as the raw socket gives it: an
/// IPv4 socket with the IP header, an IPv6 one without.
pub(super) fn reply(datagram: &[u8], is_v4: bool) -> Option<(u16, u16)> {
    let header = match datagram.first() {
        Some(first) if is_v4 => usize::from(first & 0x0f) * 4,
        _ => 0,
    };
    let message = datagram.get(header..)?;
    let expected = if is_v4 { ECHO_V4.1 } else { ECHO_V6.1 };
    if *message.first()? != expected {
        return None;
    }
    let identifier = message.get(4..6)?.try_into().ok()?;
    let sequence = message.get(6..8)?.try_into().ok()?;
    Some((u16::from_be_bytes(identifier), u16::from_be_bytes(sequence)))
}

/// The Internet checksum (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let mut sum: u32 = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_request_sums_up_to_zero() {
        let request = request(Ipv4Addr::LOCALHOST.into(), 0x1234, 7);
        assert_eq!(request.len(), 40);
        assert_eq!(checksum(&request), 0);
        assert_eq!(checksum(&[0x45, 0x00, 0x01]), !0x4600);
    }

    #[test]
    fn replies_are_recognised_in_both_families() {
        let mut v6 = request(Ipv6Addr::LOCALHOST.into(), 0x1234, 7).to_vec();
        assert_eq!(reply(&v6, false), None);
        v6[0] = ECHO_V6.1;
        assert_eq!(reply(&v6, false), Some((0x1234, 7)));
        let mut v4 = vec![0x45; 20];
        v4.extend_from_slice(&request(Ipv4Addr::LOCALHOST.into(), 1, 2));
        v4[20] = ECHO_V4.1;
        assert_eq!(reply(&v4, true), Some((1, 2)));
        assert_eq!(reply(&v4[..25], true), None);
        assert_eq!(reply(&[], true), None);
    }
}
