//! Traffic for tests: sends packets from inside a namespace, one at a time, and waits for each reply.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::sys::{icmp, netns::NetNs, threads};

/// The time limit for a reply. A SYN is sent again after one and after three seconds (`tcp_syn_retries` in
/// tcp(7)).
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit after a loss: the first packet already waited for a slow start.
const LESS_PATIENCE: Duration = Duration::from_millis(500);

/// The payload of a ping.
const PAYLOAD: &[u8] = b"netviz laboratory echo, 32 bytes";

/// Identifiers are below the ports of the lab's masquerading.
const IDENTIFIERS: u16 = 60_000;

/// Sends `count` ICMP echo requests to `to`. Returns the number of replies.
pub fn ping(from: &NetNs, to: IpAddr, count: u16) -> io::Result<u16> {
    let identifier = next_identifier();
    from.run(|| {
        let socket = icmp::open(to)?;
        socket.connect(icmp::destination(to))?;
        let is_v4 = to.is_ipv4();
        let mut answered = 0;
        for sequence in 0..count {
            socket.send(&ping_request(to, identifier, sequence))?;
            let wanted = Some((identifier, sequence));
            let found = |datagram: &[u8]| icmp::reply(datagram, is_v4) == wanted;
            let patience = patience(answered == sequence);
            answered += u16::from(receive(&socket, patience, found)?);
        }
        Ok(answered)
    })?
}

/// Sends `count` datagrams of `size` bytes (at least 2) to an echo server. Returns the number of replies.
pub fn udp(from: &NetNs, to: SocketAddr, count: u16, size: usize) -> io::Result<u16> {
    from.run(|| {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        let mut answered = 0;
        for sequence in 0..count {
            let mut datagram = vec![0x6e; size.max(2)];
            datagram[..2].copy_from_slice(&sequence.to_be_bytes());
            socket.send(&datagram)?;
            let patience = patience(answered == sequence);
            answered += u16::from(receive(&socket, patience, |answer| answer == datagram)?);
        }
        Ok(answered)
    })?
}

/// Sends `bytes` bytes to a TCP echo server. Returns the number of bytes received.
pub fn tcp(from: &NetNs, to: SocketAddr, bytes: usize) -> io::Result<usize> {
    from.run(|| {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        thread::scope(|scope| {
            let send = || {
                (&stream).write_all(&vec![0x6e; bytes])?;
                stream.shutdown(Shutdown::Write)
            };
            let sender = thread::Builder::new()
                .spawn_scoped(scope, send)
                .map_err(|error| threads::refused("sends", &error))?;
            let mut back = Vec::new();
            (&stream).read_to_end(&mut back)?;
            sender
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok(back.len())
        })
    })?
}

/// An echo request of the lab.
pub(super) fn ping_request(to: IpAddr, identifier: u16, sequence: u16) -> Bytes {
    icmp::request(to, identifier, sequence, PAYLOAD)
}

/// A new identifier for a sender of echo requests.
pub(super) fn next_identifier() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) % IDENTIFIERS
}

fn patience(none_was_lost: bool) -> Duration {
    if none_was_lost {
        PATIENCE
    } else {
        LESS_PATIENCE
    }
}

/// Waits for a datagram that is `wanted`, and ignores others.
fn receive(
    socket: &UdpSocket,
    patience: Duration,
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<bool> {
    let until = Instant::now() + patience;
    let mut datagram = vec![0; 65_536];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut datagram) {
            Ok(length) if wanted(&datagram[..length]) => return Ok(true),
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Ok(false),
                // An ICMP error for an earlier packet: that one is lost, and this one may be, too.
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable => return Ok(false),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
    }
}
