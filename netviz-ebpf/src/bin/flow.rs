//! Counts packets at a door like `netviz-count`, in the same map, and then the packets of each flow.
//!
//! netviz puts this object in the place of `netviz-count` at a door whose flows are asked for, and back
//! again. The module [`netviz_ebpf::flow`] describes the table.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
#[path = "flow/bytes.rs"]
mod bytes;
#[cfg(target_arch = "bpf")]
#[path = "flow/door.rs"]
mod door;
#[cfg(target_arch = "bpf")]
#[path = "flow/parse.rs"]
mod parse;
#[cfg(target_arch = "bpf")]
#[path = "flow/program.rs"]
mod program;
#[cfg(target_arch = "bpf")]
#[path = "flow/scratch.rs"]
mod scratch;
#[cfg(target_arch = "bpf")]
#[path = "flow/table.rs"]
mod table;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
