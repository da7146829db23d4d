//! rtnetlink's notifications: where something changed, and what.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};

use super::classify::CILIUM_HOST;
use crate::sys::netlink::attributes;

/// rtnetlink's groups: links, IPv4 and IPv6 addresses, ids of namespaces.
const GROUPS: [u32; 4] = [1, 5, 9, 28];

const HEADER: usize = 16;
/// Where the attributes of a link begin, and those of an id of a namespace.
const LINK_ATTRIBUTES: usize = HEADER + 16;
const NSID_ATTRIBUTES: usize = HEADER + 4;
/// `NETNSA_NSID`
const NSID: u16 = 1;

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
