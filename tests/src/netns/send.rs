//! Sends and receives counted datagrams.

use std::{
    io,
    net::{Ipv4Addr, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use netviz::sys::netns::NetNs;

use crate::cli::wait::wait_until;

/// Ethernet, IPv4 and UDP headers: the difference in length of a datagram between a door and a
/// socket.
pub const HEADERS: u64 = 14 + 20 + 8;
/// Port of [`Sink`].
pub const PORT: u16 = 4_477;

/// Sends `count` datagrams of `size` bytes. Returns the number that the kernel accepted.
pub fn datagrams(from: &NetNs, to: Ipv4Addr, count: u64, size: usize) -> io::Result<u64> {
    from.run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((to, PORT))?;
        let datagram = vec![0x6e; size];
        for _ in 0..count {
            while let Err(error) = socket.send(&datagram) {
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
        Ok(count)
    })?
}

/// Sends whole frames through one interface (`AF_PACKET`). Returns whether the kernel accepted
/// each; it refuses frames shorter than an Ethernet header (`EINVAL`).
pub fn frames<'a>(
    from: &NetNs,
    ifindex: u32,
    frames: impl Iterator<Item = &'a [u8]> + Send,
) -> io::Result<Vec<bool>> {
    from.run(|| {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: ifindex.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let send = |frame: &[u8]| {
            // SAFETY: a frame and an address of the given lengths.
            let sent = unsafe {
                libc::sendto(
                    socket.as_raw_fd(),
                    frame.as_ptr().cast(),
                    frame.len(),
                    0,
                    (&raw const address).cast(),
                    size_of_val(&address) as libc::socklen_t,
                )
            };
            match io::Error::last_os_error() {
                _ if sent >= 0 => Ok(true),
                error if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
                error => Err(error),
            }
        };
        frames.map(send).collect()
    })?
}

/// A socket that receives datagrams.
#[derive(Debug)]
pub struct Sink {
    socket: UdpSocket,
    received: u64,
}

/// Limit of the time between fork and exec of a process.
const FORKED: Duration = Duration::from_secs(5);

impl Sink {
    /// Listens in `namespace` on every address, with a buffer for some thousand small datagrams.
    pub fn open(namespace: &NetNs) -> io::Result<Self> {
        // A process that another test starts has a copy of the previous socket until it executes
        // its program.
        let mut bound = Err(io::ErrorKind::AddrInUse.into());
        wait_until(FORKED, || {
            bound = namespace
                .run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))
                .flatten();
            let error = bound.as_ref().err();
            error.map(io::Error::kind) != Some(io::ErrorKind::AddrInUse)
        });
        let socket = bound?;
        socket.set_nonblocking(true)?;
        set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 16 << 20)?;
        Ok(Self {
            socket,
            received: 0,
        })
    }

    /// Returns the number of datagrams so far.
    pub fn received(&mut self) -> u64 {
        let mut datagram = [0; 65_536];
        while self.socket.recv(&mut datagram).is_ok() {
            self.received += 1;
        }
        self.received
    }
}

/// Sends `count` buffers, each of which the kernel splits into `segments` datagrams of `size` bytes
/// as late as possible (`UDP_SEGMENT`).
pub fn segmented(
    from: &NetNs,
    to: Ipv4Addr,
    count: u64,
    (segments, size): (usize, usize),
) -> io::Result<()> {
    from.run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((to, PORT))?;
        cut_into(&socket, size)?;
        let buffer = vec![0x6e; segments * size];
        (0..count).try_for_each(|_| socket.send(&buffer).map(drop))
    })?
}

/// Makes the kernel split buffers of this socket into datagrams of `size` bytes (`UDP_SEGMENT`,
/// Linux 4.18).
pub fn cut_into(socket: &UdpSocket, size: usize) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, size as i32)
}

/// Returns the segments that a TCP socket has sent and received, including acknowledgements.
pub fn tcp_segments(socket: &TcpStream) -> io::Result<(u64, u64)> {
    /// Offset of `tcpi_segs_out` and `tcpi_segs_in` in `struct tcp_info` (Linux 4.2).
    const SEGS_OUT: usize = 136;
    let mut info = [0_u8; 256];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes no more than the given size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 || (length as usize) < SEGS_OUT + 8 {
        return Err(io::Error::last_os_error());
    }
    let number =
        |at: usize| u32::from_ne_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]]);
    Ok((number(SEGS_OUT).into(), number(SEGS_OUT + 4).into()))
}

fn set_option(
    socket: &UdpSocket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: an option of type int on our own socket.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
