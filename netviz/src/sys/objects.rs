//! The compiled eBPF objects.

use aya::include_bytes_aligned;

/// Counting programs of one door: [`netviz_ebpf::INGRESS_PROGRAM`], [`netviz_ebpf::EGRESS_PROGRAM`].
pub static COUNT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-count"));

/// Counting programs that also count flows: [`netviz_ebpf::flow`].
pub static FLOW: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-flow"));

/// Tells of marked packets at one door: [`netviz_ebpf::crossing`].
pub static SEE: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-see"));

/// Reports packets between two addresses at one door: [`netviz_ebpf::follow`].
pub static FOLLOW: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-follow"));

/// Reports why the kernel dropped a marked packet: [`netviz_ebpf::drops`].
pub static DROP: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-drop"));

/// Forwarding programs of the lab.
pub static LAB: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/netviz-lab"));
