//! Helpers that the kernel tests share.
