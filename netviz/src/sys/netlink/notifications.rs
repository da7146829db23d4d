//! rtnetlink's notifications: what changed, and in which namespace.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use netviz_ebpf::FILTER_HANDLE;
use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};

use super::{attributes, lossy::HEADER, message};
use crate::model::CILIUM_HOST;

/// rtnetlink's groups: links, qdiscs and filters, IPv4 and IPv6 addresses, ids of namespaces.
const GROUPS: [u32; 5] = [1, 4, 5, 9, 28];

/// Offsets of the attributes in a message about a link, and about a namespace id.
const LINK_ATTRIBUTES: usize = HEADER + 16;
const NSID_ATTRIBUTES: usize = HEADER + 4;
/// Offsets of the interface and the handle in a message about a qdisc or a filter.
const TC_INTERFACE: usize = HEADER + 4;
const TC_HANDLE: usize = HEADER + 8;
/// `NETNSA_NSID`
const NSID: u16 = 1;

/// Linux 4.20; not in libc.
const RTM_DELCHAIN: u16 = 101;

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// An interface or an address changed.
    Changed(Origin),
    /// An interface of the listener's own namespace was deleted.
    Deleted(u32),
    /// `cilium_host` came or went: another namespace may be a node now.
    Cilium,
    /// The listener's namespace assigned or removed an id for another namespace.
    NsId(i32),
    /// The filters of an interface changed: netviz may have lost its place among them.
    Filters(Origin, u32),
    /// Notifications were lost: anything may have changed.
    Lost,
}

/// The namespace in which something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The listener's own.
    Own,
    /// The one for which the listener's namespace has this id.
    Peer(i32),
}

/// A socket that receives the notifications of its own namespace and of every namespace for which
/// that one has an id: those of its pods, without a handle on any of them.
#[derive(Debug)]
pub(crate) struct Listener(Socket);

impl Listener {
    /// Listens in the namespace of the calling thread.
    pub(crate) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_listen_all_namespaces(true)?;
        socket.set_non_blocking(true)?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        Ok(Self(socket))
    }

    /// Reads all pending notifications.
    pub(crate) fn drain(&self) -> Vec<Notification> {
        let mut notifications = Vec::new();
        let mut buffer = [0u8; 16 * 1024];
        let mut control = nix::cmsg_space!(libc::c_int);
        loop {
            let mut parts = [io::IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<()>(
                self.0.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            );
            match received {
                Ok(message) => {
                    let origin = message.cmsgs().map_or(Origin::Own, origin);
                    let length = message.bytes;
                    notifications.extend(parse(&buffer[..length], origin));
                }
                Err(Errno::ENOBUFS) => {
                    notifications.push(Notification::Lost);
                    log::debug!("notifications were lost; everything is read again");
                }
                Err(Errno::EINTR) => {}
                Err(_) => return notifications,
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

/// The kernel adds the id of the namespace unless it is the listener's own.
fn origin(mut messages: impl Iterator<Item = ControlMessageOwned>) -> Origin {
    let id = messages.find_map(|message| match message {
        ControlMessageOwned::Unknown(unknown) => integer(&unknown.data_bytes),
        _ => None,
    });
    id.map_or(Origin::Own, Origin::Peer)
}

/// Parses the notifications of one datagram. Only the headers are parsed: names need not be readable.
pub fn parse(mut datagram: &[u8], origin: Origin) -> Vec<Notification> {
    let mut notifications = Vec::new();
    while let Some(one) = message(&mut datagram) {
        notifications.extend(notification(one, origin));
        notifications.extend(is_cilium_host(one).then_some(Notification::Cilium));
    }
    notifications
}

fn notification(message: &[u8], origin: Origin) -> Option<Notification> {
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => {
            // A bridge announces its ports, which stay, in a family of their own.
            let stays = *message.get(HEADER)? != libc::AF_UNSPEC as u8;
            let index = integer(message.get(HEADER + 4..)?)?.cast_unsigned();
            Some(match origin {
                Origin::Own if kind == libc::RTM_DELLINK && !stays => Notification::Deleted(index),
                _ => Notification::Changed(origin),
            })
        }
        libc::RTM_NEWNSID | libc::RTM_DELNSID => {
            // An id is valid in the namespace that sends it; only the listener's own matter.
            let mut all = attributes(message.get(NSID_ATTRIBUTES..)?);
            let (_, value) = all.find(|(kind, _)| *kind == NSID)?;
            (origin == Origin::Own).then_some(Notification::NsId(integer(value)?))
        }
        libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(Notification::Changed(origin)),
        // Filters go with their qdisc, without notifications of their own.
        libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER | libc::RTM_DELQDISC | RTM_DELCHAIN => {
            let handle = integer(message.get(TC_HANDLE..)?)?.cast_unsigned();
            // Skip netviz's own filters.
            let own = kind == libc::RTM_NEWTFILTER && handle >> 16 == u32::from(FILTER_HANDLE);
            let index = integer(message.get(TC_INTERFACE..)?)?.cast_unsigned();
            (!own).then_some(Notification::Filters(origin, index))
        }
        _ => None,
    }
}

fn is_cilium_host(message: &[u8]) -> bool {
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    let is_name = |(kind, value): (u16, &[u8])| {
        kind == libc::IFLA_IFNAME && value.strip_suffix(&[0]) == Some(CILIUM_HOST.as_bytes())
    };
    matches!(kind, libc::RTM_NEWLINK | libc::RTM_DELLINK)
        && message
            .get(LINK_ATTRIBUTES..)
            .is_some_and(|rest| attributes(rest).any(is_name))
}

fn integer(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message about link 7.
    fn link(kind: u16, family: u8, name: &[u8]) -> Vec<u8> {
        let mut message = vec![0; LINK_ATTRIBUTES];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER] = family;
        message[HEADER + 4] = 7;
        attribute(&mut message, libc::IFLA_IFNAME, &[name, &[0]].concat());
        sized(message)
    }

    fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
        message.extend((4 + value.len() as u16).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(value);
        message.resize(message.len().next_multiple_of(4), 0);
    }

    fn sized(mut message: Vec<u8>) -> Vec<u8> {
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        message
    }

    #[test]
    fn links_report_their_namespace() {
        let far = Origin::Peer(4);
        let new = link(libc::RTM_NEWLINK, 0, b"lxc0");
        assert_eq!(
            parse(&new, Origin::Own),
            [Notification::Changed(Origin::Own)]
        );
        assert_eq!(parse(&new, far), [Notification::Changed(far)]);
        // The name need not be UTF-8.
        let deleted = link(libc::RTM_DELLINK, 0, b"e\xffth0");
        assert_eq!(parse(&deleted, Origin::Own), [Notification::Deleted(7)]);
        assert_eq!(parse(&deleted, far), [Notification::Changed(far)]);
        let port = link(libc::RTM_DELLINK, libc::AF_BRIDGE as u8, b"veth1");
        assert_eq!(
            parse(&port, Origin::Own),
            [Notification::Changed(Origin::Own)]
        );
        let two = [new, deleted].concat();
        assert_eq!(parse(&two, Origin::Own).len(), 2);
    }

    #[test]
    fn cilium_host_and_namespace_ids() {
        let far = Origin::Peer(4);
        let cilium = link(libc::RTM_NEWLINK, 0, b"cilium_host");
        assert_eq!(
            parse(&cilium, far),
            [Notification::Changed(far), Notification::Cilium]
        );
        let mut id = vec![0; NSID_ATTRIBUTES];
        id[4..6].copy_from_slice(&libc::RTM_DELNSID.to_ne_bytes());
        attribute(&mut id, NSID, &3i32.to_ne_bytes());
        let id = sized(id);
        assert_eq!(parse(&id, Origin::Own), [Notification::NsId(3)]);
        assert_eq!(parse(&id, far), []);
    }

    #[test]
    fn changed_and_deleted_filters() {
        let filter = |kind: u16, handle: u32| {
            let mut message = vec![0; HEADER + 20];
            message[4..6].copy_from_slice(&kind.to_ne_bytes());
            message[TC_INTERFACE] = 7;
            message[TC_HANDLE..TC_HANDLE + 4].copy_from_slice(&handle.to_ne_bytes());
            sized(message)
        };
        let own = u32::from(FILTER_HANDLE) << 16 | 9;
        let expected = [Notification::Filters(Origin::Peer(2), 7)];
        let read = |kind, handle| parse(&filter(kind, handle), Origin::Peer(2));
        assert_eq!(read(libc::RTM_NEWTFILTER, 1), expected);
        assert_eq!(read(libc::RTM_NEWTFILTER, own), []);
        for kind in [libc::RTM_DELTFILTER, libc::RTM_DELQDISC, RTM_DELCHAIN] {
            assert_eq!(read(kind, own), expected);
            assert_eq!(read(kind, 0), expected);
        }
        assert_eq!(read(libc::RTM_NEWQDISC, 0), []);
    }

    #[test]
    fn truncated_messages_do_not_panic() {
        let message = link(libc::RTM_NEWLINK, 0, b"cilium_host");
        for length in 0..message.len() {
            assert_eq!(parse(&message[..length], Origin::Own), []);
        }
        for length in [0u32, 1, 15, 16, 20, u32::MAX] {
            let mut wrong = message.clone();
            wrong[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = parse(&wrong, Origin::Own);
        }
    }
}
