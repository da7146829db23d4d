//! netviz's counting programs with `TC_ACT_PIPE` instead of `TCX_NEXT`: harmless in clsact, but at
//! the head of a tcx chain it keeps every later program from running. A test suite that does not
//! catch this proves nothing.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    const VERDICT: i32 = 3;
    include!("../../../netviz-ebpf/src/count_program.rs");
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
