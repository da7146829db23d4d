//! What is there, what it is called and what was counted, as one stream of snapshots.

mod assemble;
pub(crate) mod session;

pub use assemble::assemble;
