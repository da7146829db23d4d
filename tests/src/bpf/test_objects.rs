//! The eBPF objects that only tests load, built from `tests/ebpf`.

use aya::include_bytes_aligned;

/// netviz's counting programs with the verdict `TC_ACT_PIPE`, a mutant that tests must catch.
pub static MUTANT_PIPE: &[u8] =
    include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-mutant-pipe"));

/// The counting programs as they were when flows came: a copy that does not change with them.
pub static COUNT_REFERENCE: &[u8] =
    include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-count-reference"));

/// The programs that count flows, with another source address in each packet.
pub static FLOW_VARY: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-flow-vary"));

/// Records TTL and tunnel key of the last packet at a hook.
pub static PROBE: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-probe"));

/// Programs of another tool, one for each verdict.
pub static FOREIGN: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-foreign"));
