//! ICMP errors from a socket's error queue (ip(7), `IP_RECVERR`).

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, UdpSocket},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};

/// An error that a router, the destination or the sender's own kernel reports.
pub(super) struct IcmpError {
    /// What is wrong.
    pub(super) text: String,
    /// The sender of the error; `None`: the own kernel.
    pub(super) from: Option<IpAddr>,
    /// The protocol or port has no listener.
    pub(super) refusal: bool,
    /// The quoted part of the packet, from its payload on.
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

/// The next error.
pub(super) fn next(socket: &UdpSocket) -> Option<IcmpError> {
    let mut quoted = vec![0; 65_536];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut parts = [IoSliceMut::new(&mut quoted)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags);
    let message = message.ok()?;
    let length = message.bytes;
    let mut error = None;
    for part in message.cmsgs().ok()? {
        match part {
            ControlMessageOwned::Ipv4RecvErr(raw, from) => {
                let from = from.map(|from| IpAddr::V4(u32::from_be(from.sin_addr.s_addr).into()));
                error = Some(v4(&raw, from));
            }
            ControlMessageOwned::Ipv6RecvErr(raw, from) => {
                let from = from.map(|from| IpAddr::V6(from.sin6_addr.s6_addr.into()));
                error = Some(v6(&raw, from));
            }
            _ => {}
        }
    }
    let mut error = error?;
    quoted.truncate(length);
    error.quoted = quoted;
    Some(error)
}

/// Types and codes of RFC 792 and RFC 1812.
fn v4(error: &libc::sock_extended_err, from: Option<IpAddr>) -> IcmpError {
    let by_icmp = error.ee_origin == libc::SO_EE_ORIGIN_ICMP;
    let text = match (by_icmp, error.ee_type, error.ee_code) {
        (true, 3, 0) => "network unreachable".into(),
        (true, 3, 1) => "host unreachable".into(),
        (true, 3, 2) => "protocol unreachable".into(),
        (true, 3, 3) => "port unreachable".into(),
        (true, 3, 4) => too_big(error),
        (true, 3, 9 | 10 | 13) => "administratively prohibited".into(),
        (true, 11, _) => "time to live exceeded".into(),
        _ => by_number(error),
    };
    let refusal = by_icmp && error.ee_type == 3 && matches!(error.ee_code, 2 | 3);
    icmp_error(text, from.filter(|_| by_icmp), refusal)
}

/// Types and codes of RFC 4443.
fn v6(error: &libc::sock_extended_err, from: Option<IpAddr>) -> IcmpError {
    let by_icmp = error.ee_origin == libc::SO_EE_ORIGIN_ICMP6;
    let text = match (by_icmp, error.ee_type, error.ee_code) {
        (true, 1, 0) => "no route to destination".into(),
        (true, 1, 1) => "administratively prohibited".into(),
        (true, 1, 3) => "address unreachable".into(),
        (true, 1, 4) => "port unreachable".into(),
        (true, 2, _) => too_big(error),
        (true, 3, _) => "hop limit exceeded".into(),
        _ => by_number(error),
    };
    let refusal = by_icmp && error.ee_type == 1 && error.ee_code == 4;
    icmp_error(text, from.filter(|_| by_icmp), refusal)
}

fn icmp_error(text: String, from: Option<IpAddr>, refusal: bool) -> IcmpError {
    IcmpError {
        text,
        from,
        refusal,
        quoted: Vec::new(),
    }
}

fn too_big(error: &libc::sock_extended_err) -> String {
    format!("fragmentation needed, MTU {}", error.ee_info)
}

fn by_number(error: &libc::sock_extended_err) -> String {
    io::Error::from_raw_os_error(error.ee_errno.cast_signed()).to_string()
}
