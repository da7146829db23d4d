//! Datagrams, counted by who sends and by who receives them.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::AsRawFd as _,
};

use netviz::sys::netns::NetNs;

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

/// A socket that takes what is sent to it.
#[derive(Debug)]
pub struct Sink {
    socket: UdpSocket,
    received: u64,
}

impl Sink {
    /// Listens in `namespace` on every address, with room for some thousand small datagrams.
    pub fn open(namespace: &NetNs) -> io::Result<Self> {
        let socket = namespace.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))??;
        socket.set_nonblocking(true)?;
        let room: libc::c_int = 16 << 20;
        // SAFETY: an option of type int on a socket of our own.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                (&raw const room).cast(),
                size_of_val(&room) as libc::socklen_t,
            )
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
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
