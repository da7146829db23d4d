//! Helpers that the tests share. None of them changes the machine's own network.
//!
//! | directory | contents |
//! |---|---|
//! | `netns` | network namespaces, traffic, and network faults |
//! | `bpf` | programs at hooks, crafted frames, and the kernel's lists of both |
//! | `cilium` | a running Cilium, and the counts measured on it |
//! | `builders` | plain data for views, rules and parsers |
//! | `cli` | the netviz binary, its terminal, and checks of its output |

pub mod bpf;
pub mod builders;
pub mod cilium;
pub mod cli;
pub mod netns;
