//! A small synchronous rtnetlink client.
//!
//! Requests are rare and come from threads in the namespace in question. `netlink-packet-route` has the
//! formats.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::AddressMessage,
    link::{LinkAttribute, LinkExtentMask, LinkMessage},
    neighbour::NeighbourMessage,
    nsid::{NsidAttribute, NsidMessage},
    route::{RouteAttribute, RouteMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::netns::NetNs;

/// A closure that returns what is inside of this variant, `None` for all others.
macro_rules! only {
    ($variant:path) => {
        |it| match it {
            $variant(inside) => Some(inside),
            _ => None,
        }
    };
}
pub(crate) use only;

mod build;
mod lossy;
pub mod notifications;

pub use build::{Mac, NewLink, NewRoute};
use lossy::HEADER;
pub use lossy::{attributes, escaped};

/// How often an interrupted dump is retried before its answer is used as it is.
const DUMP_ATTEMPTS: u32 = 5;

/// A rtnetlink socket; it stays in the namespace in which it was opened, and keeps it alive.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// A socket in the namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Otherwise an error returns the whole request.
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// A socket in another namespace.
    pub fn open_in(namespace: &NetNs) -> io::Result<Self> {
        namespace.run(Self::open)?
    }

    /// All links, without their statistics.
    pub fn links(&mut self) -> io::Result<Vec<LinkMessage>> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let links = self
            .dump(RouteNetlinkMessage::GetLink(message))?
            .into_iter();
        Ok(links
            .filter_map(only!(RouteNetlinkMessage::NewLink))
            .collect())
    }

    /// All addresses, IPv4 and IPv6.
    pub fn addresses(&mut self) -> io::Result<Vec<AddressMessage>> {
        let all = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.dump(all)?.into_iter();
        Ok(answers
            .filter_map(only!(RouteNetlinkMessage::NewAddress))
            .collect())
    }

    /// `SO_NETNS_COOKIE` of the socket's namespace (Linux 5.14): unlike the inode, it is never used
    /// again.
    #[must_use]
    pub fn namespace_cookie(&self) -> Option<u64> {
        let mut cookie = 0u64;
        let mut length = size_of::<u64>() as libc::socklen_t;
        // SAFETY: a buffer of the length that is given, which the kernel fills.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut length,
            )
        };
        (result == 0).then_some(cookie)
    }

    /// The interface at which packets to `address` leave the namespace; `None` without a route.
    pub fn route_to(&mut self, address: IpAddr) -> Option<u32> {
        let route = self.route(address, None).ok()??;
        route
            .attributes
            .into_iter()
            .find_map(only!(RouteAttribute::Oif))
    }

    /// The route of packets to `to`; `None` if there is none. `forwarded`: of packets from this address that
    /// arrive at the interface with this index.
    ///
    /// # Errors
    /// The kernel's own errno, for another reason than a missing route.
    pub fn route(
        &mut self,
        to: IpAddr,
        forwarded: Option<(IpAddr, u32)>,
    ) -> io::Result<Option<RouteMessage>> {
        let mut message = RouteMessage::default();
        let length = IpNet::from(to).prefix_len();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = length;
        message
            .attributes
            .push(RouteAttribute::Destination(to.into()));
        if let Some((from, index)) = forwarded {
            message.header.source_prefix_length = length;
            let source = [
                RouteAttribute::Source(from.into()),
                RouteAttribute::Iif(index),
            ];
            message.attributes.extend(source);
        }
        let request = RouteNetlinkMessage::GetRoute(message);
        let answers = match self.exchange(request, NLM_F_REQUEST) {
            Ok(answers) => answers.messages,
            Err(error) => {
                return match error.raw_os_error() {
                    // A prohibiting route answers EACCES, a black hole EINVAL.
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => {
                        Ok(None)
                    }
                    _ => Err(error),
                };
            }
        };
        let mut answers = answers.into_iter();
        Ok(answers.find_map(only!(RouteNetlinkMessage::NewRoute)))
    }

    /// All entries of the neighbour tables, IPv4 and IPv6.
    pub fn neighbours(&mut self) -> io::Result<Vec<NeighbourMessage>> {
        let all = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let answers = self.dump(all)?.into_iter();
        Ok(answers
            .filter_map(only!(RouteNetlinkMessage::NewNeighbour))
            .collect())
    }

    /// The link with this index.
    ///
    /// # Errors
    /// `ENODEV` if there is none.
    pub fn link(&mut self, index: u32) -> io::Result<Option<LinkMessage>> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let attributes = &mut message.attributes;
        attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let answers = self.exchange(RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST)?;
        let mut answers = answers.messages.into_iter();
        Ok(answers.find_map(only!(RouteNetlinkMessage::NewLink)))
    }

    /// The id by which the socket's namespace knows `namespace`, `None` where it has no id for it.
    pub fn nsid_of(&mut self, namespace: &NetNs) -> io::Result<Option<i32>> {
        let mut message = NsidMessage::default();
        let fd = namespace.as_fd().as_raw_fd();
        message
            .attributes
            .push(NsidAttribute::Fd(fd.cast_unsigned()));
        let answers = self.exchange(RouteNetlinkMessage::GetNsId(message), NLM_F_REQUEST)?;
        Ok(nsid(&answers.messages))
    }

    /// Sends a change and waits for the kernel's acknowledgement.
    ///
    /// # Errors
    /// The kernel's own errno.
    pub fn change(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK).map(drop)
    }

    /// As [`Netlink::change`], for an object that must not exist yet.
    pub fn create(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.exchange(message, flags).map(drop)
    }

    /// As [`Netlink::change`], for something that takes the place of what is there.
    pub fn replace(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE;
        self.exchange(message, flags).map(drop)
    }

    /// Asks for everything that fits `message`; again, when the answer changed while it was given.
    pub fn dump(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut attempt = 1;
        loop {
            let answers = self.exchange(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if !answers.interrupted || attempt == DUMP_ATTEMPTS {
                return Ok(answers.messages);
            }
            attempt += 1;
        }
    }

    fn exchange(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Answers> {
        self.sequence += 1;
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut buffer = vec![0; request.buffer_len()];
        request.serialize(&mut buffer);
        self.socket.send(&buffer, 0)?;
        let mut answers = Answers::default();
        let many = flags & (NLM_F_DUMP | NLM_F_ACK) != 0;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if answers.take(&datagram, self.sequence, many)? {
                return Ok(answers);
            }
        }
    }
}

/// The family of an address.
fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// The id in a response; a negative one means none.
pub fn nsid(answers: &[RouteNetlinkMessage]) -> Option<i32> {
    let answer = answers
        .iter()
        .find_map(only!(RouteNetlinkMessage::NewNsId))?;
    let id = answer.attributes.iter().find_map(only!(NsidAttribute::Id));
    id.copied().filter(|id| *id >= 0)
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket owns the descriptor and lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

/// Splits the next message off a datagram, header included; `None` at its end, or if the rest is
/// malformed.
fn message<'a>(datagram: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_ne_bytes(datagram.get(..4)?.try_into().ok()?) as usize;
    let message = datagram.get(..length).filter(|one| one.len() >= HEADER)?;
    *datagram = datagram
        .get(length.next_multiple_of(4)..)
        .unwrap_or_default();
    Some(message)
}

#[derive(Default)]
struct Answers {
    messages: Vec<RouteNetlinkMessage>,
    interrupted: bool,
}

impl Answers {
    /// Adds one datagram; returns true if it was the last. `many`: DONE or ACK marks the end.
    fn take(&mut self, datagram: &[u8], sequence: u32, many: bool) -> io::Result<bool> {
        let mut rest = datagram;
        while let Some(one) = message(&mut rest) {
            let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(one) {
                Ok(message) => message,
                // A name need not be UTF-8, and one message that the library does not know must not hide
                // the others.
                Err(error) => {
                    match lossy::readable(one).map(|one| NetlinkMessage::deserialize(&one)) {
                        Some(Ok(message)) => message,
                        _ => {
                            log::debug!("a netlink message could not be read: {error}");
                            continue;
                        }
                    }
                }
            };
            if message.header.sequence_number != sequence {
                continue;
            }
            self.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(true),
                        Some(_) => Err(error.to_io()),
                    };
                }
                NetlinkPayload::InnerMessage(inner) => {
                    self.messages.push(inner);
                    if !many {
                        return Ok(true);
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

/// Parses one datagram of an answer. Returns the messages before its end, or before an error.
pub fn parse(datagram: &[u8], sequence: u32) -> Vec<RouteNetlinkMessage> {
    let mut answers = Answers::default();
    let _ = answers.take(datagram, sequence, true);
    answers.messages
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message without a body.
    fn message(kind: u16, flags: u16, sequence: u32) -> Vec<u8> {
        let mut bytes = 20_u32.to_ne_bytes().to_vec();
        bytes.extend([kind, flags].iter().flat_map(|it| it.to_ne_bytes()));
        bytes.extend([sequence, 0, 0].iter().flat_map(|it| it.to_ne_bytes()));
        bytes
    }

    const DONE: u16 = 3;

    #[test]
    fn interrupted_dump_is_reported() {
        for (flags, interrupted) in [(0, false), (NLM_F_DUMP_INTR, true)] {
            let mut answers = Answers::default();
            assert!(answers.take(&message(DONE, flags, 7), 7, true).unwrap());
            assert_eq!(answers.interrupted, interrupted);
        }
    }

    #[test]
    fn response_to_another_request_is_ignored() {
        let mut answers = Answers::default();
        let done = answers.take(&message(DONE, NLM_F_DUMP_INTR, 6), 7, true);
        assert!(!done.unwrap() && !answers.interrupted);
    }
}
