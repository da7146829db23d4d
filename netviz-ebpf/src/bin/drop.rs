//! Reports to user space each marked packet of this run that the kernel drops, and the reason.
//!
//! The program only reads, and only while a check runs. For any other dropped packet it reads five
//! fields, the last 32 bytes, and the length in the IP header.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "drop/program.rs"]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
