//! Socket options that nix does not define, and the address that a socket really sends to.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd as _},
};

use nix::{
    setsockopt_impl, sockopt_impl,
    sys::{
        socket::{SockaddrStorage, connect, setsockopt},
        stat::fstat,
    },
};

sockopt_impl!(
    MtuDiscoverV4,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);

sockopt_impl!(
    FastOpenConnect,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_FASTOPEN_CONNECT,
    libc::c_int
);
sockopt_impl!(
    FastOpenNoCookie,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_FASTOPEN_NO_COOKIE,
    libc::c_int
);

/// Connects a TCP socket without sending anything: with TCP Fast Open, the kernel sends the SYN with the
/// first data, and there is none.
pub(crate) fn connect_silently(socket: &impl AsFd, to: SocketAddr) -> io::Result<()> {
    setsockopt(socket, FastOpenConnect, &1)?;
    setsockopt(socket, FastOpenNoCookie, &1)?;
    Ok(connect(
        socket.as_fd().as_raw_fd(),
        &SockaddrStorage::from(to),
    )?)
}

/// The address that a connected socket of this thread's network namespace sends to. getpeername(2)
/// returns the address of a service instead, as Cilium translates it back.
pub(crate) fn peer(socket: &impl AsFd, table: &str) -> io::Result<Option<SocketAddr>> {
    let inode = fstat(socket)?.st_ino.to_string();
    let text = fs::read_to_string(format!("/proc/thread-self/net/{table}"))?;
    let line = text.lines().map(|line| line.split_whitespace().collect());
    let mut lines = line.filter(|line: &Vec<_>| line.get(9) == Some(&inode.as_str()));
    Ok(lines.next().and_then(|line| address(line.get(2)?)))
}

/// `0100007F:1F90`: the words of an address in this machine's byte order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let words = (0..address.len()).step_by(8).map(|at| {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let words: Option<Vec<[u8; 4]>> = words.collect();
    let address = match words?.as_slice() {
        [v4] => IpAddr::from(*v4),
        words => IpAddr::from(<[u8; 16]>::try_from(words.concat()).ok()?),
    };
    Some(SocketAddr::new(
        address,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

/// Sets whether packets to `to` may be fragmented on their way. If not, the sender does not fragment
/// them either, whatever path MTU it knows.
pub(crate) fn allow_fragments(socket: &UdpSocket, to: IpAddr, allowed: bool) -> io::Result<()> {
    let choose = |never, always| if allowed { always } else { never };
    match to {
        IpAddr::V4(_) => {
            let mode = choose(libc::IP_PMTUDISC_PROBE, libc::IP_PMTUDISC_DONT);
            setsockopt(socket, MtuDiscoverV4, &mode)?;
        }
        IpAddr::V6(_) => {
            let mode = choose(libc::IPV6_PMTUDISC_PROBE, libc::IPV6_PMTUDISC_DONT);
            setsockopt(socket, MtuDiscoverV6, &mode)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families() {
        let read = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(read("0100007F:1F90"), Some("127.0.0.1:8080".into()));
        let v6 = "000000FD00000000000000000100000A:0050";
        assert_eq!(read(v6), Some("[fd00::a00:1]:80".into()));
        for wrong in ["", ":", "0100007F", "0100007F:", "01:1", "é100007F:1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn silent_connection_has_a_peer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let to = listener.local_addr().unwrap();
        let socket = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Inet,
            nix::sys::socket::SockType::Stream,
            nix::sys::socket::SockFlag::SOCK_CLOEXEC,
            None,
        );
        let socket = socket.unwrap();
        connect_silently(&socket, to).unwrap();
        assert_eq!(peer(&socket, "tcp").unwrap(), Some(to));
        drop(socket);
        let error = listener.accept().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
