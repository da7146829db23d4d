//! Counts the packets that two addresses exchange, tells user space of some of them, and lets
//! everything pass on.
//!
//! A packet of others costs a look at its addresses, and, where it is a tunnel's, at those inside.
//! At most two headers are read, at places that the first says; nothing is searched for.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "follow/parse.rs"]
mod parse;
#[cfg(target_arch = "bpf")]
#[path = "follow/program.rs"]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
