//! Counts the packets between two addresses, reports a sample of them to user space, and passes all
//! packets on.
//!
//! For any other packet, the program reads the addresses, and in a tunnel also the inner ones. It
//! parses at most two headers at known offsets and never searches.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "common/packet.rs"]
mod packet;
#[cfg(target_arch = "bpf")]
#[path = "follow/parse.rs"]
mod parse;
#[cfg(target_arch = "bpf")]
#[path = "follow/program.rs"]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
