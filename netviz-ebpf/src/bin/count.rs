//! Counts what crosses a door, and lets everything pass on.
//!
//! Every door has its own copy of this object, so its map is known to the program as a constant:
//! no lookup by interface index, which repeats across network namespaces.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    const VERDICT: i32 = netviz_ebpf::TCX_NEXT;
    include!("../count_program.rs");
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
