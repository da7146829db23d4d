//! What is there, what it is called and what was counted, as one stream of snapshots.

pub(crate) mod session;
