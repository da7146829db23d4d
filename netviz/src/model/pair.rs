//! A veth pair: two doors that name each other.

use super::id::DoorId;

/// A veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The end that is shown first.
    pub first: DoorId,
    /// The other one.
    pub second: DoorId,
}
