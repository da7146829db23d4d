//! rtnetlink's notifications: where something changed, and what.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use netviz_ebpf::FILTER_HANDLE;
use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};

use super::classify::CILIUM_HOST;
use crate::sys::netlink::attributes;

/// rtnetlink's groups: links, qdiscs and filters, IPv4 and IPv6 addresses, ids of namespaces.
const GROUPS: [u32; 5] = [1, 4, 5, 9, 28];

const HEADER: usize = 16;
/// Where the attributes of a link begin, and those of an id of a namespace.
const LINK_ATTRIBUTES: usize = HEADER + 16;
const NSID_ATTRIBUTES: usize = HEADER + 4;
/// Where a message about qdiscs and filters has the interface and the handle.
const TC_INTERFACE: usize = HEADER + 4;
const TC_HANDLE: usize = HEADER + 8;
/// `NETNSA_NSID`
const NSID: u16 = 1;

/// Linux 4.20; not in libc.
const RTM_DELCHAIN: u16 = 101;

/// Something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// An interface or an address.
    Changed(Whence),
    /// An interface of the listener's own namespace was deleted.
    Deleted(u32),
    /// Besides: it was `cilium_host`, so that another namespace may be a node now.
    Cilium,
    /// An id by which the listener's namespace knows another one was given or taken away.
    Id(i32),
    /// The filters of an interface: netviz may have lost its place among them.
    Filters(Whence, u32),
    /// Some were lost: anything may have changed.
    Lost,
}

/// In which namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whence {
    /// The listener's own.
    Own,
    /// The one that the listener's namespace knows by this id.
    Far(i32),
}

/// A socket that is told of changes in its namespace and in all those that the namespace has an
/// id for: in those of its pods, without a handle on any of them.
pub(super) fn listener() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    socket.set_listen_all_namespaces(true)?;
    socket.set_non_blocking(true)?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    Ok(socket)
}

pub(super) fn borrow(socket: &Socket) -> BorrowedFd<'_> {
    // SAFETY: the socket owns the descriptor and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// Reads away what is there.
pub(super) fn drain(socket: &Socket) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut buffer = [0u8; 16 * 1024];
    let mut control = nix::cmsg_space!(libc::c_int);
    loop {
        let mut parts = [io::IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        );
        match received {
            Ok(message) => {
                let whence = message.cmsgs().map_or(Whence::Own, whence);
                let length = message.bytes;
                notices.extend(read(&buffer[..length], whence));
            }
            Err(Errno::ENOBUFS) => {
                notices.push(Notice::Lost);
                log::debug!("notifications were lost; everything is read again");
            }
            Err(Errno::EINTR) => {}
            Err(_) => return notices,
        }
    }
}

/// The kernel adds the id of the namespace when it is another one.
fn whence(mut messages: impl Iterator<Item = ControlMessageOwned>) -> Whence {
    let id = messages.find_map(|message| match message {
        ControlMessageOwned::Unknown(unknown) => integer(&unknown.data_bytes),
        _ => None,
    });
    id.map_or(Whence::Own, Whence::Far)
}

/// For the tests: which interfaces a datagram says were deleted.
#[cfg(feature = "mutants")]
pub(crate) fn deletions(datagram: &[u8]) -> Vec<u32> {
    let notices = read(datagram, Whence::Own).into_iter();
    notices
        .filter_map(|notice| match notice {
            Notice::Deleted(index) => Some(index),
            _ => None,
        })
        .collect()
}

/// The notices of one datagram. The headers alone are read: names need not be readable.
fn read(mut datagram: &[u8], whence: Whence) -> Vec<Notice> {
    let mut notices = Vec::new();
    while let Some(length) = integer(datagram).and_then(|length| usize::try_from(length).ok()) {
        let Some(message) = datagram.get(..length).filter(|one| one.len() >= HEADER) else {
            break;
        };
        notices.extend(notice(message, whence));
        notices.extend(is_cilium_host(message).then_some(Notice::Cilium));
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    notices
}

fn notice(message: &[u8], whence: Whence) -> Option<Notice> {
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => {
            // A bridge tells of its ports, which stay, in a family of its own.
            let stays = *message.get(HEADER)? != libc::AF_UNSPEC as u8;
            let index = integer(message.get(HEADER + 4..)?)?.cast_unsigned();
            Some(match whence {
                Whence::Own if kind == libc::RTM_DELLINK && !stays => Notice::Deleted(index),
                _ => Notice::Changed(whence),
            })
        }
        libc::RTM_NEWNSID | libc::RTM_DELNSID => {
            // An id counts in the namespace that tells of it, and only the listener's own matter.
            let mut all = attributes(message.get(NSID_ATTRIBUTES..)?);
            let (_, value) = all.find(|(kind, _)| *kind == NSID)?;
            (whence == Whence::Own).then_some(Notice::Id(integer(value)?))
        }
        libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(Notice::Changed(whence)),
        // With the qdisc its filters go, of which nothing more is told.
        libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER | libc::RTM_DELQDISC | RTM_DELCHAIN => {
            let handle = integer(message.get(TC_HANDLE..)?)?.cast_unsigned();
            // netviz's own are no news to it.
            let own = kind == libc::RTM_NEWTFILTER && handle >> 16 == u32::from(FILTER_HANDLE);
            let index = integer(message.get(TC_INTERFACE..)?)?.cast_unsigned();
            (!own).then_some(Notice::Filters(whence, index))
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
    fn what_changed_and_where() {
        let far = Whence::Far(4);
        let new = link(libc::RTM_NEWLINK, 0, b"lxc0");
        assert_eq!(read(&new, Whence::Own), [Notice::Changed(Whence::Own)]);
        assert_eq!(read(&new, far), [Notice::Changed(far)]);
        // The name need not be readable, and the deletion is told nevertheless.
        let deleted = link(libc::RTM_DELLINK, 0, b"e\xffth0");
        assert_eq!(read(&deleted, Whence::Own), [Notice::Deleted(7)]);
        assert_eq!(read(&deleted, far), [Notice::Changed(far)]);
        let port = link(libc::RTM_DELLINK, libc::AF_BRIDGE as u8, b"veth1");
        assert_eq!(read(&port, Whence::Own), [Notice::Changed(Whence::Own)]);
        let two = [new, deleted].concat();
        assert_eq!(read(&two, Whence::Own).len(), 2);
    }

    #[test]
    fn another_node_and_another_id() {
        let far = Whence::Far(4);
        let cilium = link(libc::RTM_NEWLINK, 0, b"cilium_host");
        assert_eq!(read(&cilium, far), [Notice::Changed(far), Notice::Cilium]);
        let mut id = vec![0; NSID_ATTRIBUTES];
        id[4..6].copy_from_slice(&libc::RTM_DELNSID.to_ne_bytes());
        attribute(&mut id, NSID, &3i32.to_ne_bytes());
        let id = sized(id);
        assert_eq!(read(&id, Whence::Own), [Notice::Id(3)]);
        assert_eq!(read(&id, far), []);
    }

    #[test]
    fn filters_of_others_and_filters_that_go() {
        let filter = |kind: u16, handle: u32| {
            let mut message = vec![0; HEADER + 20];
            message[4..6].copy_from_slice(&kind.to_ne_bytes());
            message[TC_INTERFACE] = 7;
            message[TC_HANDLE..TC_HANDLE + 4].copy_from_slice(&handle.to_ne_bytes());
            sized(message)
        };
        let own = u32::from(FILTER_HANDLE) << 16 | 9;
        let told = [Notice::Filters(Whence::Far(2), 7)];
        let read = |kind, handle| read(&filter(kind, handle), Whence::Far(2));
        assert_eq!(read(libc::RTM_NEWTFILTER, 1), told);
        assert_eq!(read(libc::RTM_NEWTFILTER, own), []);
        for kind in [libc::RTM_DELTFILTER, libc::RTM_DELQDISC, RTM_DELCHAIN] {
            assert_eq!(read(kind, own), told);
            assert_eq!(read(kind, 0), told);
        }
        assert_eq!(read(libc::RTM_NEWQDISC, 0), []);
    }

    #[test]
    fn what_is_cut_short_is_no_panic() {
        let message = link(libc::RTM_NEWLINK, 0, b"cilium_host");
        for length in 0..message.len() {
            assert_eq!(read(&message[..length], Whence::Own), []);
        }
        for length in [0u32, 1, 15, 16, 20, u32::MAX] {
            let mut wrong = message.clone();
            wrong[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = read(&wrong, Whence::Own);
        }
    }
}
