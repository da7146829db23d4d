//! Helpers that the tests share. None of them changes the machine's own network.
//!
//! | folder | has |
//! |---|---|
//! | `netns` | network namespaces, traffic in them, and faults of a network |
//! | `bpf` | programs at hooks, crafted frames, and what the kernel lists of both |
//! | `cilium` | a running Cilium, and the counts that it gave |
//! | `builders` | plain data for views, rules and parsers |
//! | `cli` | the netviz binary, its terminal, and checks of its output |

pub mod bpf;
pub mod builders;
pub mod cilium;
pub mod cli;
pub mod netns;
