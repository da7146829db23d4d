//! netviz's programs on crafted frames, under `BPF_PROG_TEST_RUN`.

pub mod count;
pub mod flow;
pub mod follow;
pub mod see;
