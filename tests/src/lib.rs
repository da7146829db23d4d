//! Helpers that the kernel tests share.

pub mod counting;
pub mod oracle;
pub mod remains;
