//! Ways for the tests to what reads foreign bytes and is otherwise nobody's business.

use crate::{discover, sys::netlink};

/// Of the question that [`netlink_answer`] waits for the answer to.
pub const SEQUENCE: u32 = 7;

/// One datagram of an answer: how many messages were read of it.
pub fn netlink_answer(datagram: &[u8]) -> usize {
    netlink::read_answer(datagram, SEQUENCE)
}

/// One datagram of notifications: how many interfaces it says were deleted.
pub fn netlink_notification(datagram: &[u8]) -> usize {
    discover::deletions(datagram).len()
}
