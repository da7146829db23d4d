//! ICMP errors from a socket's error queue (ip(7), `IP_RECVERR`).

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, UdpSocket},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

use crate::{sys::icmp::Message, verify::Refusal};

/// An error that a router, the destination or the sender's own kernel reports.
pub(super) struct IcmpError {
    /// What is wrong.
    pub(super) text: String,
    /// The sender of the error; `None`: the own kernel.
    pub(super) from: Option<IpAddr>,
    /// If the protocol or port has no listener.
    pub(super) refusal: Option<Refusal>,
    /// The quoted part of the packet: from its payload on for UDP, else from its transport header on.
    pub(super) quoted: Vec<u8>,
}

/// Makes the kernel queue errors for [`next`].
pub(super) fn enable(socket: &UdpSocket, to: IpAddr) -> io::Result<()> {
    match to {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// The next error. A redirect is none: the packet was forwarded.
pub(super) fn next(socket: &UdpSocket) -> Option<IcmpError> {
    loop {
        let (error, message) = read(socket)?;
        if message != Some(Message::Redirect) {
            return Some(error);
        }
    }
}

fn read(socket: &UdpSocket) -> Option<(IcmpError, Option<Message>)> {
    let mut quoted = vec![0; 65_536];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut parts = [IoSliceMut::new(&mut quoted)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags);
    let message = message.ok()?;
    let length = message.bytes;
    let mut errors = message.cmsgs().ok()?.filter_map(|part| match part {
        ControlMessageOwned::Ipv4RecvErr(raw, from) => Some((
            raw,
            from.map(|from| IpAddr::V4(u32::from_be(from.sin_addr.s_addr).into())),
        )),
        ControlMessageOwned::Ipv6RecvErr(raw, from) => Some((
            raw,
            from.map(|from| IpAddr::V6(from.sin6_addr.s6_addr.into())),
        )),
        _ => None,
    });
    let (error, from) = errors.next()?;
    drop(errors);
    quoted.truncate(length);
    let kind = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP => Some((4, error.ee_type, error.ee_code)),
        libc::SO_EE_ORIGIN_ICMP6 => Some((6, error.ee_type, error.ee_code)),
        _ => None,
    };
    let message = kind.map(|(version, kind, code)| Message::new(version == 4, kind, code));
    let error = IcmpError {
        text: text(&error, kind),
        from: from.filter(|_| kind.is_some()),
        refusal: match message {
            Some(Message::PortUnreachable) => Some(Refusal::PortUnreachable),
            Some(Message::ProtocolUnreachable) => Some(Refusal::ProtocolUnreachable),
            _ => None,
        },
        quoted,
    };
    Some((error, message))
}

/// Types and codes of RFC 792, RFC 1812 and RFC 4443. `kind` is the IP version, type and code of an
/// ICMP error.
fn text(error: &libc::sock_extended_err, kind: Option<(u8, u8, u8)>) -> String {
    let text = match kind {
        Some((4, 3, 0)) => "network unreachable",
        Some((4, 3, 1)) => "host unreachable",
        Some((4, 3, 2) | (6, 4, 1)) => "protocol unreachable",
        Some((4, 3, 3) | (6, 1, 4)) => "port unreachable",
        Some((4, 3, 4) | (6, 2, _)) => {
            return format!("fragmentation needed, MTU {}", error.ee_info);
        }
        Some((4, 3, 9 | 10 | 13) | (6, 1, 1)) => "administratively prohibited",
        Some((4, 11, _)) => "time to live exceeded",
        Some((6, 1, 0)) => "no route to destination",
        Some((6, 1, 3)) => "address unreachable",
        Some((6, 3, _)) => "hop limit exceeded",
        _ => return io::Error::from_raw_os_error(error.ee_errno.cast_signed()).to_string(),
    };
    text.into()
}
