//! Datagrams, counted by who sends and by who receives them.

use std::{
    io,
    net::{Ipv4Addr, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use netviz::sys::netns::NetNs;

use crate::cli::wait::wait_until;

/// Ethernet, IPv4 and UDP headers: what a datagram is longer at a door than in a socket.
pub const HEADERS: u64 = 14 + 20 + 8;
/// Where [`Sink`] listens.
pub const PORT: u16 = 4_477;

/// Sends `count` datagrams of `size` bytes one after the other; how many the kernel took.
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

/// Sends whole frames through one interface (`AF_PACKET`); whether the kernel took each of them.
/// What is shorter than an Ethernet header it refuses (`EINVAL`).
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
            // SAFETY: a frame and an address of the lengths that are given.
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

/// A socket that takes what is sent to it.
#[derive(Debug)]
pub struct Sink {
    socket: UdpSocket,
    received: u64,
}

/// How long a process may take from its start to its program.
const FORKED: Duration = Duration::from_secs(5);

impl Sink {
    /// Listens in `namespace` on every address, with room for some thousand small datagrams.
    pub fn open(namespace: &NetNs) -> io::Result<Self> {
        // A process that another test starts has a copy of the one before until it executes its
        // program.
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

    /// How many datagrams have come so far.
    pub fn received(&mut self) -> u64 {
        let mut datagram = [0; 65_536];
        while self.socket.recv(&mut datagram).is_ok() {
            self.received += 1;
        }
        self.received
    }
}

/// Sends `count` buffers, each of which the kernel cuts into `segments` datagrams of `size` bytes
/// as late as it can (`UDP_SEGMENT`).
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

/// The kernel cuts what this socket is given into datagrams of `size` bytes (`UDP_SEGMENT`, Linux 4.18).
pub fn cut_into(socket: &UdpSocket, size: usize) -> io::Result<()> {
    set_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, size as i32)
}

/// What a TCP socket says of itself: segments that it sent and received, acknowledgements included.
pub fn tcp_segments(socket: &TcpStream) -> io::Result<(u64, u64)> {
    /// Where `tcpi_segs_out` and `tcpi_segs_in` are in `struct tcp_info` (Linux 4.2).
    const SEGS_OUT: usize = 136;
    let mut info = [0_u8; 256];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes no more than it is told that there is room for.
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
    // SAFETY: an option of type int on a socket of our own.
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
