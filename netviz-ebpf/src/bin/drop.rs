//! Tells user space of each marked packet of this run that the kernel throws away, and why.
//!
//! It only reads, and only while a check runs. A dropped packet that is not ours costs the reading of
//! five fields and of its last 32 bytes.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "drop/program.rs"]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
