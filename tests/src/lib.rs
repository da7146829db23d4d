//! Helpers that the kernel tests share.

pub mod cli;
