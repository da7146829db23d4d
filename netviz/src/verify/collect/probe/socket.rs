//! One socket for each pair, in the network namespace of the thread.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    time::Instant,
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, getsockname,
    setsockopt, socket, sockopt,
};

use super::{
    errors::{self, IcmpError},
    options::{ProbeOptions, ProbeTarget},
    packet,
};
use crate::{
    sys::{cgroup::Cgroup, sockets},
    verify::{Answer, Protocol, Refusal},
};

/// Why a pair has no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot open a socket for {protocol} probes: {source}; it needs CAP_NET_RAW")]
    Socket {
        protocol: Protocol,
        source: io::Error,
    },
    #[error("cannot open a socket in the sender's cgroup: {0}")]
    Cgroup(io::Error),
    #[error("cannot send to {to}: {source}; the sender has no route or no address of that family")]
    Connect { to: IpAddr, source: io::Error },
}

/// Sends to one destination, and receives from it.
pub(super) struct Sender {
    target: ProbeTarget,
    probe_options: ProbeOptions,
    /// Of any type: the methods are those of all datagram sockets.
    socket: UdpSocket,
    /// Keeps other processes from using the port of marked SYNs.
    _reserved: Option<OwnedFd>,
    /// Own address, and port or ICMP identifier.
    pub(super) own: (IpAddr, u16),
    sent: BTreeMap<u32, Instant>,
    answered: u32,
}

impl Sender {
    /// With a `cgroup`, to the address that its programs make of the target's.
    pub(super) fn open(
        mut target: ProbeTarget,
        cgroup: Option<&Cgroup>,
        probe_options: ProbeOptions,
    ) -> Result<Self, OpenError> {
        let protocol = probe_options.protocol;
        let denied = |source: io::Error| OpenError::Socket { protocol, source };
        let to = target.to;
        let unreachable = |source: io::Error| OpenError::Connect { to, source };
        let socket = match cgroup {
            Some(cgroup) if protocol == Protocol::Udp => {
                UdpSocket::from(within(cgroup, protocol, target.to).map_err(OpenError::Cgroup)?)
            }
            Some(cgroup) if protocol == Protocol::Tcp => {
                let backend = backend(cgroup, target).map_err(OpenError::Cgroup)?;
                (target.to, target.port) = (backend.ip(), backend.port());
                open(protocol, target.to).map_err(denied)?
            }
            _ => open(protocol, target.to).map_err(denied)?,
        };
        socket.set_nonblocking(true).map_err(denied)?;
        errors::enable(&socket, target.to).map_err(denied)?;
        sockets::allow_fragments(&socket, target.to, !probe_options.whole).map_err(denied)?;
        // A raw socket has no port, and an IPv6 one refuses any.
        let is_udp = protocol == Protocol::Udp;
        let to = SocketAddr::new(target.to, if is_udp { target.port } else { 0 });
        socket.connect(to).map_err(unreachable)?;
        if let Some(peer) = cgroup.and_then(|_| peer(&socket, protocol, target.to)) {
            target.to = peer.ip();
        }
        let local = socket.local_addr().map_err(unreachable)?;
        let (reserved, port) = match protocol {
            Protocol::Udp => (None, local.port()),
            // Random, and different for each pair.
            Protocol::Icmp => (None, probe_options.prefix.wrapping_add(target.flow as u16)),
            Protocol::Tcp => {
                let (reserved, port) = reserve(local.ip()).map_err(denied)?;
                (Some(reserved), port)
            }
        };
        Ok(Self {
            target,
            probe_options,
            socket,
            _reserved: reserved,
            own: (local.ip(), port),
            sent: BTreeMap::new(),
            answered: 0,
        })
    }

    /// The address that it sends to.
    pub(super) fn to(&self) -> IpAddr {
        self.target.to
    }

    /// How many of its packets have their answers.
    pub(super) fn answered(&self) -> u32 {
        self.answered
    }

    pub(super) fn send(&mut self, sequence: u32) -> io::Result<()> {
        let bytes = packet::build(&self.probe_options, &self.target, self.own, sequence)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.sent.insert(sequence, Instant::now());
        let sent = match self.socket.send(&bytes) {
            // The ICMP error of an earlier packet, which `receive` reads from the error queue.
            Err(error) if is_echo_of_error(&error) => self.socket.send(&bytes),
            result => result,
        };
        if sent.is_err() {
            self.sent.remove(&sequence);
            self.answered += 1;
        }
        sent.map(drop)
    }

    /// Reads all replies and errors.
    pub(super) fn receive(&mut self) -> Vec<(u32, Answer)> {
        let mut answers = Vec::new();
        let mut datagram = vec![0; 65_536];
        loop {
            match self.socket.recv(&mut datagram) {
                Ok(length) => answers.extend(self.read(&datagram[..length])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_echo_of_error(&error) => {}
                Err(_) => break,
            }
        }
        while let Some(error) = errors::next(&self.socket) {
            answers.extend(self.apply(error));
        }
        answers
    }

    fn read(&mut self, datagram: &[u8]) -> Option<(u32, Answer)> {
        let (sequence, reset) =
            packet::read(&self.probe_options, &self.target, self.own.1, datagram)?;
        let time = self.sent.remove(&sequence)?.elapsed();
        self.answered += 1;
        let answer = match reset {
            true => Answer::Refused(time, Refusal::Reset),
            false => Answer::Reply(time),
        };
        Some((sequence, answer))
    }

    fn apply(&mut self, error: IcmpError) -> Option<(u32, Answer)> {
        let quoted = packet::quoted(&self.probe_options, &self.target, self.own.1, &error.quoted);
        let sequence = match self.probe_options.protocol {
            // The socket's own: one that quotes too little of its packet is about the latest one.
            Protocol::Udp => quoted.or_else(|| self.sent.keys().next_back().copied())?,
            // A raw socket also reads errors about the packets of other programs.
            Protocol::Icmp | Protocol::Tcp => quoted?,
        };
        let time = self.sent.remove(&sequence)?.elapsed();
        self.answered += 1;
        let from_receiver = error.from.is_none_or(|from| from == self.target.to);
        let answer = match error.refusal.filter(|_| from_receiver) {
            Some(refusal) => Answer::Refused(time, refusal),
            None => Answer::Unreachable(time, error.text, error.from),
        };
        Some((sequence, answer))
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn family(to: IpAddr) -> AddressFamily {
    match to {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// A datagram or stream socket of a cgroup.
fn within(cgroup: &Cgroup, protocol: Protocol, to: IpAddr) -> io::Result<OwnedFd> {
    let (kind, protocol) = match protocol {
        Protocol::Tcp => (SockType::Stream, SockProtocol::Tcp),
        Protocol::Udp | Protocol::Icmp => (SockType::Datagram, SockProtocol::Udp),
    };
    cgroup.socket(family(to), kind, protocol)
}

/// Where a connection to the target goes: marked SYNs are raw, and not translated.
fn backend(cgroup: &Cgroup, target: ProbeTarget) -> io::Result<SocketAddr> {
    let to = SocketAddr::new(target.to, target.port);
    let socket = within(cgroup, Protocol::Tcp, target.to)?;
    sockets::connect_silently(&socket, to)?;
    Ok(peer(&socket, Protocol::Tcp, target.to).unwrap_or(to))
}

fn peer(socket: &impl AsFd, protocol: Protocol, to: IpAddr) -> Option<SocketAddr> {
    let table = match (protocol, to) {
        (Protocol::Tcp, IpAddr::V4(_)) => "tcp",
        (Protocol::Tcp, IpAddr::V6(_)) => "tcp6",
        (_, IpAddr::V4(_)) => "udp",
        (_, IpAddr::V6(_)) => "udp6",
    };
    sockets::peer(socket, table).ok().flatten()
}

fn open(protocol: Protocol, to: IpAddr) -> io::Result<UdpSocket> {
    let (kind, protocol) = match (protocol, to) {
        (Protocol::Udp, _) => (SockType::Datagram, SockProtocol::Udp),
        (Protocol::Icmp, IpAddr::V4(_)) => (SockType::Raw, SockProtocol::Icmp),
        (Protocol::Icmp, IpAddr::V6(_)) => (SockType::Raw, SockProtocol::IcmpV6),
        (Protocol::Tcp, _) => (SockType::Raw, SockProtocol::Tcp),
    };
    let socket = socket(family(to), kind, SockFlag::SOCK_CLOEXEC, protocol)?;
    Ok(UdpSocket::from(socket))
}

/// Reserves a port: the sender's own kernel answers the SYN-ACK with a reset, as no socket listens or
/// connects there.
fn reserve(address: IpAddr) -> io::Result<(OwnedFd, u16)> {
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (kind, flags) = (SockType::Stream, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family(address), kind, flags, SockProtocol::Tcp)?;
    setsockopt(&socket, sockopt::ReuseAddr, &false)?;
    let any = SockaddrStorage::from(SocketAddr::new(any, 0));
    bind(socket.as_raw_fd(), &any)?;
    let bound: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v4 = bound.as_sockaddr_in().map(|address| address.port());
    let port = v4.or_else(|| bound.as_sockaddr_in6().map(|address| address.port()));
    Ok((socket, port.unwrap_or_default()))
}

fn is_echo_of_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let kinds = [ConnectionRefused, HostUnreachable, NetworkUnreachable];
    kinds.contains(&error.kind())
        || matches!(error.raw_os_error(), Some(libc::EPROTO | libc::EMSGSIZE))
}
