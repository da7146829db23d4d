//! Counts the packets at a door and passes all of them on.
//!
//! Each door has its own copy of this object, so the map is a constant of the program. A lookup by
//! interface index would be slower and ambiguous: indexes repeat across network namespaces.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    const VERDICT: i32 = netviz_ebpf::TCX_NEXT;
    include!("../count_program.rs");
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
