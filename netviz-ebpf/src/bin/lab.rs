//! Forwarding programs of the laboratory cluster, under the names that Cilium gives its own.
//!
//! They do with a packet what Cilium does with it, as far as a door can tell: which hooks it
//! crosses, with which TTL and tunnel key. They end the chain, as Cilium's do.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "lab/program.rs"]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
