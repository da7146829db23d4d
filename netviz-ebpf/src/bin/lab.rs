//! Forwarding programs of the lab cluster, with the names of Cilium's programs.
//!
//! They handle a packet as Cilium does, as far as a door can observe: which hooks it crosses, with
//! which TTL and tunnel key. Like Cilium's programs, they end the chain.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "lab/program.rs"]
mod program;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
